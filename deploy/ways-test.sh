#!/bin/bash
# Each way to install that README.md names, on a fresh Debian 12 and 13: how many commands and seconds from nothing until Postern listens,
# and what `postern probe` says of it from outside. `npm run test:ways`, as root; it takes minutes. Everything lies below .cache/ways.
#
#   deploy/ways-test.sh [DEBIAN/WAY …]     bookworm/npm, trixie/one-file …; all of them where none is named
#
# The Debian is what debootstrap makes (minbase), entered by chroot: no systemd runs, so the package's service is started by the command of
# its unit, as its user; test.sh in debian/ boots one. The container is container-test.sh's, which has no Debian to begin with.
# Behind each stands the open server of `postern demo`, whose own answer is asked for first.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
work=${POSTERN_CACHE:-$root/.cache}/ways
version=$(node -p 'require("./package.json").version')
arch=$(dpkg --print-architecture)
program=$(echo "$root/packages/postern-$version-linux-"*)
deb=$root/packages/postern_${version}_$arch.deb
upstream=
port=$((20000 + RANDOM % 10000))
running=()

say() { printf 'postern: %s\n' "$*" >&2; }
fail() { say "FAILED: $*"; exit 1; }
# stopped PID: of a job, and all below it; unshare itself is deaf to less.
stopped() {
  local below
  # What has taken another user (setpriv) is not killed with unshare.
  for below in $(pgrep -P "$1"); do pkill -KILL -P "$below" || true; done
  pkill -KILL -P "$1" || true
  kill "$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
}
cleanup() { local job; for job in "${running[@]}"; do stopped "$job"; done; }
trap cleanup EXIT

# Within $place, as root in its first login.
inside() {
  # shellcheck disable=SC2016 # the inner shell's own
  unshare --mount --pid --fork --kill-child sh -ec 'place=$1; shift; mount -t proc proc "$place/proc"; exec chroot "$place" "$@"' sh "$place" \
    env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
    NPM_CONFIG_CAFILE=/etc/ssl/registry.crt POSTERN_LISTEN="127.0.0.1:$port" POSTERN_ADMIN=none sh -c "cd && $1"
}

fresh() {
  local base=$work/base-$1
  if [ ! -e "$base/.ready" ]; then
    say "making a Debian: $1"
    rm -rf "$base"
    debootstrap --variant=minbase "$1" "$base" >"$work/$1.log" || fail "debootstrap: see $work/$1.log"
    # Yes to every question; and a registry may stand behind a certificate that only this machine knows (in a file of its own: npm brings
    # Debian's ca-certificates, which makes its own anew).
    echo 'APT::Get::Assume-Yes "true";' >"$base/etc/apt/apt.conf.d/90yes"
    mkdir -p "$base/etc/ssl"
    cp /etc/ssl/certs/ca-certificates.crt "$base/etc/ssl/registry.crt"
    cp /etc/resolv.conf "$base/etc/"
    touch "$base/.ready"
  fi
  place=$work/root-$1
  rm -rf "$place"
  cp -a "$base" "$place"
  commands=0
  : >"$work/seconds"
}

# typed COMMAND: counted and timed, by the clock and by the processor.
typed() {
  commands=$((commands + 1))
  TIMEFORMAT='%R %U %S'
  { time inside "$1" >"$work/typed" 2>&1 || fail "$(tail -n 20 "$work/typed")"; } 2>"$work/time" || { cat "$work/time" >&2; exit 1; }
  tail -n 1 "$work/time" | awk -v what="$1" -v fetched="$(sed -n 's/^Fetched \(.*\) (.*/\1/p' "$work/typed")" \
    '{ printf "    %5.1f s (processor %.1f s)%s  %s\n", $1, $2 + $3, fetched ? ", fetched " fetched : "", what }' | tee -a "$work/seconds" >&2
}

