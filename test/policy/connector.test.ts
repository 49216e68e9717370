// One connector: who may talk to it at all, and what it says of a client whose address nobody can read.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatPath } from '../../src/policy/problem.ts';
import type { Decision, Question } from '../../src/smtp/types.ts';
import { connector, login, mail, rcpt, sound } from './build.ts';

function only(given: Parameters<typeof connector>[0], names?: string[] | null) {
  const asked: string[] = [];
  const resolve = async (address: string) => {
    asked.push(address);
    return names ?? null;
  };
  const [made] = sound(
    { user_domains: { CORP: 'corp.example' }, connectors: [connector(given)] },
    names === undefined ? {} : { resolve },
  ).connectors;
  assert.ok(made !== undefined);
  return { made, asked };
}

test('what is no address may not connect, and is not looked for in DNS', async () => {
  const { made, asked } = only({ connect: { allow: ['any', '*.corp.example'], deny: ['*.bad.example'] } }, [
    'pc.corp.example',
  ]);
  assert.equal((await made.refusal('what'))?.code, 554);
  assert.deepEqual(asked, []);
});

test('where nobody may ask DNS, who may connect by name is told to come again', async () => {
  const { made } = only({ connect: { allow: ['10.0.0.0/8', '*.corp.example'], deny: [] } });
  assert.equal(await made.refusal('10.1.1.1'), null);
  assert.equal((await made.refusal('192.0.2.1'))?.code, 421);
});

test('the entry that keeps a client out is named, or the list that does not hold it', () => {
  const told = (
    connect: { allow: string[]; deny: string[] },
    address: string,
    names: string[] | null,
  ): string | null => {
    const setting = only({ connect }, names).made.connectSetting(address, names);
    return setting === null ? null : `${formatPath(setting.path)}: ${setting.why}`;
  };
  const named = { allow: ['10.0.0.0/8', '*.corp.example'], deny: ['10.9.0.0/16'] };
  const ranges = { allow: ['10.0.0.0/8'], deny: [] };
  const denied = { allow: ['any'], deny: ['*.dial.example'] };
  const at = (key: string, why: string): string => `connectors[0].connect.${key}: ${why}`;
  assert.equal(told(named, 'what', null), at('allow', 'what is no address'));
  assert.equal(told(named, '10.9.1.1', null), at('deny[0]', "'10.9.0.0/16' holds 10.9.1.1"));
  assert.equal(told(named, '10.1.1.1', null), null);
  assert.equal(told(named, '192.0.2.1', null), at('allow', 'no answer from DNS on the names of 192.0.2.1'));
  assert.equal(told(named, '192.0.2.1', ['x.example', 'pc.corp.example']), null);
  assert.equal(
    told(named, '192.0.2.1', ['x.example', 'y.example']),
    at('allow', '192.0.2.1 (x.example, y.example) is none of them'),
  );
  assert.equal(told(named, '192.0.2.1', []), at('allow', '192.0.2.1 is none of them'));
  assert.equal(told(ranges, '10.1.1.1', ['x.example']), null);
  assert.equal(told(ranges, '192.0.2.1', ['x.example']), at('allow', '192.0.2.1 is in none of them'));
  assert.equal(told(denied, '192.0.2.1', null), at('deny', 'no answer from DNS on the names of 192.0.2.1'));
  assert.equal(told(denied, '192.0.2.1', ['X.dial.example.']), at('deny', "'*.dial.example' holds x.dial.example"));
  assert.equal(told(denied, '192.0.2.1', ['x.example']), null);
});

test('of a client whose address nobody can read nothing is told, and nothing passes', () => {
  const { made } = only({ require_tls: true });
  const ends = { address: 'what', localAddress: '192.0.2.25', localPort: 25 };
  const question = rcpt('a@local.example');
  const decision = made.judge(ends, question) as Extract<Decision, { action: 'reject' | 'disconnect' }>;
  assert.equal(decision.action, 'reject');
  assert.equal(decision.reason, 'cannot_tell');
  assert.equal(decision.reply.code, 451);
  assert.equal(made.stepsFor(ends, question, question.addresses[0] as Question['addresses'][number], null), null);
  assert.deepEqual(made.senderKey(ends, mail('a@b.example')), { key: null, open: false, spelling: null });
});

test('a login is one user in each spelling that user_domains tells', () => {
  const { made } = only({});
  assert.equal(made.userKey('CORP\\Alice'), 'alice@corp.example');
  assert.equal(made.userKey('bob'), 'bob');
  assert.deepEqual(made.userKeys(login('CORP\\Alice')), ['alice@corp.example']);
});
