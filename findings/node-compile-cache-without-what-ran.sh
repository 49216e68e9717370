#!/bin/sh
# Node.js 24.21.0: NODE_COMPILE_CACHE (module.enableCompileCache) keeps the code that V8 makes before a module runs, and none of the
# functions that it compiles while the program works, though the cache is written when the process ends. A program that defines much
# in functions has next to nothing of itself in the cache; vm.Script.createCachedData, asked at the end, has what ran.
#
# The cache's file is written when the process ends, but its content is taken from V8 as soon as a module is compiled, and what V8 has
# by then is the outside of the functions (NODE_DEBUG_NATIVE=COMPILE_CACHE shows the order of events).
#
# A module of 2 000 functions, all of which are called. Printed: the octets of the cache's file, and of vm.Script's data at the end.
#
# Seen 2026-11-29, twice, Node.js 24.21.0 from npm:
#
#   NODE_COMPILE_CACHE: 323 kB
#   createCachedData at the end: 1111 kB
#
# Exits 0 while the second is more than three times the first.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT INT TERM
cd "$folder"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund node@24.21.0 >/dev/null
node=$(pwd)/node_modules/node/bin/node

cat >make.cjs <<'MAKE'
const { writeFileSync } = require('node:fs');
let text = '';
for (let at = 0; at < 2000; at++)
  text += `function f${at}(list) { let sum = ${at}; for (const one of list) { if (one > sum) sum += one; else sum -= one; } return sum; }\n`;
for (let at = 0; at < 2000; at++) text += `f${at}([1, 2, 3]);\n`;
writeFileSync('program.cjs', text);
MAKE
cat >script.cjs <<'SCRIPT'
const { readFileSync, writeFileSync } = require('node:fs');
const { Script } = require('node:vm');
const script = new Script(readFileSync('program.cjs', 'utf8'), { filename: 'program.cjs' });
script.runInThisContext();
writeFileSync('script.code', script.createCachedData());
SCRIPT
"$node" make.cjs
NODE_COMPILE_CACHE=$(pwd)/cache "$node" program.cjs
"$node" script.cjs
cache=$(find cache -type f -exec cat {} + | wc -c)
code=$(wc -c <script.code)
echo "NODE_COMPILE_CACHE: $((cache / 1000)) kB"
echo "createCachedData at the end: $((code / 1000)) kB"
[ "$code" -gt $((cache * 3)) ]
