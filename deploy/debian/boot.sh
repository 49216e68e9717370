#!/bin/sh
# Boots the Debian in $1, in which the package is installed, under its own systemd (systemd-nspawn), and throws away what that changed:
# the service starts at boot as its user, reads its configuration anew, is probed before a server that relays for everyone, and stops.
#
# test.sh calls this. It wants Debian's systemd-container; the network is one of its own.
set -eu
place=$1
seen=$(mktemp -d)
trap 'rm -rf "$seen"' EXIT

cat >"$seen/test.sh" <<'INSIDE'
set -eux
# It says so once in each life.
listens() {
  for _ in $(seq 60); do
    [ "$(journalctl --unit postern --output cat | grep -c '^postern: listening on')" -ge "$1" ] && return
    sleep 0.5
  done
  return 1
}
listens 1
systemctl is-active postern
[ "$(stat -c %U "/proc/$(systemctl show --value --property MainPID postern)")" = postern ]
postern status
systemctl reload postern
for _ in 1 2 3 4 5 6 7 8 9 10; do journalctl --unit postern --output cat | grep '"msg":"reloaded"' && break; sleep 0.3; done
journalctl --unit postern --output cat | grep -q '"msg":"reloaded"'
# An old Exchange that relays for everyone, and the service in front of it.
postern demo >/boot-test/demo 2>&1 &
until grep -q 'old server without Postern is at' /boot-test/demo; do sleep 0.3; done
old=$(sed -n 's/.*old server without Postern is at \([0-9.]*\) \([0-9]*\):.*/\1:\2/p' /boot-test/demo)
postern probe "$old" && exit 1
sed -i "s/192.0.2.25:25/$old/" /etc/postern/postern.yaml
systemctl restart postern
listens 2
postern probe 127.0.0.1:25 --domain example.com
systemctl stop postern
[ "$(systemctl show --value --property Result postern)" = success ]
systemd-analyze security --no-pager postern | tail -n 1
touch /boot-test/well
INSIDE
cat >"$seen/boot-test.service" <<'UNIT'
[Unit]
Description=The test of Postern's package
After=postern.service multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'sh /boot-test/test.sh >/boot-test/log 2>&1; journalctl --unit postern --output cat >/boot-test/journal; systemctl --no-block poweroff'
UNIT

timeout 300 systemd-nspawn --quiet --register=no --keep-unit --directory "$place" --volatile=overlay --private-network \
  --bind="$seen:/boot-test" --bind-ro="$seen/boot-test.service:/etc/systemd/system/boot-test.service" --console=pipe --boot \
  systemd.wants=boot-test.service >"$seen/console" 2>&1 </dev/null || true
cat "$seen/log" || tail -n 20 "$seen/console"
if [ ! -e "$seen/well" ]; then
  tail -n 20 "$seen/journal" || true
  exit 1
fi
