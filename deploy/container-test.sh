#!/bin/sh
# Builds the image and looks whether it refuses to relay: as user 1000, without any capability, on a read-only root file
# system, on port 25, configured by the environment alone. By hand (`npm run test:container`): it takes minutes.
#
# Needs root on Debian or Ubuntu and no Docker: buildah builds in a chroot, upon two bases made here: a fresh Debian (debootstrap) with
# this repository's Node and this machine's npm, and, as distroless images are, the bare libraries of a few Debian packages.
# Everything lies below .cache/container; the run has a network namespace of its own. Not proved here: the public bases
# themselves, and Docker's own networking, see "Lost client addresses".
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
work=${POSTERN_CACHE:-$root/.cache}/container
base=$work/base
bare=$work/bare
image=localhost/postern:test

say() { printf 'postern: %s\n' "$*" >&2; }

[ "$(id -u)" -eq 0 ] || { say 'deploy/container-test.sh needs root'; exit 1; }
cd "$root"
node test/setup/modules.mjs
mkdir -p "$work"

buildah() { command buildah --root "$work/storage" --runroot "$work/run" --storage-driver vfs "$@"; }

# One by one: dash looks only at the first of several.
if ! { command -v buildah && command -v debootstrap && command -v ip; } >/dev/null; then
  apt-get -q update
  DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends buildah debootstrap iproute2
fi

if [ ! -e "$base/.ready" ]; then
  say 'making a base image'
  rm -rf "$base"
  debootstrap --variant=minbase --include=ca-certificates,libatomic1 bookworm "$base"
  npm=$(dirname "$(dirname "$(realpath "$(command -v npm)")")")
  mkdir -p "$base/usr/local/lib/node_modules" "$base/usr/local/etc"
  cp "$(realpath node_modules/node/bin/node)" "$base/usr/local/bin/node"
  cp -R "$npm" "$base/usr/local/lib/node_modules/npm"
  ln -s ../lib/node_modules/npm/bin/npm-cli.js "$base/usr/local/bin/npm"
  # A registry may stand behind a certificate that only this machine knows.
  cp /etc/ssl/certs/ca-certificates.crt "$base/etc/ssl/certs/ca-certificates.crt"
  echo 'cafile=/etc/ssl/certs/ca-certificates.crt' >"$base/usr/local/etc/npmrc"
  chroot "$base" useradd --uid 1000 --user-group --create-home node
  rm -rf "$base"/var/cache/apt/* "$base"/var/lib/apt/lists/*
  touch "$base/.ready"
fi

if [ ! -e "$bare/.ready" ]; then
  say 'making a base without a shell'
  rm -rf "$bare" "$work/debs"
  mkdir -p "$bare/etc" "$bare/proc" "$bare/dev" "$bare/tmp" "$work/debs"
  (cd "$work/debs" && apt-get -q -o APT::Sandbox::User=root download libc6 libgcc-s1 libstdc++6)
  for deb in "$work"/debs/*.deb; do dpkg-deb -x "$deb" "$bare"; done
  rm -rf "$bare/usr/share/doc" "$bare/usr/share/lintian" "$bare/usr/lib"/*/gconv "$bare/usr/share/gdb"
  echo 'root:x:0:0:root:/:/sbin/nologin' >"$bare/etc/passwd"
  touch "$bare/.ready"
fi

# base_image FOLDER NAME
base_image() {
  [ -z "$(buildah images --quiet --noheading "$2" 2>/dev/null)" ] || return 0
  container=$(buildah from scratch)
  buildah add --quiet "$container" "$1" / >/dev/null
  buildah config --env PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$container"
  buildah commit --quiet --rm "$container" "$2" >/dev/null
}
base_image "$base" localhost/node:26-bookworm-slim
base_image "$bare" localhost/bare:latest

say 'building'
buildah bud --isolation chroot --format docker --build-arg BASE=localhost/node:26-bookworm-slim --build-arg RUNTIME=localhost/bare:latest \
  --build-arg COMMIT="$(git rev-parse --short=12 HEAD)" --build-arg SOURCE_DATE_EPOCH="$(git log -1 --format=%ct)" --tag "$image" .
buildah images

say 'running'
container=$(buildah from "$image")
trap 'buildah rm "$container" >/dev/null' EXIT
files=$(buildah mount "$container")
say "all of it: $(du -sh --apparent-size "$files" | cut -f1), of which postern $(du -sh --apparent-size "$files/usr/bin/postern" | cut -f1)"
buildah inspect --type image "$image" >"$work/config.json"
# shellcheck disable=SC2016 # the inner shell's own
IMAGE_ROOT=$files IMAGE_CONFIG=$work/config.json unshare --mount --net sh -ec '
  ip link set lo up
  echo 25 >/proc/sys/net/ipv4/ip_unprivileged_port_start
  mount --bind "$IMAGE_ROOT" "$IMAGE_ROOT"
  mount --options remount,bind,ro "$IMAGE_ROOT"
  mount -t proc proc "$IMAGE_ROOT/proc"
  exec node_modules/.bin/node --test test/real/container.check.ts'
