// The first states of every scenario of the model, and its own proof that it sees. `npm run model` goes as deep as its hour.

import './plain-fields.ts';
import assert from 'node:assert/strict';
import { test } from 'node:test';

const { SCENARIOS } = await import('./scenarios.ts');
const { Search } = await import('./search.ts');
const { tell } = await import('./report.ts');

const STATES = 1500; // of each scenario

for (const scenario of SCENARIOS) {
  test(`${scenario.name}: every invariant holds in the first states, and what is taken for one state is one`, () => {
    const { found, states, proofs } = new Search(scenario).run({ seconds: 60, states: STATES, proof: 50 });
    assert.equal(found, null, found === null ? '' : `${found.violation.message}\n${tell(scenario, found.way)}`);
    assert.ok(states >= STATES && proofs > 0, `${states} states, ${proofs} proofs`);
  });
}

test('a judge whose no is taken for a yes is found, with the shortest dialogue that shows it', () => {
  const scenario = SCENARIOS.find(({ name }) => name === 'transaction');
  assert.ok(scenario !== undefined);
  const search = new Search(scenario);
  const judge = search.world.judge;
  search.world.judge = (question) => {
    const { reason } = judge.call(search.world, question) ?? { reason: 'rule' };
    return { action: 'proceed', reason, rule: null, observed: false };
  };
  const { found } = search.run({ seconds: 60, states: STATES });
  assert.match(found?.violation.message ?? '', /^the one sentence: "RCPT TO:<f@foreign\.example>\\r\\n" went up/);
  assert.equal(found?.way.length, 2);
});
