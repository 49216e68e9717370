// `npm run torture -- [--states] [--calls] [--whole] [--only TEXT] [--every N]`
//
// Without a flag all three: each side goes at every state of every golden dialogue; every call fails once in every golden dialogue;
// and the whole program is started, asked, reloaded and ended with every file, name, timer and Redis call failing once.
// --only: dialogues whose file or title holds the text. --every: of the states and calls every Nth. Prints what did not hold
// and exits with 1 then. A short part of it is in npm test (torture.test.ts).

import { parseArgs } from 'node:util';
import { type Choice, everyCall, everyState, newResult, transcripts } from './dialogues.ts';
import { Host } from './host-process.ts';
import { whole } from './whole.ts';

const { values } = parseArgs({
  options: {
    states: { type: 'boolean', default: false },
    calls: { type: 'boolean', default: false },
    whole: { type: 'boolean', default: false },
    only: { type: 'string', default: '' },
    every: { type: 'string', default: '1' },
  },
});
const step = Number(values.every);
if (!Number.isInteger(step) || step < 1) {
  console.error(`torture: --every ${values.every}: a number from 1 on is wanted`);
  process.exit(64);
}
const every: Choice = (length) => Array.from({ length: Math.ceil(length / step) }, (_, at) => at * step);
const some = values.states || values.calls || values.whole;
const chosen = transcripts.filter(({ file, title }) => `${file}: ${title}`.includes(values.only));
const host = new Host();
let failed = 0;

for (const [name, isChosen, run] of [
  ['states', values.states, everyState],
  ['calls', values.calls, everyCall],
] as const) {
  if (some && !isChosen) continue;
  const result = newResult();
  const began = performance.now();
  let told = 0;
  for (const transcript of chosen) {
    await run(host, transcript, every, result);
    for (const { dialogue, what, wrong } of result.failures.slice(told))
      console.log(`FAIL ${dialogue}\n     ${what}: ${wrong}`);
    told = result.failures.length;
  }
  failed += result.failures.length;
  const seconds = Math.round((performance.now() - began) / 1000);
  console.log(
    `${name}: ${chosen.length} dialogues, ${result.runs} runs (${result.early} ended early), ${result.failures.length} failures, ${seconds} s`,
  );
  for (const [call, times] of [...result.calls].toSorted()) console.log(`  ${call}: ${times}`);
}
await host.end();
if (!some || values.whole) failed += await whole(every);
process.exitCode = failed === 0 ? 0 : 1;
