#!/bin/sh
# Node.js 24.21.0: `import 'node:http'` loads all of undici, Node's other HTTP client, though nothing asks for it; `require('node:http')`
# does not. A server that only listens takes a quarter more memory for it, and the start that much longer.
#
# http has WebSocket, CloseEvent and MessageEvent among its exports, as getters that load undici when they are read. What a module of
# Node offers to `import` has each export as a value, so all getters are read when the first import of it is linked, whichever names
# were asked for (lib/internal/bootstrap/realm.js, syncExports; lib/http.js). Postern's dist/ is one script that requires.
#
# Printed: whether undici was loaded, and resident memory once a server was made, each in a process of its own.
#
# Seen 2026-11-29, twice, Node.js 24.21.0 from npm:
#
#   import { createServer }: undici loaded, 61 MB
#   require: undici not loaded, 48 MB
#
# Exits 0 when it is still so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT INT TERM
cd "$folder"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund node@24.21.0 >/dev/null
node=$(pwd)/node_modules/node/bin/node

cat >tell.cjs <<'TELL'
module.exports = (createServer) => {
  createServer();
  const has = process.moduleLoadList.some((name) => name.endsWith('undici/undici'));
  console.log(`undici ${has ? '' : 'not '}loaded, ${Math.round(process.memoryUsage.rss() / 1e6)} MB`);
};
TELL
cat >imports.mjs <<'IMPORTS'
import { createServer } from 'node:http';
import tell from './tell.cjs';
tell(createServer);
IMPORTS
echo "require('./tell.cjs')(require('node:http').createServer);" >requires.cjs

imports=$("$node" imports.mjs)
requires=$("$node" requires.cjs)
echo "import { createServer }: $imports"
echo "require: $requires"
case $imports in 'undici loaded'*) ;; *) exit 1 ;; esac
case $requires in 'undici not loaded'*) ;; *) exit 1 ;; esac
