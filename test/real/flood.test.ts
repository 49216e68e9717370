// A flood of Postfix's load generator from one address, and hundreds of quiet sources beside it, on the loopback network.
//
// 127.0.0.0/8 gives every client an address of its own. The flooder is held to its rate within one per cent (that it is never one
// message more is for a clock that can be held: gcra.test.ts); nobody else is refused anything. On a busy machine it does not
// always send as much as it may.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { SmtpClient } from '../helpers/smtp-client.ts';
import { start } from './children.ts';
import { startNode } from './nodes.ts';
import { Sink } from './sink.ts';
import { missing, needUnpacked, postfixEnvironment } from './tools.ts';

const LIMIT = 400;
const WINDOW_MS = 2_000;
const FLOOD_MS = 6_000;
const QUIET = 300;

test('a flooder is held to its rate within one per cent, and 300 quiet sources beside it see no refusal', {
  skip: missing([], ['postfix']),
}, async (t) => {
  const sink = await Sink.start();
  const postern = await startNode({
    upstream: sink.port,
    limits: { source: { message_rate: `${LIMIT}/${WINDOW_MS}ms` } },
    more: { log: { level: 'warn' } },
  });
  // -A goes on after a refusal, -d in the same session.
  const flood = start(
    needUnpacked('postfix', 'usr/sbin/smtp-source'),
    [
      '-A',
      '-d',
      '-s',
      '20',
      '-m',
      '10000000',
      '-f',
      'flood@sender.example',
      '-t',
      'user@local.example',
      `127.0.0.1:${postern.port}`,
    ],
    postfixEnvironment(),
  );
  try {
    const flooded = (): number => sink.messages.filter(({ sender }) => sender.includes('flood')).length;
    await sink.until('the flood', () => flooded() > 0);
    const began = performance.now();
    const refused: string[] = [];
    for (let i = 0; i < QUIET; i++) {
      const told = await sendOne(postern.port, `127.1.${Math.floor(i / 250)}.${(i % 250) + 1}`);
      if (told !== null) refused.push(told);
      await delay(Math.max(0, (FLOOD_MS * (i + 1)) / QUIET - (performance.now() - began)));
    }
    const passed = flooded();
    const allowed = LIMIT + (LIMIT * (performance.now() - began)) / WINDOW_MS;
    t.diagnostic(`the flooder passed ${passed} of ${allowed.toFixed(1)} messages in ${FLOOD_MS} ms`);
    assert.deepEqual(refused, []);
    assert.ok(passed <= allowed * 1.01 && passed >= allowed * 0.9, `${passed} of ${allowed}`);
  } finally {
    await flood.stop();
    await postern.stop();
    await sink.stop();
  }
});

/** One message from there; null, or the reply that refused it. */
async function sendOne(port: number, localAddress: string): Promise<string | null> {
  const client = new SmtpClient(port, { localAddress });
  let last = await client.reply();
  for (const line of [
    'EHLO q.example',
    'MAIL FROM:<q@q.example>',
    'RCPT TO:<user@local.example>',
    'DATA',
    'x\r\n.',
    'QUIT',
  ]) {
    if (last === null || !/^[23]/.test(last.code)) break;
    await client.write(Buffer.from(`${line}\r\n`));
    last = await client.reply();
  }
  client.destroy();
  return last?.code === '221' ? null : (last?.text ?? 'nothing');
}
