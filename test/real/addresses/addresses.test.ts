// No server reads elsewhere what we pass as ours: a part of the forms, asked of the readers that are at hand. All of them, and
// the versions that were asked: addresses.md, made by `npm run addresses`.
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { ALL_SERVERS } from '../beds/all.ts';
import { postfix } from '../beds/postfix.ts';
import { type Form, passedForms } from './forms.ts';
import { eximReader, isElsewhere, sendmailReader } from './readers.ts';
import { askInSession } from './sessions.ts';

const EVERY_ASKED = 40;
const EVERY_SAID = 1600;

/** What we refuse, and these servers follow: or the questions would prove nothing. */
const TRICKS = [
  'u%foreign.example@local.example',
  '"u@foreign.example"@local.example',
  'foreign.example!u@local.example',
];

const forms = passedForms();
const some = (every: number): Form[] => forms.filter((_, at) => at % every === 0);

test('the tricks are not among the forms', () => {
  assert.ok(forms.length > 100_000);
  for (const trick of TRICKS) assert.ok(!forms.some(({ path }) => path === trick), trick);
});

for (const reader of [eximReader, sendmailReader]) {
  test(`${reader.name} sends none of them elsewhere, and each of the tricks`, { skip: reader.missing }, () => {
    assert.deepEqual(reader.ask(TRICKS).map(isElsewhere), [true, true, true]);
    const paths = some(EVERY_ASKED).map(({ path }) => path);
    const answers = reader.ask(paths);
    assert.ok(answers.filter((answer) => answer === 'ours').length > paths.length / 2, answers.slice(0, 9).join('\n'));
    const elsewhere = answers.flatMap((answer, at) => (isElsewhere(answer) ? [`${paths[at]} → ${answer}`] : []));
    assert.deepEqual(elsewhere, []);
  });
}

suite('in a session', { concurrency: 3 }, () => {
  for (const server of ALL_SERVERS) {
    test(`${server.name} sends none of them elsewhere`, { skip: server.missing }, async () => {
      const { taken, out, elsewhere } = await askInSession(server, some(EVERY_SAID));
      assert.ok(taken > 3 && out > 3, `${taken} were taken, ${out} came out`);
      assert.deepEqual(elsewhere, []);
    });
  }

  test('Postfix sends a trick elsewhere', { skip: postfix.missing }, async () => {
    const path = '"u@foreign.example"@local.example';
    const { elsewhere } = await askInSession(postfix, [{ path, argument: `<${path}>`, utf8: false }]);
    assert.equal(elsewhere.length, 1);
  });
});
