// A server that dies never makes Postern say 250. At every state of a session all processes of the server are stopped,
// the client says the next thing, and then they are killed: the client hears a 4yz or nothing, and the connection ends.
//
// Stopping first makes sure that the server has not answered: what is proved is the reply that is still awaited.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '../helpers/free-port.ts';
import { MAIL_SERVERS } from './beds/all.ts';
import { freezeAll, killAll } from './children.ts';
import { Client } from './client.ts';
import { type Postern, startPostern } from './postern.ts';
import { Sink } from './sink.ts';

interface Moment {
  readonly name: string;
  /** Said and answered before the server stops. */
  readonly answered: readonly string[];
  /** Said to the stopped server; may be nothing. */
  readonly unanswered: string;
}

const EHLO = 'EHLO client.example';
const MAIL = 'MAIL FROM:<alice@partner.example>';
const RCPT = 'RCPT TO:<bob@local.example>';
const TEXT = 'Subject: lost\r\n\r\nnever to be answered with 250\r\n';

const MOMENTS: readonly Moment[] = [
  { name: 'after the greeting', answered: [], unanswered: '' },
  { name: 'at EHLO', answered: [], unanswered: `${EHLO}\r\n` },
  { name: 'between commands', answered: [EHLO], unanswered: '' },
  { name: 'at MAIL', answered: [EHLO], unanswered: `${MAIL}\r\n` },
  { name: 'at RCPT', answered: [EHLO, MAIL], unanswered: `${RCPT}\r\n` },
  { name: 'at DATA', answered: [EHLO, MAIL, RCPT], unanswered: 'DATA\r\n' },
  { name: 'inside mail data', answered: [EHLO, MAIL, RCPT, 'DATA'], unanswered: TEXT },
  { name: 'at the end of mail data', answered: [EHLO, MAIL, RCPT, 'DATA'], unanswered: `${TEXT}.\r\n` },
  { name: 'at a pipelined transaction', answered: [EHLO], unanswered: `${MAIL}\r\n${RCPT}\r\nDATA\r\n` },
];

for (const server of MAIL_SERVERS) {
  suite(`${server.name} killed`, { skip: server.missing }, () => {
    let sink: Sink;
    let port: number;
    let postern: Postern;

    before(async () => {
      sink = await Sink.start();
      port = await freePort();
      postern = await startPostern(port);
    });
    after(async () => {
      await postern?.stop();
      await sink?.stop();
    });

    test('before the greeting: the client hears a 4yz or nothing', { timeout: 30_000 }, async () => {
      const bed = await server.start(sink.port, port);
      freezeAll(bed.pid);
      const client = new Client(postern.port);
      try {
        await connectionTo(port);
        await killAll(bed.pid);
        assertNothingAccepted(await client.rest());
      } finally {
        client.close();
        await bed.stop();
      }
    });

    for (const moment of MOMENTS) {
      test(`${moment.name}: the client hears a 4yz or nothing`, { timeout: 30_000 }, async () => {
        const bed = await server.start(sink.port, port);
        const client = new Client(postern.port);
        try {
          assert.match(await client.reply(), /^220/, bed.log());
          for (const line of moment.answered) assert.match(await client.say(line), /^[23]/, bed.log());
          freezeAll(bed.pid);
          client.write(moment.unanswered);
          await killAll(bed.pid);
          assertNothingAccepted(await client.rest());
        } finally {
          client.close();
          await bed.stop();
        }
      });
    }

    test('and no message of these went on', () => {
      assert.equal(sink.messages.length, 0);
    });
  });
}

/** Waits until somebody, that is Postern, has a connection to 127.0.0.1:port. The kernel makes it, not the server. */
async function connectionTo(port: number): Promise<void> {
  const established = new RegExp(` 0100007F:${port.toString(16).toUpperCase().padStart(4, '0')} 01 `);
  while (!established.test(readFileSync('/proc/net/tcp', 'latin1'))) await delay(10);
}

function assertNothingAccepted(replies: string[]): void {
  for (const reply of replies) assert.match(reply, /^4\d\d /);
}
