// Real servers do not agree on what ends a mail transaction, and Postern's view has to be one that all of them share
// (the sixth law: a recipient is approved for one transaction and used in no other). Each question is asked of every
// server through Postern, and what it delivered is looked at: a message reaches the recipients said behind its own MAIL,
// from the sender said there, and nobody whom EHLO, HELO, RSET or a refusal made the server forget.
//
// The table says what is the server's own affair. That each of its rows is so without Postern is asked as well.
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { freePort } from '../helpers/free-port.ts';
import { ALL_SERVERS } from './beds/all.ts';
import { type Bed, NO_DATA, NO_MESSAGE, NOBODY } from './beds/bed.ts';
import { goSmtp } from './beds/libraries.ts';
import { Client } from './client.ts';
import { makeMessage, stuffed } from './messages.ts';
import { type Postern, startPostern } from './postern.ts';
import { Sink } from './sink.ts';

interface Ways {
  /** What a second EHLO and HELO are answered; a refused one changes nothing. */
  readonly again: '250' | '503';
  /** Taken, but the transaction goes on behind it. */
  readonly againKeeps?: true;
  /** Behind a DATA refused with recipients: does it still hold them? `never` does not refuse DATA. */
  readonly refusedData: 'keeps' | 'forgets' | 'never';
  /** Behind a refused end of data; `never` does not refuse there. */
  readonly refusedMessage: 'keeps' | 'forgets' | 'never';
  /** What a second MAIL is answered without Postern. */
  readonly secondMail: '250' | '502' | '503';
  /** A MAIL parameter that it takes. */
  readonly parameter?: string;
  readonly noop?: '500';
}

const WAYS: Readonly<Record<string, Ways>> = {
  Postfix: { again: '250', refusedData: 'keeps', refusedMessage: 'keeps', secondMail: '503' },
  Exim: { again: '250', refusedData: 'keeps', refusedMessage: 'forgets', secondMail: '503' },
  OpenSMTPD: { again: '503', refusedData: 'keeps', refusedMessage: 'forgets', secondMail: '503' },
  Sendmail: { again: '250', refusedData: 'keeps', refusedMessage: 'forgets', secondMail: '503' },
  Courier: { again: '250', againKeeps: true, refusedData: 'never', refusedMessage: 'never', secondMail: '502' },
  Haraka: { again: '250', refusedData: 'forgets', refusedMessage: 'forgets', secondMail: '250' },
  qpsmtpd: { again: '503', refusedData: 'forgets', refusedMessage: 'forgets', secondMail: '250' },
  Twisted: { again: '250', refusedData: 'forgets', refusedMessage: 'forgets', secondMail: '503', noop: '500' },
  aiosmtpd: { again: '250', refusedData: 'never', refusedMessage: 'forgets', secondMail: '503' },
  'go-smtp': {
    again: '250',
    againKeeps: true,
    refusedData: 'never',
    refusedMessage: 'forgets',
    secondMail: '250',
  },
  'smtp-server': { again: '250', refusedData: 'never', refusedMessage: 'forgets', secondMail: '503' },
  'Net::Server::Mail': {
    again: '250',
    refusedData: 'keeps',
    refusedMessage: 'forgets',
    secondMail: '503',
    parameter: 'BODY=8BITMIME',
  },
};

const FIRST = 'first@partner.example';
const SECOND = 'second@partner.example';
const U = 'u@local.example';
const V = 'v@local.example';
/** Said in transactions that never come to their end; nothing may ever reach it. */
const FORGOTTEN = 'forgotten@local.example';

const mail = (sender: string) => `MAIL FROM:<${sender}>`;
const rcpt = (recipient: string) => `RCPT TO:<${recipient}>`;
const code = (reply: string) => reply.slice(0, 3);

