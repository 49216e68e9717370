#!/bin/sh
# zod 4.6.7 writes the description and the title of a transformed value into its JSON Schema, and leaves its examples out.
#
# A key that is written as text and read as something else (`z.string().transform(…)`) is described with .meta({ title,
# description, examples }). z.toJSONSchema(schema, { io: 'input' }) describes what is written, and title and description are
# there; examples are not, without a word. The same .meta on a value that is not transformed is there whole. So a generated
# reference has every key with its sentence, and examples for some.
#
# Source: zod's to-json-schema; its documentation of metadata names all three alike. Seen 2026-11-28, Node.js 24.21.0:
#
#   plain:       title description examples
#   transformed: title description
#
# Exits 0 when it is still so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT INT TERM
cd "$folder"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund zod@4.6.7 >/dev/null
cat >schema.cjs <<'PROGRAM'
const { z } = require('zod');
const meta = { title: 'Port', description: 'Where to listen.', examples: ['25'] };
const schema = z.object({ plain: z.string().meta(meta), transformed: z.string().transform(Number).meta(meta) });
const { properties } = z.toJSONSchema(schema, { io: 'input' });
const told = (key) => Object.keys(meta).filter((name) => name in properties[key]).join(' ');
console.log(`plain:       ${told('plain')}`);
console.log(`transformed: ${told('transformed')}`);
PROGRAM
node schema.cjs | tee seen
printf 'plain:       title description examples\ntransformed: title description\n' | cmp - seen
