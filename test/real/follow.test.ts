// One mail is followed through Postern into the server behind with one word: the queue id of the line is Postfix' own.
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { freePort } from '../helpers/free-port.ts';
import type { Bed } from './beds/bed.ts';
import { NO_MESSAGE, NOBODY } from './beds/bed.ts';
import { postfix, startPostfix } from './beds/postfix.ts';
import { Client } from './client.ts';
import { makeMessage, RECIPIENT, SENDER, stuffed } from './messages.ts';
import { type ConfiguredPostern, startConfigured } from './postern.ts';
import { Sink } from './sink.ts';

const PARTNER = 'carol@elsewhere.example';

suite('a mail through Postern to Postfix', { skip: postfix.missing }, () => {
  let sink: Sink;
  let bed: Bed;
  let postern: ConfiguredPostern;

  before(async () => {
    sink = await Sink.start();
    bed = await startPostfix(sink.port, await freePort());
    const rules = [{ name: 'partner', allow: { recipient_domains: ['elsewhere.example'] } }];
    postern = await startConfigured({
      upstream: { servers: [`127.0.0.1:${bed.port}`] },
      policy: { connectors: [{ name: 'internet', remote_ip_ranges: ['any'], rules }] },
    });
  });
  after(async () => {
    await postern?.stop();
    await bed?.stop();
    await sink?.stop();
  });

  async function send(sender: string, recipients: readonly string[]): Promise<string> {
    const client = new Client(postern.port);
    await client.reply();
    await client.say('EHLO client.example');
    await client.say(`MAIL FROM:<${sender}>`);
    for (const recipient of recipients) await client.say(`RCPT TO:<${recipient}>`);
    await client.say('DATA');
    client.write(`${stuffed(makeMessage().content)}.\r\n`);
    const reply = await client.reply();
    await client.say('QUIT');
    client.close();
    return reply.trimEnd();
  }

  test('has one line whose queue id is the one in the log of Postfix', async () => {
    const reply = await send(SENDER, [RECIPIENT, NOBODY, 'x@foreign.example', PARTNER]);
    const line = await postern.logged('message', { sender: SENDER });
    assert.equal(line.reply, reply);
    assert.equal(line.relayed, true);
    assert.deepEqual(
      (line.recipients as Record<string, unknown>[]).map(({ recipient, rule, answer }) => [recipient, rule, answer]),
      [
        [RECIPIENT, undefined, 'accepted'],
        [NOBODY, undefined, 'refused'],
        [PARTNER, 'partner', 'accepted'],
        ['x@foreign.example', undefined, undefined],
      ],
    );
    const id = /queued as (\w+)/.exec(String(line.reply))?.[1];
    assert.ok(id !== undefined, String(line.reply));
    for (const recipient of [RECIPIENT, PARTNER]) await bed.said(new RegExp(`${id}: to=<${recipient}>.*status=sent`));
  });

  test('has one that says so where Postfix refuses it at its end', async () => {
    const reply = await send(NO_MESSAGE, [RECIPIENT]);
    const line = await postern.logged('message', { sender: NO_MESSAGE });
    assert.deepEqual([line.answer, line.reply, line.relayed], ['refused', reply, false]);
    assert.ok(Number(line.octets) > 1000);
  });
});
