import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answers, read } from './read.ts';

const who = {
  time: '2026-01-02T08:00:01.000Z',
  session: 1,
  client_address: '198.51.100.17',
  client_port: 40001,
  connector: 'internet',
  helo_name: 'printer',
};
const line = (msg: string, fields: object): string => `${JSON.stringify({ level: 'info', ...who, ...fields, msg })}\n`;

const refusal = {
  sender: 'scan@example.com',
  recipient: 'x@foreign.example',
  decision: 'reject',
  reason: 'no_rule',
  reply: '554 5.7.1 no',
};

test('enforce: a message with a refused recipient is told once, and refusals without a message when the session ends', async () => {
  const recipients = [
    { recipient: 'a@example.com', decision: 'proceed', answer: 'accepted', reply: '250 ok' },
    { recipient: 'x@foreign.example', decision: 'reject', reply: '554 5.7.1 no' },
  ];
  const { told, report } = await read(
    line('recipient refused', refusal) +
      line('message', {
        sender: 'scan@example.com',
        recipients,
        relayed: false,
        answer: 'accepted',
        sasl_username: 'alice',
        recipients_untold: 3,
      }) +
      line('recipient refused', { ...refusal, sender: '' }) +
      line('session ended', {}),
  );
  assert.equal(report.unknown, 0);
  assert.deepEqual(told.map(answers), [
    ['accepted a@example.com', 'refused x@foreign.example'],
    ['refused x@foreign.example'],
  ]);
  assert.deepEqual(
    told.map(({ sender, delivered, login, untold }) => [sender, delivered, login, untold]),
    [
      ['scan@example.com', 'yes', 'alice', 3],
      ['', 'no', null, 0],
    ],
  );
});

test('the line that Postern begins with on standard error may stand in the same file', async () => {
  const { report } = await read(
    `postern: listening on 0.0.0.0:25, upstream 10.0.0.10:25, mode enforce\n${line('session ended', {})}`,
  );
  assert.equal(report.unknown, 0);
});

test('observe: what would be refused was accepted', async () => {
  const recipients = [
    {
      recipient: 'x@foreign.example',
      decision: 'would_reject',
      reason: 'no_rule',
      answer: 'accepted',
      reply: '250 ok',
    },
  ];
  const { told } = await read(
    line('recipient would be refused', { ...refusal, decision: 'would_reject' }) +
      line('message', { sender: 'scan@example.com', recipients, relayed: true, answer: 'accepted' }),
  );
  assert.deepEqual(told.map(answers), [['accepted x@foreign.example']]);
});

const named = (recipient: string, decision = 'proceed', answer: string | undefined = 'accepted') => ({
  ...{ recipient, decision, answer },
  reply: decision === 'reject' ? '554 5.7.1 no' : '250 ok',
});
const refused = (recipient: string, fields: object = {}): string =>
  line('recipient refused', { ...refusal, recipient, ...fields });
const message = (recipients: object[], fields: object = {}): string =>
  line('message', { sender: 'scan@example.com', recipients, answer: 'accepted', ...fields });

test('what was refused in an earlier transaction of the same sender is not taken for a part of the next message', async () => {
  const { told } = await read(
    refused('x@foreign.example') +
      refused('y@foreign.example') +
      refused('x@foreign.example') +
      message([named('a@example.com'), named('x@foreign.example', 'reject')]) +
      refused('z@foreign.example') +
      message([named('a@example.com')]) +
      line('session ended', {}),
  );
  assert.deepEqual(told.map(answers), [
    ['refused x@foreign.example', 'refused y@foreign.example'],
    ['accepted a@example.com', 'refused x@foreign.example'],
    ['refused z@foreign.example'],
    ['accepted a@example.com'],
  ]);
});

test('refused recipients beyond those that a message names are told by their own lines', async () => {
  const foreign = Array.from({ length: 7 }, (_, at) => `${at}@foreign.example`);
  const { told } = await read(
    refused('early@foreign.example') +
      foreign.map((address) => refused(address)).join('') +
      message([named('a@example.com'), ...foreign.slice(0, 5).map((address) => named(address, 'reject'))], {
        recipients_untold: 3,
      }),
  );
  assert.deepEqual(
    told.map(({ recipients, untold }) => [recipients.length, untold]),
    [
      [1, 0],
      [8, 1],
    ],
  );
});

