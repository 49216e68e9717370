// Each policy that is shipped, live: every line of its .cases file asked as an SMTP session, in front of a mail server of
// the version that it was written for.
//
// `postern test` puts the same cases to the policy in memory; here the answer is what a client hears and what the server
// behind does not.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Case, parseCases } from '../../src/policy/cases.ts';
import type { Answer, PolicyQuestion } from '../../src/policy/policy-question.ts';
import { type LivePolicy, openLivePolicy } from './live-policy.ts';
import { offersCodes, type Preset, VERSIONS, type Version, withCodesTurned } from './versions.ts';

const FOLDER = fileURLToPath(new URL('../../policies/', import.meta.url));
const PRESETS = Object.keys(VERSIONS) as Preset[];

const DENIED = '554 5.7.1 Access denied';
const CANNOT_TELL_WHO = '421 4.7.1 Cannot tell who you are, try again later';
const NO_DOMAIN = '553 5.1.3 <{recipient}>: Recipient address rejected: Domain name required';
const NOT_AUTHENTICATED = '530 5.7.1 Client was not authenticated';
const NOT_AS_THIS_SENDER = '550 5.7.1 Client does not have permissions to send as this sender';
const RELAY_DENIED = '554 5.7.1 <{recipient}>: Recipient address rejected: Relay access denied';
const CANNOT_TELL = '451 4.7.1 <{recipient}>: Cannot tell whether relaying is permitted, try again later';
const SENDER_CANNOT_TELL = '451 4.7.1 Cannot tell whether this sender is permitted, try again later';

/** Every sentence that a preset's cases make it say, word for word. */
const SENTENCES: Readonly<Record<Preset, Partial<Record<Answer, readonly string[]>>>> = {
  'exchange-5.5': {
    reject: ['550 Relaying is prohibited', NO_DOMAIN],
    'refuse-connection': [DENIED],
    'refuse-sender': ['554 Originator address does not match authentication credentials'],
  },
  'exchange-2000': {
    reject: ['550 5.7.1 Unable to relay for {recipient}', NO_DOMAIN],
    defer: [CANNOT_TELL],
    'refuse-connection': [DENIED, CANNOT_TELL_WHO],
    'refuse-sender': [NOT_AUTHENTICATED],
  },
  'exchange-2003': {
    reject: ['550 5.7.1 Unable to relay for {recipient}', '550 5.1.1 User unknown'],
    defer: [CANNOT_TELL, SENDER_CANNOT_TELL],
    'refuse-connection': [DENIED],
    'refuse-sender': [NOT_AUTHENTICATED, NOT_AS_THIS_SENDER],
  },
  'exchange-2007': {
    reject: ['550 5.7.1 Unable to relay'],
    'refuse-sender': [NOT_AUTHENTICATED, NOT_AS_THIS_SENDER],
  },
  'exchange-2010': {
    reject: ['550 5.7.1 Unable to relay'],
    'refuse-sender': [NOT_AUTHENTICATED, NOT_AS_THIS_SENDER],
  },
  postfix: {
    reject: [
      '554 5.7.1 <{recipient}>: Relay access denied',
      '550 5.1.1 <{recipient}>: Recipient address rejected: User unknown in local recipient table',
    ],
    defer: [CANNOT_TELL, SENDER_CANNOT_TELL],
    'refuse-sender': ['553 5.7.1 <{sender}>: Sender address rejected: not owned by user'],
  },
  closed: { reject: [RELAY_DENIED] },
  appliance: { reject: [RELAY_DENIED, '550 5.7.1 Unable to relay for {recipient}'], defer: [CANNOT_TELL] },
};

function casesOf(preset: string): Case[] {
  return parseCases(readFileSync(`${FOLDER}${preset}.cases`, 'utf8')).map((one) => {
    if ('problem' in one) throw new Error(`${preset}.cases:${one.line}: ${one.problem}`);
    return one;
  });
}

async function withPolicy(preset: Preset, version: Version, use: (live: LivePolicy) => Promise<void>): Promise<void> {
  const live = await openLivePolicy(`${FOLDER}${preset}.yaml`, version);
  await use(live).finally(() => live.close());
}

/** A reply of ours as a session hears it. At connection time the client has not been asked which replies it knows. */
function asHeard(reply: string, answer: Answer, codes: boolean): string {
  const shown = codes || answer === 'refuse-connection' ? reply : reply.replace(/^(\d{3}) \d\.\d+\.\d+ /, '$1 ');
  return `${shown}\r\n`;
}

function filled(sentence: string, { recipient, sender }: PolicyQuestion): string {
  return sentence.replace('{recipient}', () => recipient).replace('{sender}', () => sender);
}

async function askAll(preset: Preset, version: Version): Promise<void> {
  const unsaid = new Set(Object.values(SENTENCES[preset]).flat());
  await withPolicy(preset, version, async (live) => {
    for (const one of casesOf(preset)) {
      const where = `${preset}.cases:${one.line}`;
      const { answer, reply, allowed, heard } = await live.ask(one);
      assert.equal(answer, one.expected, `${where}: ${reply}`);
      assert.equal(heard, answer === 'refuse-connection' ? null : allowed, where);
      if (answer === 'proceed') {
        assert.equal(reply, `${version.rcpt}\r\n`, where);
        continue;
      }
      const heardAs = (sentence: string): string => asHeard(sentence, answer, offersCodes(version));
      assert.equal(reply, heardAs((await live.explain(one)).reply ?? ''), where);
      const said = SENTENCES[preset][answer]?.find((sentence) => heardAs(filled(sentence, one.asked)) === reply);
      assert.ok(said !== undefined, `${where}: ${reply}`);
      unsaid.delete(said);
    }
  });
  assert.deepEqual([...unsaid], []);
}

test('every policy that is shipped with cases stands behind a version', () => {
  const shipped = readdirSync(FOLDER).filter((name) => name.endsWith('.cases'));
  assert.deepEqual(shipped.map((name) => name.replace(/\.cases$/, '')).sort(), [...PRESETS].sort());
});

for (const preset of PRESETS) {
  const version = VERSIONS[preset];
  const turned = offersCodes(version) ? 'does not offer' : 'offers';

  test(`${preset} answers its cases in front of the server that it was written for`, () => askAll(preset, version));

  test(`${preset} answers its cases in front of one that ${turned} enhanced status codes`, () =>
    askAll(preset, withCodesTurned(version)));
}
