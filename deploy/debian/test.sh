#!/bin/sh
# The Debian package, in a fresh Debian: installed, started, probed, upgraded, removed, purged. `npm run test:deb`, as root; it takes
# minutes. Everything lies below .cache/debroot.
#
# It is started twice: the unit's command as the unit's user, in a network of its own; and by the Debian's own systemd, which boots
# (boot.sh) where systemd-nspawn is there.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
work=${POSTERN_CACHE:-$root/.cache}/debroot
base=$work/base
place=$work/root
deb=$(ls "$root"/packages/postern_*_"$(dpkg --print-architecture)".deb)

say() { printf 'postern: %s\n' "$*" >&2; }
fail() { say "FAILED: $*"; exit 1; }
inside() { env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive chroot "$place" "$@"; }
# Every file, without what dpkg, adduser and the other tools remember for themselves.
files() { (cd "$place" && find . -xdev | grep -v -e ^./proc -e ^./sys -e ^./run -e ^./dev -e ^./tmp -e ^./var/lib/dpkg -e ^./var/cache \
  -e ^./var/log/apt -e '^./var/log/dpkg' -e '^./var/lib/systemd' -e '-$' | sort); }

[ "$(id -u)" -eq 0 ] || fail 'root is wanted'
if [ ! -e "$base/etc/debian_version" ] || [ -e "$base/debootstrap" ]; then
  say 'making a Debian'
  rm -rf "$base"
  debootstrap --variant=minbase --include=ca-certificates,libatomic1,systemd,systemd-sysv,dbus,iproute2,adduser,man-db,procps bookworm "$base"
fi
rm -rf "$place"
cp -a "$base" "$place"
files >"$work/before"

say 'installing'
cp "$deb" "$place/tmp/postern.deb"
inside dpkg --install /tmp/postern.deb
inside postern --version
inside stat -c "%a %U %G" /etc/postern | grep -qx "750 root postern" || fail "its folder is not for its group alone"
inside stat -c '%a %U %G' /etc/postern/postern.yaml | grep -qx '640 root postern' || fail 'the configuration is not for its group alone'
inside setpriv --reuid=postern --regid=postern --clear-groups postern check /etc/postern/postern.yaml
inside systemd-analyze verify /lib/systemd/system/postern.service
[ -L "$place/etc/systemd/system/multi-user.target.wants/postern.service" ] || fail 'the service is not enabled'
[ "$(inside man --where postern postern.yaml postern-policy postern-cases | wc -l)" -eq 4 ] || fail 'a manual is missing'

say 'closed, in one command: an open server, and the same one behind Postern'
# shellcheck disable=SC2016 # the inner shell's own
unshare --net sh -ec 'ip link set lo up; exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$1" postern demo --once' sh "$place" >"$work/closed"
tail -n 4 "$work/closed"
grep -q 'OPEN  *CLOSED$' "$work/closed" || fail 'postern demo --once does not say closed'

say 'starting'
# shellcheck disable=SC2016 # the inner shell's own
unshare --net --mount sh -ec '
  ip link set lo up
  mount -t proc proc "$1/proc"
  chroot "$1" setpriv --reuid=postern --regid=postern --clear-groups --inh-caps=+net_bind_service --ambient-caps=+net_bind_service \
    postern run --config /etc/postern/postern.yaml >/dev/null 2>"$2" &
  trap "kill $! 2>/dev/null || true" EXIT
  for _ in 1 2 3 4 5 6 7 8 9 10; do grep -q "listening on 127.0.0.1:25" "$2" && break; sleep 0.5; done
  cat "$2" >&2
  grep -q "listening on 127.0.0.1:25" "$2"
  # Its server is not there, so it greets nobody with a yes: explain says what it would say.
  chroot "$1" postern explain /etc/postern/postern.yaml --source 203.0.113.7 --rcpt x@foreign.example --expect reject
  chroot "$1" postern status
  kill -TERM $!
  wait $!
' sh "$place" "$work/started" || fail 'it does not start, or not end'

if command -v systemd-nspawn >/dev/null; then
  say 'booting'
  sh "$root/deploy/debian/boot.sh" "$place" || fail 'the service under systemd'
else
  say 'NOT BOOTED, for want of systemd-nspawn (apt-get install systemd-container)'
fi

say 'upgrading: the configuration stays as it was made'
rm -rf "$work/next"
dpkg-deb -R "$deb" "$work/next"
sed -i 's/^Version: .*/&+next/' "$work/next/DEBIAN/control"
echo '# the packager changed this' >>"$work/next/etc/postern/postern.yaml"
dpkg-deb -Znone --root-owner-group -b "$work/next" "$place/tmp/next.deb" >/dev/null
echo '# the operator changed this' >>"$place/etc/postern/postern.yaml"
inside dpkg --force-confdef --force-confold --install /tmp/next.deb
grep -q 'the operator changed this' "$place/etc/postern/postern.yaml" || fail 'the configuration was overwritten'
inside stat -c '%a %U %G' /etc/postern/postern.yaml | grep -qx '640 root postern' || fail 'the upgrade changed who reads the configuration'
inside dpkg-query -W postern | grep -q '+next' || fail 'it was not upgraded'

say 'removing, and purging'
inside dpkg --remove postern
[ -e "$place/etc/postern/postern.yaml" ] || fail 'removing took the configuration away'
[ ! -e "$place/usr/bin/postern" ] || fail 'removing left the program'
inside dpkg --purge postern
rm -f "$place/tmp/postern.deb" "$place/tmp/next.deb"
files >"$work/after"
diff "$work/before" "$work/after" || fail 'purging left something behind'
! inside getent passwd postern || fail 'purging left the user'
say 'all is well'
