// `npm run model`: the dialogue in every order of events. Arguments: --seconds N (in all), --scenario NAME, --depth N,
// --proof N, --replay FILE.

import './plain-fields.ts';
import { parseArgs } from 'node:util';

const { explore, replay } = await import('./report.ts');
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '3600' },
    scenario: { type: 'string' },
    depth: { type: 'string' },
    proof: { type: 'string', default: '100' },
    replay: { type: 'string' },
  },
});
const isSound =
  values.replay === undefined
    ? explore({
        seconds: Number(values.seconds),
        proof: Number(values.proof),
        ...(values.scenario === undefined ? {} : { scenario: values.scenario }),
        ...(values.depth === undefined ? {} : { depth: Number(values.depth) }),
      })
    : replay(values.replay);
process.exitCode = isSound ? 0 : 1;
