#!/bin/sh
# esbuild 0.28.2: a bundle with `charset: ascii`, which is the default, is not ASCII where a regular expression literal has a letter beyond it. Strings,
# templates and names are escaped, the expression is not, and nothing warns. Who reads the bundle an octet for a character (a script kept as
# latin1 for V8's code cache, a server that says no charset) gets a pattern that matches other letters, while all else works.
#
# Source: esbuild's page on charset says in its last sentence that regular expressions are not escaped, as it does not parse them.
#
# Bundles one line with a letter beyond ASCII in a string, a template and an expression, and prints how many octets above 127 each has, and
# whether the expression still matches when the bundle is read as UTF-8 and as latin1.
#
# Seen 2026-11-29, twice, esbuild 0.28.2 from npm, Node.js 20.20.2 and 26.10.0:
#
#   string: 0 octets beyond ASCII, template: 0, regular expression: 2
#   read as utf8: true
#   read as latin1: false
#
# Exits 0 when it is still so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT INT TERM
cd "$folder"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund esbuild@0.28.2 >/dev/null 2>&1
cat >ask.cjs <<'END'
const { transformSync } = require('esbuild');
const beyond = (code) => [...Buffer.from(code)].filter((octet) => octet > 127).length;
const made = (code) => transformSync(code, { charset: 'ascii', minify: true }).code;
const [string, template, expression] = ['"\u00f8"', '`\u00f8`', '/\u00f8/'].map((literal) => made(`globalThis.found = ${literal};`));
console.log(`string: ${beyond(string)} octets beyond ASCII, template: ${beyond(template)}, regular expression: ${beyond(expression)}`);
for (const charset of ['utf8', 'latin1']) {
  require('node:vm').runInThisContext(Buffer.from(expression).toString(charset));
  console.log(`read as ${charset}: ${globalThis.found.test('\u00f8')}`);
}
END
node ask.cjs | tee out
[ "$(cat out)" = "string: 0 octets beyond ASCII, template: 0, regular expression: 2
read as utf8: true
read as latin1: false" ]