test('a message that never ended was not delivered, and its recipients are told', async () => {
  const { told } = await read(
    refused('x@foreign.example') +
      line('message not ended', {
        sender: 'scan@example.com',
        recipients: [named('a@example.com'), named('x@foreign.example', 'reject')],
      }) +
      line('session ended', {}),
  );
  assert.deepEqual(told.map(answers), [['accepted a@example.com', 'refused x@foreign.example']]);
  assert.equal(told[0]?.delivered, 'no');
});

test('two programs that number their sessions alike may write to one file', async () => {
  const other = { client_address: '192.0.2.9', client_port: 50_000 };
  const { told } = await read(
    refused('x@foreign.example') +
      refused('y@foreign.example', other) +
      refused('z@foreign.example') +
      line('session ended', {}) +
      line('session ended', other),
  );
  assert.deepEqual(
    told.map((one) => [one.source, ...answers(one)]),
    [
      ['198.51.100.17', 'refused x@foreign.example', 'refused z@foreign.example'],
      ['192.0.2.9', 'refused y@foreign.example'],
    ],
  );
});

test('what was only counted is said to be in no sum', async () => {
  const { report } = await read(
    line('session ended', { repeated: 9 }) + line('refusals of one source', { source: '192.0.2.0', repeated: 12 }),
  );
  assert.match(report.notes.join(), /^2 lines of Postern say of some refusals only how many they were/);
});

test('a line whose recipients are none is not understood, and no number of one is taken for another', async () => {
  for (const recipients of [[null], ['a@example.com'], [{}], [{ recipient: 5 }], {}, 'a'])
    assert.equal((await read(line('session ended', {}) + message(recipients as object[]))).report.unknown, 1);
  for (const recipients_untold of ['3', -3, 1.5, Number.NaN, {}])
    assert.equal((await read(message([named('a@example.com')], { recipients_untold }))).told[0]?.untold, 0);
});

test('a MAIL that is refused ends no transaction, and what is refused twice is told twice', async () => {
  const twice = ['x@foreign.example', 'y@foreign.example', 'z@foreign.example'].flatMap((one) => [one, one]);
  const { told } = await read(
    twice.map((address) => refused(address)).join('') +
      line('sender refused', { sender: 'boss@example.com', decision: 'reject', reply: '530 5.7.1 no' }) +
      message([named('a@example.com'), ...twice.slice(0, 5).map((address) => named(address, 'reject'))], {
        recipients_untold: 1,
      }),
  );
  assert.deepEqual(
    told.map(({ sender, senderAnswer, recipients, untold }) => [sender, senderAnswer, recipients.length, untold]),
    [
      ['boss@example.com', 'refused', 0, 0],
      ['scan@example.com', 'accepted', 7, 0],
    ],
  );
});

test('what was let pass beyond those that a message in vain names is counted once', async () => {
  const { told } = await read(
    line('recipient would be refused', { ...refusal, decision: 'would_reject' }) +
      line('message not ended', {
        sender: 'scan@example.com',
        recipients: [named('a@example.com')],
        recipients_untold: 2,
      }),
  );
  assert.deepEqual(
    told.map(({ recipients, untold }) => [recipients.length, untold]),
    [[2, 1]],
  );
});

test('it is read as Docker and Kubernetes keep it, and with what they print before it', async () => {
  const lines = (refused('x@foreign.example') + line('session ended', {})).trimEnd().split('\n');
  for (const kept of [
    (one: string) => JSON.stringify({ log: `${one}\n`, stream: 'stdout', time: '2026-01-02T08:00:01.000000001Z' }),
    (one: string) => `2026-01-02T08:00:01.000000001Z stdout F ${one}`,
    (one: string) => `2026-01-02T08:00:01.000000001Z ${one}`,
    (one: string) => `[pod/postern-5d9c/postern] ${one}`,
    (one: string) => `postern-1  | ${one}`,
  ]) {
    const { told, report } = await read(lines.map((one) => `${kept(one)}\n`).join(''));
    assert.deepEqual([told.map(answers), report.unknown], [[['refused x@foreign.example']], 0], kept(''));
  }
});

test('of a session without end no more is kept than of any other', async () => {
  const { told } = await read(Array.from({ length: 3000 }, (_, at) => refused(`${at}@foreign.example`)).join(''));
  assert.deepEqual(
    told.map(({ recipients, untold }) => [recipients.length, untold]),
    [[1000, 2000]],
  );
});
