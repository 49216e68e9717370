// Legitimate mail is not touched: what a client sends through Postern arrives behind the real server byte for byte,
// below the trace fields that the server itself puts on top (RFC 5321 §4.4).
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { freePort } from '../helpers/free-port.ts';
import { SmtpClient } from '../helpers/smtp-client.ts';
import { ALL_SERVERS, MAIL_SERVERS, OTHER_SERVERS } from './beds/all.ts';
import type { Bed } from './beds/bed.ts';
import { Client } from './client.ts';
import { MAILERS } from './mailers.ts';
import { assertArrived, hand, makeMessage, RECIPIENT, SENDER, stuffed } from './messages.ts';
import { assertFoundClosed, assertFoundOpen } from './nmap.ts';
import { type Postern, startPostern } from './postern.ts';
import { Sink } from './sink.ts';
import { missing } from './tools.ts';

// Several servers at a time: most of it is waiting for programs to start and queues to be run.
suite('delivery', { concurrency: 4 }, () => {
  for (const server of ALL_SERVERS) {
    suite(`through Postern to ${server.name}`, { concurrency: false, skip: server.missing }, () => {
      let sink: Sink;
      let bed: Bed;
      let postern: Postern;

      before(async () => {
        sink = await Sink.start();
        bed = await server.start(sink.port, await freePort());
        postern = await startPostern(bed.port);
      });
      after(async () => {
        await postern?.stop();
        await bed?.stop();
        await sink?.stop();
      });

      for (const mailer of MAILERS) {
        test(`a message from ${mailer.name} arrives byte for byte`, { skip: mailer.missing }, async () => {
          const { mark, content } = makeMessage();
          await mailer.send(postern.port, SENDER, RECIPIENT, content);
          const [message] = await sink.arrival(mark, [RECIPIENT]);
          assertArrived(message, content);
          assert.equal(message?.sender, SENDER);
        });
      }

      for (const sending of MAIL_SERVERS.includes(server) ? MAIL_SERVERS : []) {
        test(`a message relayed by ${sending.name} arrives byte for byte`, { skip: sending.missing }, async () => {
          const first = await sending.start(postern.port, await freePort());
          try {
            const { mark, content } = makeMessage();
            await hand(first.port, content);
            const [message] = await sink.arrival(mark, [RECIPIENT]);
            assertArrived(message, content);
          } finally {
            await first.stop();
          }
        });
      }

      if (OTHER_SERVERS.includes(server)) {
        test('nmap finds the server open, and closed through Postern', { skip: missing(['nmap']) }, async () => {
          await assertFoundOpen(bed.port);
          await assertFoundClosed(postern.port);
        });
      }

      test('a batch with one foreign recipient is delivered to the others, command by command', async () => {
        const { mark, content } = makeMessage();
        const client = new Client(postern.port);
        const replies = [await client.reply(), await client.say('EHLO client.example')];
        for (const line of batch()) replies.push(await client.say(line));
        client.write(`${stuffed(content)}.\r\n`);
        replies.push(await client.reply(), await client.say('QUIT'));
        client.close();
        await assertOthersDelivered(replies, mark, content);
      });

      test('a batch with one foreign recipient is delivered to the others, pipelined', async () => {
        const { mark, content } = makeMessage();
        const client = new Client(postern.port);
        const replies = [await client.reply(), await client.say('EHLO client.example')];
        client.write(`${batch().join('\r\n')}\r\n`);
        for (const _ of batch()) replies.push(await client.reply());
        client.write(`${stuffed(content)}.\r\nQUIT\r\n`);
        replies.push(await client.reply(), await client.reply());
        client.close();
        await assertOthersDelivered(replies, mark, content);
      });

      async function assertOthersDelivered(replies: string[], mark: string, content: string): Promise<void> {
        const codes = replies.map((reply) => reply.slice(0, 3));
        assert.deepEqual(codes, ['220', '250', '250', '250', '554', '250', '354', '250', '221']);
        assert.match(replies[4] ?? '', /^554 (?:5\.7\.1 )?<victim@foreign\.example>: .*Relay access denied\r\n$/);
        const messages = await sink.arrival(mark, ['bob@local.example', 'carol@local.example']);
        for (const message of messages) assertArrived(message, content);
        const reached = sink.messages.flatMap((message) => message.recipients);
        assert.ok(!reached.includes('victim@foreign.example'));
      }

      test('three messages in a session, with RSET between and in mid-transaction, arrive each by itself', async () => {
        const client = new Client(postern.port);
        await client.reply();
        await client.say('EHLO client.example');
        const sent = [1, 2, 3].map((number) => ({ ...makeMessage(), sender: `sender${number}@partner.example` }));
        for (const { sender, content } of sent) {
          assert.match(await client.say('MAIL FROM:<forgotten@partner.example>'), /^250/);
          assert.match(await client.say('RCPT TO:<forgotten@local.example>'), /^250/);
          assert.match(await client.say('RSET'), /^250/);
          assert.match(await client.say(`MAIL FROM:<${sender}>`), /^250/);
          assert.match(await client.say(`RCPT TO:<${RECIPIENT}>`), /^250/);
          assert.match(await client.say('DATA'), /^354/);
          client.write(`${stuffed(content)}.\r\n`);
          assert.match(await client.reply(), /^250/);
          assert.match(await client.say('RSET'), /^250/);
        }
        assert.match(await client.say('QUIT'), /^221/);
        client.close();
        for (const { mark, content, sender } of sent) {
          const [message] = await sink.arrival(mark, [RECIPIENT]);
          assertArrived(message, content);
          assert.equal(message?.sender, sender);
        }
        assert.ok(!sink.messages.some(({ recipients }) => recipients.includes('forgotten@local.example')));
      });

      test('a whole session at once, and the same octet by octet, each arrives byte for byte', async () => {
        for (const mode of ['whole', 'octets'] as const) {
          const { mark, content } = makeMessage();
          const envelope = `EHLO client.example\r\nMAIL FROM:<${SENDER}>\r\nRCPT TO:<${RECIPIENT}>\r\nDATA\r\n`;
          const client = new SmtpClient(postern.port);
          await client.reply();
          await client.write(Buffer.from(`${envelope}${stuffed(content)}.\r\nQUIT\r\n`, 'latin1'), mode);
          await client.end();
          client.destroy();
          const codes = client.replies.map(({ code }) => code);
          assert.deepEqual(codes, ['220', '250', '250', '250', '354', '250', '221']);
          const [message] = await sink.arrival(mark, [RECIPIENT]);
          assertArrived(message, content);
        }
      });

      test('a message in three chunks arrives byte for byte where the server offers CHUNKING', async (t) => {
        const client = new Client(postern.port);
        try {
          await client.reply();
          const capabilities = await client.say('EHLO client.example');
          if (!/^250[ -]CHUNKING\r$/m.test(capabilities)) {
            assert.match(await client.say('BDAT 0 LAST'), /^50[0-9]/);
            t.diagnostic(`${server.name} does not offer CHUNKING: BDAT refused`);
            return;
          }
          const { mark, content } = makeMessage();
          assert.match(await client.say(`MAIL FROM:<${SENDER}>`), /^250/);
          assert.match(await client.say('RCPT TO:<victim@foreign.example>'), /^554/);
          assert.match(await client.say(`RCPT TO:<${RECIPIENT}>`), /^250/);
          const parts = [content.slice(0, 700), content.slice(700, 701), content.slice(701)];
          for (const [index, part] of parts.entries()) {
            client.write(`BDAT ${part.length}${index === 2 ? ' LAST' : ''}\r\n${part}`);
            assert.match(await client.reply(), /^250/);
          }
          const [message] = await sink.arrival(mark, [RECIPIENT]);
          assertArrived(message, content);
        } finally {
          client.close();
        }
      });
    });
  }
});

function batch(): string[] {
  return [
    `MAIL FROM:<${SENDER}>`,
    'RCPT TO:<bob@local.example>',
    'RCPT TO:<victim@foreign.example>',
    'RCPT TO:<carol@local.example>',
    'DATA',
  ];
}
