#!/bin/sh
# npm 11.19.1: `npm sbom --omit dev` leaves out a package that the project runs on, where a development dependency needs it as well.
# A bill of materials made so lacks what is installed and shipped, and says nothing of it.
#
# The lock file marks the package as no development one (it has no "dev": true), `npm ls --omit dev` has it, and the bill without --omit
# does not mark it with cdx:npm:package:development either: leaving out what has that mark gives the right list.
#
# A project that runs on ms, and whose development dependency debug needs ms too. Printed: what the bill lists, without that
# dependency, with it, and with it by the marks of the whole bill.
#
# Seen 2026-11-29, twice, npm 11.19.1 from npm:
#
#   ms alone, --omit dev: ms
#   ms beside debug, --omit dev: nothing
#   ms beside debug, by the marks: ms
#
# Exits 0 when it is still so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT INT TERM
cd "$folder"
mkdir tool project
(cd tool && npm init --yes >/dev/null && npm install --silent --no-audit --no-fund npm@11.19.1 >/dev/null)
npm="$folder/tool/node_modules/.bin/npm"
cd project

project() {
  rm -f package-lock.json
  printf '{"name":"project","version":"1.0.0","dependencies":{"ms":"2.1.3"}%s}' "$1" >package.json
  "$npm" install --package-lock-only --silent --no-audit --no-fund
}
names() {
  node -e '
    const { components } = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
    const isMarked = ({ properties = [] }) => properties.some(({ name }) => name === "cdx:npm:package:development");
    console.log(components.filter((one) => !isMarked(one)).map(({ name }) => name).join(" ") || "nothing");'
}
bill() { "$npm" sbom --package-lock-only --sbom-format cyclonedx "$@" | names; }

project ''
alone=$(bill --omit dev)
project ',"devDependencies":{"debug":"4.4.3"}'
beside=$(bill --omit dev)
marked=$(bill)
echo "ms alone, --omit dev: $alone"
echo "ms beside debug, --omit dev: $beside"
echo "ms beside debug, by the marks: $marked"
[ "$alone" = ms ] && [ "$beside" = nothing ] && [ "$marked" = ms ]