# started COMMAND: counted, and timed until it says that it listens.
started() {
  commands=$((commands + 1))
  local begun=${EPOCHREALTIME/./}
  : >"$work/started" # of the way before
  inside "$1" >"$work/started" 2>&1 </dev/null &
  running+=($!)
  until grep -q '^postern: listening on' "$work/started"; do
    kill -0 $! 2>/dev/null || fail "$1: $(tail -n 20 "$work/started")"
    sleep 0.05
  done
  awk -v what="$1" -v took=$((${EPOCHREALTIME/./} - begun)) 'BEGIN { printf "    %5.1f s  %s\n", took / 1e6, what }' | tee -a "$work/seconds" >&2
}

# What probe says from outside, and the line of the table.
probed() {
  local verdict=closed
  node "$root/src/main.ts" probe "127.0.0.1:$port" --domain example.com >"$work/probe" || verdict="NOT CLOSED ($?)"
  grep -q CLOSED "$work/probe" || verdict="NOT CLOSED"
  stopped "${running[-1]}"
  unset 'running[-1]'
  awk -v way="$1" -v named="$named" -v commands="$commands" -v verdict="$verdict" \
    '{ all += $1 } END { printf "| %s | %d | %.0f s | %s | %s |\n", way, commands, all, verdict, named }' "$work/seconds" | tee -a "$work/table"
  [ "$verdict" = closed ] || { cat "$work/probe" >&2; exit 1; }
}

names_itself() {
  named=$(inside "$1" 2>/dev/null | tail -n 1)
  [[ $named =~ ^postern\ [0-9.]+\ \(commit\ [0-9a-f]{12}\+?,\ Node\.js\ 26\.[0-9.]+\)$ ]] || fail "$1 says: $named"
}

RUN="run --upstream UPSTREAM --accepted-domain '*.example.com'"

one-file() {
  cp "$program" "$place/root/postern"
  typed 'apt-get install libatomic1'
  started "./postern $RUN"
  names_itself './postern --version'
}

debian-package() {
  cp "$deb" "$place/root/"
  typed "apt-get install ./$(basename "$deb")"
  # The editor, and what systemd would do.
  sed -i "s/192.0.2.25:25/$upstream/; s/127.0.0.1:25/127.0.0.1:$port/; s/^admin:.*/admin: null/" "$place/etc/postern/postern.yaml"
  started 'exec setpriv --reuid=postern --regid=postern --clear-groups env -u POSTERN_LISTEN -u POSTERN_ADMIN postern run --config /etc/postern/postern.yaml'
  names_itself 'postern --version'
}

npm() {
  cp "$root/packages/postern-$version.tgz" "$place/root/"
  typed 'apt-get install --no-install-recommends npm libatomic1'
  typed "npm install --global node-linux-$(node -p process.arch)@26 ./postern-$version.tgz"
  started "postern $RUN"
  names_itself 'postern --version'
}

from-source() {
  git clone --quiet --no-hardlinks "$root" "$place/root/postern"
  typed 'apt-get install --no-install-recommends git npm'
  started "cd postern && npm start -- $RUN"
  names_itself 'cd postern && npm --silent start -- --version'
}

[ "$(id -u)" -eq 0 ] || fail 'root is wanted'
cd "$root"
mkdir -p "$work"
node src/main.ts demo >"$work/demo" 2>&1 &
running+=($!)
until grep -q 'old server without Postern is at' "$work/demo"; do sleep 0.2; done
upstream=$(sed -n 's/.*old server without Postern is at \([0-9.]*\) \([0-9]*\):.*/\1:\2/p' "$work/demo")
RUN=${RUN/UPSTREAM/$upstream}
if node src/main.ts probe "$upstream" >"$work/probe" || ! grep -q OPEN "$work/probe"; then fail 'the server behind is not open'; fi
say "behind it: $(tail -n 1 "$work/probe")"

[ $# -gt 0 ] || set -- {bookworm,trixie}/{one-file,debian-package,npm,from-source}
: >"$work/table"
for which in "$@"; do
  say "$which"
  fresh "${which%/*}"
  "${which#*/}"
  probed "$which"
done
rm -rf "$work"/root-*
echo
cat "$work/table"
