// `npm run mutants -- --laws [RULE]`: every rule of the dialogue switched off in turn. `npm run mutants -- FILE …`: mutants
// over these files of src/; with --all of all tests of its folder.

import { mutate } from './mutants.ts';
import { switchOff } from './switch-off.ts';

const given = process.argv.slice(2);
const all = given.includes('--all');
const [first, ...rest] = given.filter((argument) => argument !== '--all');
const isGood = first === '--laws' ? switchOff(rest[0]) : await mutate(first === undefined ? [] : [first, ...rest], all);
process.exitCode = isGood ? 0 : 1;
