// Lines that old and simple senders write and that Postern hands on as they came: the four real servers read them as our
// grammar does. Each row goes to every server alone and through Postern; the replies are of one class, and whatever is
// delivered has the sender and the recipient that we judged, and no other.
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { freePort } from '../helpers/free-port.ts';
import { MAIL_SERVERS } from './beds/all.ts';
import type { Bed } from './beds/bed.ts';
import { Client } from './client.ts';
import { makeMessage, RECIPIENT, SENDER } from './messages.ts';
import { type Postern, startPostern } from './postern.ts';
import { Sink } from './sink.ts';

interface Row {
  readonly name: string;
  readonly hello: string;
  readonly mail?: string;
  readonly rcpt?: string;
}

const ROWS: readonly Row[] = [
  // R's sendmailR 1.4.0
  {
    name: 'two blanks everywhere',
    hello: 'HELO  vm',
    mail: `MAIL FROM:  <${SENDER}>`,
    rcpt: `RCPT TO:  <${RECIPIENT}>`,
  },
  { name: 'many blanks behind EHLO', hello: 'EHLO     vm' },
  {
    name: 'many blanks behind the colons',
    hello: 'EHLO vm',
    mail: `MAIL FROM:     <${SENDER}>`,
    rcpt: `RCPT TO:     <${RECIPIENT}>`,
  },
  { name: 'blanks and no brackets', hello: 'EHLO vm', mail: `MAIL FROM:  ${SENDER}`, rcpt: `RCPT TO:  ${RECIPIENT}` },
  { name: 'blanks within the brackets of a sender', hello: 'EHLO vm', mail: `MAIL FROM:< ${SENDER} >` },
  { name: 'a name in UTF-8', hello: 'EHLO Po\xc4\x8d\xc3\xadta\xc4\x8d' },
  { name: 'EHLO without a name', hello: 'EHLO' },
  { name: 'HELO without a name', hello: 'HELO' },
  { name: 'HELO with a blank for a name', hello: 'HELO ' },
  ...[
    ...['SIZE=10', 'BODY=7BIT', 'BODY=8BITMIME', 'RET=FULL', 'RET=HDRS', 'ENVID=QQ314159', 'AUTH=<>'],
    ...['AUTH=e+3Dmc2@example.com', 'SIZE=10 BODY=8BITMIME RET=HDRS ENVID=a+2Bb AUTH=<>'],
  ].flatMap((words) => [
    { name: `${words} behind EHLO`, hello: 'EHLO vm', mail: `MAIL FROM:<${SENDER}> ${words}` },
    { name: `${words} behind HELO`, hello: 'HELO vm', mail: `MAIL FROM:<${SENDER}> ${words}` },
  ]),
  ...[
    ...['NOTIFY=NEVER', 'NOTIFY=SUCCESS,FAILURE,DELAY', 'ORCPT=rfc822;carol@local.example'],
    'NOTIFY=FAILURE ORCPT=rfc822;bob+2Bnews@local.example',
  ].flatMap((words) => [
    { name: `${words} behind EHLO`, hello: 'EHLO vm', rcpt: `RCPT TO:<${RECIPIENT}> ${words}` },
    { name: `${words} behind HELO`, hello: 'HELO vm', rcpt: `RCPT TO:<${RECIPIENT}> ${words}` },
  ]),
];

/** The classes of the replies to the three lines, and the mark of the message where it was taken. */
async function play(port: number, row: Row): Promise<{ classes: string; mark: string | null }> {
  const { hello, mail = `MAIL FROM:<${SENDER}>`, rcpt = `RCPT TO:<${RECIPIENT}>` } = row;
  const client = new Client(port);
  try {
    await client.reply();
    const classes: string[] = [];
    for (const line of [hello, mail, rcpt]) {
      const reply = await client.say(line);
      classes.push(`${reply[0]}yz`);
      if (!reply.startsWith('2')) return { classes: classes.join(' '), mark: null };
    }
    const { mark, content } = makeMessage();
    assert.match(await client.say('DATA'), /^354/);
    client.write(`${content.replace(/(^|\r\n)\./g, '$1..')}.\r\n`);
    assert.match(await client.reply(), /^250/);
    return { classes: classes.join(' '), mark };
  } finally {
    client.close();
  }
}

for (const server of MAIL_SERVERS) {
  suite(`honest lines read by ${server.name}`, { skip: server.missing, concurrency: 8 }, () => {
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

    for (const row of ROWS) {
      test(row.name, async () => {
        const alone = await play(bed.port, row);
        const through = await play(postern.port, row);
        assert.equal(through.classes, alone.classes);
        for (const { mark } of [alone, through]) {
          if (mark === null) continue;
          const [message, ...others] = await sink.arrival(mark, [RECIPIENT]);
          assert.deepEqual(others, []);
          assert.equal(message?.sender, SENDER);
          assert.deepEqual(message?.recipients, [RECIPIENT]);
        }
      });
    }
  });
}