// Several servers at a time: most of it is waiting for programs to start.
suite('what ends a transaction', { concurrency: 4 }, () => {
  for (const server of ALL_SERVERS) {
    const ways = WAYS[server.name] as Ways;
    suite(server.name, { concurrency: false, skip: server.missing, timeout: 60_000 }, () => {
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

      /** A session up to its EHLO. */
      async function open(port = postern.port): Promise<Client> {
        const client = new Client(port);
        assert.match(await client.reply(), /^220/);
        assert.match(await client.say('EHLO client.example'), /^250/);
        return client;
      }

      async function codes(client: Client, lines: readonly string[]): Promise<string[]> {
        const replies: string[] = [];
        for (const line of lines) replies.push(code(await client.say(line)));
        return replies;
      }

      async function codesAtOnce(client: Client, lines: readonly string[]): Promise<string[]> {
        client.write(lines.map((line) => `${line}\r\n`).join(''));
        const replies: string[] = [];
        for (const _ of lines) replies.push(code(await client.reply()));
        return replies;
      }

      /** The content behind a 354, and that the message comes from this sender to these recipients and nobody else. */
      async function deliver(client: Client, sender: string, recipients: readonly string[]): Promise<void> {
        const { mark, content } = makeMessage();
        client.write(`${stuffed(content)}.\r\n`);
        assert.match(await client.reply(), /^250/);
        await assertReached(mark, sender, recipients);
      }

      async function assertReached(mark: string, sender: string, recipients: readonly string[]): Promise<void> {
        const messages = await sink.arrival(mark, recipients);
        assert.deepEqual(
          { senders: unique(messages.map((message) => message.sender)), recipients: reached(messages) },
          { senders: [sender], recipients: [...recipients].sort() },
        );
      }

      for (const verb of ['EHLO', 'HELO']) {
        const again = `${verb} again.example`;
        for (const way of ['command by command', 'pipelined'] as const) {
          test(`${verb} in mid-transaction, then another message, ${way}`, async () => {
            const client = await open();
            const say = way === 'pipelined' ? codesAtOnce : codes;
            if (ways.again === '250') {
              assert.deepEqual(await codes(client, [mail(FIRST), rcpt(FORGOTTEN)]), ['250', '250']);
              const lines = [again, mail(SECOND), rcpt(V), 'DATA'];
              assert.deepEqual(await say(client, lines), ['250', '250', '250', '354']);
              await deliver(client, SECOND, [V]);
            } else if (ways.secondMail === '250') {
              // Nor does the second MAIL belong to the first transaction: the server says so, and forgets that one.
              assert.deepEqual(await codes(client, [mail(FIRST), rcpt(FORGOTTEN)]), ['250', '250']);
              const lines = [again, mail(SECOND), rcpt(V), 'DATA'];
              assert.deepEqual(await say(client, lines), ['503', '250', '250', '354']);
              await deliver(client, SECOND, [V]);
            } else {
              assert.deepEqual(await codes(client, [mail(FIRST), rcpt(U)]), ['250', '250']);
              const lines = [again, mail(SECOND), rcpt(V), 'DATA'];
              assert.deepEqual(await say(client, lines), ['503', '503', '250', '354']);
              await deliver(client, FIRST, [U, V]);
            }
            client.close();
          });
        }

        test(`${verb} in mid-transaction, then DATA: no message where it was taken`, async () => {
          const client = await open();
          const recipient = ways.again === '250' ? FORGOTTEN : U;
          const refused = ways.again === '250' ? '503' : '354';
          const lines = [mail(FIRST), rcpt(recipient), again, 'DATA'];
          assert.deepEqual(await codes(client, lines), ['250', '250', ways.again, refused]);
          if (refused === '354') await deliver(client, FIRST, [U]);
          client.close();
        });

        test(`${verb} again, before and behind a message with parameters`, async () => {
          const client = await open();
          const parameter = verb === 'HELO' ? '' : ` ${ways.parameter ?? 'SIZE=100'}`;
          const lines = [again, `${mail(FIRST)}${parameter}`, rcpt(U), 'DATA'];
          assert.deepEqual(await codes(client, lines), [ways.again, '250', '250', '354']);
          await deliver(client, FIRST, [U]);
          // Three of them: behind more, Sendmail waits seconds at each.
          const behind = [again, 'RSET', `${mail(FIRST)}${parameter}`, 'QUIT'];
          assert.deepEqual(await codes(client, behind), [ways.again, '250', '250', '221']);
          client.close();
        });
      }

      if (ways.refusedData !== 'never') {
        for (const way of ['command by command', 'pipelined'] as const) {
          test(`DATA refused, then another message, ${way}`, async () => {
            const client = await open();
            const say = way === 'pipelined' ? codesAtOnce : codes;
            const refused = [mail(NO_DATA), rcpt(FORGOTTEN), 'DATA'];
            if (ways.refusedData === 'forgets') {
              const lines = [...refused, mail(SECOND), rcpt(V), 'DATA'];
              assert.deepEqual(await say(client, lines), ['250', '250', '451', '250', '250', '354']);
            } else {
              assert.deepEqual(await say(client, [...refused, mail(SECOND)]), ['250', '250', '451', '503']);
              const lines = ['RSET', mail(SECOND), rcpt(V), 'DATA'];
              assert.deepEqual(await say(client, lines), ['250', '250', '250', '354']);
            }
            await deliver(client, SECOND, [V]);
            client.close();
          });
        }

        test('DATA refused, RSET, then another message', async () => {
          const client = await open();
          const lines = [mail(NO_DATA), rcpt(FORGOTTEN), 'DATA', 'RSET', mail(SECOND), rcpt(V), 'DATA'];
          assert.deepEqual(await codes(client, lines), ['250', '250', '451', '250', '250', '250', '354']);
          await deliver(client, SECOND, [V]);
          client.close();
        });

        test('DATA refused, then more recipients and DATA without MAIL: nobody of the first hears of it', async () => {
          const client = await open();
          await codes(client, [mail(NO_DATA), rcpt(FORGOTTEN), 'DATA']);
          await codes(client, [mail(SECOND), 'RSET', rcpt(FORGOTTEN)]);
          assert.match(await client.say('DATA'), /^50[23]/);
          client.close();
        });
      }

      if (ways.refusedMessage !== 'never') {
        for (const way of ['command by command', 'pipelined'] as const) {
          test(`the end of data refused, then another message, ${way}`, async () => {
            const client = await open();
            const say = way === 'pipelined' ? codesAtOnce : codes;
            assert.deepEqual(await codes(client, [mail(NO_MESSAGE), rcpt(FORGOTTEN), 'DATA']), ['250', '250', '354']);
            client.write(`${stuffed(makeMessage().content)}.\r\n`);
            assert.match(await client.reply(), /^5/);
            const next = [mail(SECOND), rcpt(V), 'DATA'];
            if (ways.refusedMessage === 'keeps') {
              // The server still has sender and recipients of the refused one: none other may join them.
              assert.deepEqual(await say(client, [mail(SECOND), rcpt(FORGOTTEN), 'DATA']), ['503', '503', '503']);
              assert.match(await client.say('RSET'), /^250/);
            }
            assert.deepEqual(await say(client, next), ['250', '250', '354']);
            await deliver(client, SECOND, [V]);
            client.close();
          });
        }
      }

      for (const way of ['command by command', 'pipelined'] as const) {
        test(`a second MAIL is refused, and the message is the first sender’s, ${way}`, async () => {
          const client = await open();
          const say = way === 'pipelined' ? codesAtOnce : codes;
          const lines = [mail(FIRST), rcpt(U), mail(SECOND), rcpt(V), 'DATA'];
          assert.deepEqual(await say(client, lines), ['250', '250', '503', '250', '354']);
          await deliver(client, FIRST, [U, V]);
          client.close();
        });
      }

      test('all recipients refused by us, DATA, and RSET; then another message', async () => {
        const client = await open();
        const lines = [mail(FIRST), rcpt('victim@foreign.example'), 'DATA', 'RSET', mail(SECOND), rcpt(V), 'DATA'];
        assert.deepEqual(await codes(client, lines), ['250', '554', '503', '250', '250', '250', '354']);
        await deliver(client, SECOND, [V]);
        client.close();
      });

      test('BDAT for recipients that were all refused: its octets are no commands; then another message', async () => {
        const client = new Client(postern.port);
        await client.reply();
        const chunking = /^250[ -]CHUNKING\r$/m.test(await client.say('EHLO client.example'));
        const octets = `${rcpt(FORGOTTEN)}\r\n`;
        await codes(client, [mail(FIRST), rcpt('victim@foreign.example')]);
        if (server.name !== 'Courier') assert.match(await client.say(rcpt(NOBODY)), /^550/);
        client.write(`BDAT ${octets.length} LAST\r\n${octets}`);
        assert.match(await client.reply(), /^50[0-9]|^554/);
        if (!chunking) {
          assert.deepEqual(await client.rest(), []);
          client.close();
          return;
        }
        const next = code(await client.say(mail(SECOND)));
        if (next === '503') assert.deepEqual(await codes(client, ['RSET', mail(SECOND)]), ['250', '250']);
        else assert.equal(next, '250');
        assert.deepEqual(await codes(client, [rcpt(V), 'DATA']), ['250', '354']);
        await deliver(client, SECOND, [V]);
        client.close();
      });

      test('BDAT LAST refused by the server, then another message', async (t) => {
        const client = new Client(postern.port);
        await client.reply();
        if (!/^250[ -]CHUNKING\r$/m.test(await client.say('EHLO client.example'))) {
          client.close();
          t.diagnostic(`${server.name} does not offer CHUNKING`);
          return;
        }
        const { content } = makeMessage();
        await codes(client, [mail(NO_MESSAGE), rcpt(FORGOTTEN)]);
        client.write(`BDAT ${content.length} LAST\r\n${content}`);
        assert.match(await client.reply(), /^5/);
        const next = code(await client.say(mail(SECOND)));
        if (next === '503') assert.deepEqual(await codes(client, ['RSET', mail(SECOND)]), ['250', '250']);
        else assert.equal(next, '250');
        assert.deepEqual(await codes(client, [rcpt(V), 'DATA']), ['250', '354']);
        await deliver(client, SECOND, [V]);
        client.close();
      });

      test('NOOP in groups: each is answered, in its place', async () => {
        const noop = ways.noop ?? '250';
        const client = await open();
        const lines = ['NOOP', 'NOOP', mail(FIRST), 'NOOP', rcpt(U), 'NOOP', 'DATA'];
        assert.deepEqual(await codesAtOnce(client, lines), [noop, noop, '250', noop, '250', noop, '354']);
        await deliver(client, FIRST, [U]);
        assert.deepEqual(await codesAtOnce(client, ['NOOP', 'QUIT']), [noop, '221']);
        client.close();
      });

      test('a foreign recipient is never reached, whatever stands around it', async () => {
        const foreign = rcpt('victim@foreign.example');
        const client = await open();
        const lines = [
          mail(FIRST),
          foreign,
          'EHLO again.example',
          foreign,
          'RSET',
          mail(FIRST),
          foreign,
          rcpt(U),
          foreign,
        ];
        assert.deepEqual(await codes(client, lines), [
          '250',
          '554',
          ways.again,
          ways.again === '250' ? '503' : '554', // no transaction, or the first goes on
          '250',
          '250',
          '554',
          '250',
          '554',
        ]);
        assert.match(await client.say('DATA'), /^354/);
        await deliver(client, FIRST, [U]);
        client.close();
      });

      test('the table is right: so the server does without Postern', async () => {
        let client = await open(bed.port);
        assert.deepEqual(await codes(client, [mail(FIRST), rcpt(FORGOTTEN), 'EHLO again.example']), [
          '250',
          '250',
          ways.again,
        ]);
        const kept = ways.again === '503' || ways.againKeeps === true;
        assert.match(await client.say('DATA'), kept ? /^354/ : /^50[23]/);
        client.close();

        client = await open(bed.port);
        assert.deepEqual(await codes(client, [mail(FIRST), mail(SECOND)]), ['250', ways.secondMail]);
        client.close();

        client = await open(bed.port);
        const data = await codes(client, [mail(NO_DATA), rcpt(FORGOTTEN), 'DATA']);
        assert.equal(data[2], ways.refusedData === 'never' ? '354' : '451');
        if (ways.refusedData !== 'never') {
          assert.equal(code(await client.say(mail(SECOND))), ways.refusedData === 'keeps' ? '503' : '250');
        }
        client.close();

        if (ways.refusedMessage === 'never') return;
        client = await open(bed.port);
        await codes(client, [mail(NO_MESSAGE), rcpt(FORGOTTEN), 'DATA']);
        assert.match(await client.say('\r\n.'), /^5/);
        assert.equal(code(await client.say(mail(SECOND))), ways.refusedMessage === 'keeps' ? '503' : '250');
        client.close();
      });

      test('and nothing ever reached those who were forgotten', () => {
        const all = reached(sink.messages);
        assert.ok(all.includes(U) && all.includes(V));
        for (const nobody of [FORGOTTEN, 'victim@foreign.example', NOBODY]) assert.ok(!all.includes(nobody), nobody);
      });
    });
  }
});

