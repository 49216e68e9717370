// A short part of `npm run torture` (main.ts), another each time: some states and some calls of three golden dialogues.
// POSTERN_TORTURE_SEED plays one part again. That a fault is really made is shown by the counts of the calls.

import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { after, type TestContext, test } from 'node:test';
import { numbers } from '../helpers/numbers.ts';
import { type Choice, everyCall, everyState, newResult, transcripts } from './dialogues.ts';
import { Host } from './host-process.ts';
import { wrongWith } from './player.ts';

const seed = Number(process.env.POSTERN_TORTURE_SEED ?? randomInt(2 ** 31));
const below = numbers(seed);
const host = new Host();
after(() => host.end());

const DIALOGUES = 3;
const few =
  (count: number): Choice =>
  (length) =>
    Array.from({ length: Math.min(count, length) }, () => below(length));

for (const [what, run, count] of [
  ['each side goes at some states', everyState, 8],
  ['some calls fail', everyCall, 5],
] as const) {
  test(`of golden dialogues in which ${what} nothing is left, and nobody was told what is not so`, async (t: TestContext) => {
    t.diagnostic(`POSTERN_TORTURE_SEED=${seed}`);
    const result = newResult();
    for (let times = 0; times < DIALOGUES; times++) {
      await run(host, transcripts[below(transcripts.length)] as (typeof transcripts)[number], few(count), result);
    }
    assert.deepEqual(result.failures, []);
    assert.ok(result.runs > 0);
    if (run === everyCall) assert.ok(result.calls.size > 0, 'no call was made to fail');
  });
}

test('what a client may hear is the golden dialogue, and behind any part of it one refusal for now', () => {
  const golden = '220 a\r\n250-b\r\n250 c\r\n354 go\r\n250 taken\r\n';
  for (const heard of ['', '220 a\r\n', '220 a\r\n250-b\r\n25', '220 a\r\n421-x\r\n421 y\r\n', golden]) {
    assert.equal(wrongWith(heard, golden, ''), null, heard);
  }
  const bad = [
    '250 taken\r\n',
    '220 a\r\n250 other\r\n',
    `${golden}250 more\r\n`,
    '220 a\r\n550 no\r\n',
    '220 a\r\n421 x\r\n421 y\r\n',
  ];
  for (const heard of bad) assert.notEqual(wrongWith(heard, golden, ''), null, heard);
  assert.notEqual(wrongWith('220 a\r\n421 x\r\n', golden, '220 a\r\n250-b\r\n250 c\r\n'), null);
});
