// A log that nobody reads for a while: `postern run` goes on relaying, and when it is read again, what is missing are lines of
// those who flooded, and all that are missing are told.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SmtpClient } from '../helpers/smtp-client.ts';
import { UpstreamStandIn } from '../helpers/upstream-stand-in.ts';
import { Running } from './running.ts';

// As floods.ts lets each source: two sessions with a hundred refusals, and the ends of both. All together more than the 16 MiB
// that wait in memory (log-sink.ts).
const FLOODERS = 120;
const SESSIONS = 2;
const REFUSALS = 100;
const AT_ONCE = 8;
const HALF = 64; // when some have flooded
const LONG = 'x'.repeat(60);
const FOREIGN = `${LONG}@${LONG}.${LONG}.${LONG}.foreign.example`;

test('nobody who floods a log without a reader costs others their mail, or their lines', {
  timeout: 120_000,
}, async (t) => {
  const upstream = await UpstreamStandIn.listen({ dialect: 'lf' });
  t.after(() => upstream.close());
  const flags = ['--listen', '127.0.0.1:0', '--admin', 'none', '--accepted-domain', 'local.example'];
  const running = new Running(t, [...flags, '--upstream', `127.0.0.1:${upstream.port}`]);
  const port = await running.port();

  /** All replies to what is said, up to the end. */
  async function say(localAddress: string, ...lines: string[]): Promise<string[]> {
    const client = new SmtpClient(port, { localAddress });
    await client.reply();
    await client.write(Buffer.from(lines.map((line) => `${line}\r\n`).join('')));
    await client.end();
    client.destroy();
    return client.replies.map(({ code }) => code);
  }
  const mail = (from: string): Promise<string[]> =>
    say(
      from,
      'EHLO honest.example',
      'MAIL FROM:<s@sender.example>',
      'RCPT TO:<user@local.example>',
      'DATA',
      'Subject: x',
      '',
      '.',
      'QUIT',
    );
  const refusals = Array<string>(REFUSALS).fill(`RCPT TO:<${FOREIGN}>`);
  const flood = async (from: string): Promise<void> => {
    for (let session = 0; session < SESSIONS; session++) {
      const codes = await say(from, `EHLO ${LONG}.example`, `MAIL FROM:<${FOREIGN}>`, ...refusals, 'QUIT');
      assert.equal(codes.filter((code) => code === '554').length, REFUSALS);
    }
  };

  const DELIVERED = ['220', '250', '250', '250', '354', '250', '221'];
  assert.deepEqual(await mail('127.0.0.2'), DELIVERED);
  running.stopReading();
  for (let first = 0; first < FLOODERS; first += AT_ONCE) {
    await Promise.all(Array.from({ length: AT_ONCE }, (_, i) => flood(`127.9.0.${first + i + 1}`)));
    if (first === HALF) assert.deepEqual(await mail('127.0.0.3'), DELIVERED);
  }
  assert.deepEqual(await mail('127.0.0.4'), DELIVERED);

  running.readOn();
  const { lines: lost } = await running.logged(
    'log lines were lost while the log could not be written as fast as they came: of those sources that had most of them',
  );
  running.signal('SIGTERM');
  assert.equal(await running.exit(), 0);
  const entries = running.entries();
  const honest = entries.filter(
    ({ client_address, messages }) => /^127\.0\.0\./.test(`${client_address}`) && messages === 1,
  );
  assert.deepEqual(
    honest.map(({ client_address }) => client_address),
    ['127.0.0.2', '127.0.0.3', '127.0.0.4'],
  );
  const kept = entries.filter(({ client_address }) => /^127\.9\.0\./.test(`${client_address}`)).length;
  assert.equal(kept + Number(lost), FLOODERS * SESSIONS * (REFUSALS + 1));
  assert.ok(kept > 0 && Number(lost) > 0);
});
