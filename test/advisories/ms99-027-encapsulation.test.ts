// MS99-027 (KB Q237927): Exchange 5.5 unpacked encapsulated addresses and delivered to what was inside.
//
// `IMCEASMTP-victim+40foreign.example@local.example` looks local, and relays. Both addresses are judged.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attack, OPENING } from '../helpers/attack.ts';
import type { HarnessOptions } from '../helpers/harness.ts';

function answerTo(recipient: string, options: HarnessOptions = {}): Set<string> {
  const bursts = [...OPENING, 'MAIL FROM:<>\r\n', `RCPT TO:<${recipient}>\r\n`];
  const answers = attack({ bursts, options }).map(({ replies, recipients }) => {
    const passed = recipients.length > 0;
    assert.equal(passed, replies.endsWith('250 2.1.5 ok\r\n'));
    return passed ? 'passed' : (/(5\d\d) [^\r\n]*\r\n$/.exec(replies)?.[1] ?? replies);
  });
  return new Set(answers);
}

for (const recipient of [
  'IMCEASMTP-victim+40foreign.example@local.example',
  'IMCEASMTP-victim+40foreign+2Eexample@local.example',
  'imceasmtp-victim+40foreign.example@local.example',
  '"IMCEASMTP-victim+40foreign.example"@local.example',
  '"IMCEASMTP-vic tim+40foreign.example"@local.example',
  'IMCEARFC822-victim+40foreign+2Eexample@local.example',
  'IMCEASMTP-victim+25foreign.example@local.example',
  'IMCEASMTP-foreign.example+21victim@local.example',
  'IMCEASMTP-victim+2B40foreign.example@local.example',
  'IMCEASMTP-IMCEASMTP-victim+2B40foreign.example+40local.example@local.example',
  'IMCEASMTP-user+40local.example@foreign.example',
  'IMCEASMTP-user+40local.example+40foreign.example@local.example',
  '"IMCEA victim@foreign.example"@local.example',
  'IMCEAFAX-+2B1+20555@local.example',
]) {
  test(`${recipient} is refused`, () => assert.deepEqual(answerTo(recipient), new Set(['554'])));
}

test('an encapsulated address passes when what is inside is ours too', () => {
  assert.deepEqual(answerTo('IMCEASMTP-user+40local.example@local.example'), new Set(['passed']));
});

test("Exchange's own reply address passes by its domain", () => {
  assert.deepEqual(answerTo('IMCEAEX-_O=ORG_OU=SITE_CN=RECIPIENTS_CN=USER@local.example'), new Set(['passed']));
  assert.deepEqual(answerTo('IMCEAEX-_O=ORG_OU=SITE_CN=RECIPIENTS_CN=USER@foreign.example'), new Set(['554']));
});

test('a gateway address passes for who may relay anywhere', () => {
  const options: HarnessOptions = { profile: { relaysAnywhere: true }, policy: { accepted: [], relay: 'anyone' } };
  assert.deepEqual(answerTo('IMCEAFAX-+2B1+20555@local.example', options), new Set(['passed']));
});
