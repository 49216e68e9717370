// `npm run mutants -- --laws [RULE]`: every rule of the dialogue switched off in turn. `npm run mutants -- FILE …`: Stryker
// over these files of src/; without arguments over all that are listed.

import { mutate } from './stryker.ts';
import { switchOff } from './switch-off.ts';

const [first, ...rest] = process.argv.slice(2);
const isGood = first === '--laws' ? switchOff(rest[0]) : await mutate(first === undefined ? [] : [first, ...rest]);
process.exitCode = isGood ? 0 : 1;
