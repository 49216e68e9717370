// The logs that real servers write of the same sessions, read by our readers: what was said is what is told.
//
// Sendmail writes to syslog alone, which is not here: test/moving-in/syslog.test.ts has lines that it wrote once.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import type { LoggedMessage } from '../../src/moving-in/logged.ts';
import { readLogs } from '../../src/moving-in/read-logs.ts';
import { freePort } from '../helpers/free-port.ts';
import { type Bed, makeFolder, NO_MESSAGE, NOBODY } from './beds/bed.ts';
import { exim, startExim } from './beds/exim.ts';
import { postfix } from './beds/postfix.ts';
import { Client } from './client.ts';
import { Sink } from './sink.ts';

async function session(bed: Bed, ...lines: string[]): Promise<void> {
  const client = new Client(bed.port);
  await client.reply();
  for (const line of lines) await client.say(line);
  await client.say('QUIT');
  client.close();
}

const MESSAGE = 'Subject: a message\r\n\r\ntext\r\n.';

/** Its mainlog alone: the other file says the refusals once more. */
const eximMainlog = {
  ...exim,
  start: (smartHost: number, port: number) =>
    startExim(smartHost, port, { main: ['tls_advertise_hosts =', 'write_rejectlog = false'] }),
};

for (const server of [postfix, eximMainlog]) {
  test(`the log of ${server.name} tells who sent what to whom, and what was refused`, {
    skip: server.missing,
  }, async () => {
    const sink = await Sink.start();
    const bed = await server.start(sink.port, await freePort());
    try {
      const [accepted, mixed] = [['x@foreign.example', 'y@foreign.example'], ['z@foreign.example']];
      const to = (address: string) => `RCPT TO:<${address}>`;
      await session(
        bed,
        'EHLO printer.example.net',
        'MAIL FROM:<scan@partner.example>',
        ...accepted.map(to),
        'DATA',
        MESSAGE,
      );
      await session(
        bed,
        'EHLO app.example.net',
        'MAIL FROM:<app@partner.example>',
        to(NOBODY),
        ...mixed.map(to),
        'DATA',
        MESSAGE,
      );
      await session(bed, 'EHLO spam.example.net', 'MAIL FROM:<>', to(NOBODY));
      await session(
        bed,
        'EHLO printer.example.net',
        `MAIL FROM:<${NO_MESSAGE}>`,
        to('x@foreign.example'),
        'DATA',
        MESSAGE,
      );
      await sink.until('all of them', () => sink.messages.flatMap(({ recipients }) => recipients).length === 3);
      await bed.said(/(?:removed|Completed)[\s\S]*(?:removed|Completed)/);
      const file = join(makeFolder(), 'log');
      writeFileSync(file, bed.log());
      const told: LoggedMessage[] = [];
      const report = await readLogs([file], {}, { message: (message) => told.push(message) });
      assert.deepEqual(report.unknownLines, []);
      assert.deepEqual([...new Set(told.map(({ source }) => source))], ['127.0.0.1']);
      const shapes = told.map(({ sender, delivered, recipients, login }) => ({
        sender,
        delivered,
        login,
        to: recipients.map(({ address, answer }) => `${answer} ${address}`).toSorted(),
      }));
      const find = (sender: string) => shapes.filter((one) => one.sender === sender);
      assert.deepEqual(find('scan@partner.example'), [
        { sender: 'scan@partner.example', delivered: 'yes', login: null, to: accepted.map((one) => `accepted ${one}`) },
      ]);
      assert.deepEqual(find('app@partner.example'), [
        {
          sender: 'app@partner.example',
          delivered: 'yes',
          login: null,
          to: ['accepted z@foreign.example', `refused ${NOBODY}`],
        },
      ]);
      const spam = find('');
      assert.deepEqual(
        spam.map(({ delivered, to }) => ({ delivered, to })),
        [{ delivered: 'no', to: [`refused ${NOBODY}`] }],
      );
      const refused = told.filter(
        ({ delivered, recipients }) => delivered === 'no' && recipients.every(({ answer }) => answer !== 'refused'),
      );
      assert.equal(refused.length, 1, 'the message that was refused at its end');
      assert.ok(
        told.every(({ at }) => at !== null && Math.abs(Date.now() - at) < 120_000),
        'the time',
      );
    } finally {
      await bed.stop();
      await sink.stop();
    }
  });
}
