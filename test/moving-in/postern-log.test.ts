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
