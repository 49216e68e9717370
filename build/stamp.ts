// Writes the commit into dist/, behind `npm run build`: what `postern --version` says of an installed package.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { commit } from './commit.ts';

const FILE = join(import.meta.dirname, '../dist/commands/build.js');
const text = readFileSync(FILE, 'utf8');
const stamped = text.replace('COMMIT = null', `COMMIT = ${JSON.stringify(commit())}`);
if (stamped === text) throw new Error(`${FILE} has no COMMIT = null: run npm run build first`);
writeFileSync(FILE, stamped);
