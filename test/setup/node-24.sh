#!/bin/sh
# The core on Node 24, the oldest that Postern runs on: protocol, policy, limits, and the sockets in both kinds. `npm run test:24` puts
# that Node in front; everything else is tested on the Node that this repository is pinned to.
set -eu
node --version | grep '^v24\.' || { echo "postern: this is Node $(node --version), and npm run test:24 has the right one" >&2; exit 1; }
export NODE_COMPILE_CACHE="$PWD/.cache/compiled"
status=0
pure=$(ls test/smtp/*.test.ts test/policy/*.test.ts test/limits/gcra.test.ts test/limits/keys.test.ts test/limits/memory-store.test.ts)
# shellcheck disable=SC2086 # names without blanks
POSTERN_FUZZ_RUNS=50 node --test --test-concurrency=2 $pure "test/proxy/handles/*.test.ts" || status=1
POSTERN_SOCKETS=plain node --test --test-concurrency=2 "test/proxy/*.test.ts" "test/corpus/*.test.ts" || status=1
exit "$status"