// Of its own limit, the server here does not wait for the end of data.
test('go-smtp: 552 in mid-data reaches the client, and nothing of the message anybody', {
  skip: goSmtp.missing,
}, async () => {
  const sink = await Sink.start();
  const bed = await goSmtp.start(sink.port, await freePort());
  const postern = await startPostern(bed.port);
  try {
    const client = new Client(postern.port);
    await client.reply();
    for (const line of ['EHLO client.example', mail(FIRST), rcpt(FORGOTTEN), 'DATA']) await client.say(line);
    client.write(`${'x'.repeat(98)}\r\n`.repeat(2000));
    assert.match(await client.reply(), /^552 /);
    assert.deepEqual(await client.rest(), []);
    client.close();

    const next = new Client(postern.port);
    await next.reply();
    for (const line of ['EHLO client.example', mail(SECOND), rcpt(V), 'DATA']) await next.say(line);
    const { mark, content } = makeMessage();
    next.write(`${stuffed(content)}.\r\n`);
    assert.match(await next.reply(), /^250/);
    next.close();
    await sink.arrival(mark, [V]);
    assert.deepEqual(reached(sink.messages), [V]);
  } finally {
    await postern.stop();
    await bed.stop();
    await sink.stop();
  }
});

function unique(values: readonly string[]): string[] {
  return [...new Set(values)].sort();
}

function reached(messages: Sink['messages']): string[] {
  return unique(messages.flatMap(({ recipients }) => recipients));
}
