// Servers that take EHLO once in a connection and refuse the second with 503: OpenSMTPD (Already identified) and qpsmtpd
// (you already said HELO). Postern needs a second one behind the client's TLS, which ends here, and behind its own approach
// (TLS towards the server, XCLIENT, XFORWARD): mail has to come through all of them, and with what the server can.
//
// Neither of them offers XCLIENT or XFORWARD: Postern then goes on without.
import assert from 'node:assert/strict';
import { chmodSync, copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { freePort } from '../helpers/free-port.ts';
import { type Bed, HOST_NAME, makeFolder } from './beds/bed.ts';
import { opensmtpd, startOpensmtpd } from './beds/opensmtpd.ts';
import { qpsmtpd, startQpsmtpd } from './beds/qpsmtpd.ts';
import { Authority, type Certificate } from './certificates.ts';
import { Client } from './client.ts';
import { assertArrived, makeMessage, RECIPIENT, SENDER, stuffed } from './messages.ts';
import { startConfigured } from './postern.ts';
import { Sink } from './sink.ts';
import { missing } from './tools.ts';

interface Case {
  readonly server: string;
  readonly missing: string | false;
  readonly start: (smartHost: number, port: number) => Promise<Bed>;
  /** What it can, in its EHLO reply. */
  readonly offers: RegExp;
  /** Its STARTTLS is one that works, it fails, or there is none. */
  readonly starttls: 'works' | 'fails' | 'none';
}

let authority: Authority;
let certificate: Certificate;

/** Debian 12's OpenSMTPD 6.8, built with OpenSSL 3, offers STARTTLS and then cannot use its own key. */
async function opensmtpdWithTls(smartHost: number, port: number): Promise<Bed> {
  const own = join(makeFolder(), 'key.pem');
  copyFileSync(certificate.key, own);
  chmodSync(own, 0o600); // it refuses others
  const pki = [`pki ${HOST_NAME} cert "${certificate.cert}"`, `pki ${HOST_NAME} key "${own}"`];
  return startOpensmtpd(smartHost, port, pki, `tls pki ${HOST_NAME}`);
}

function qpsmtpdWithTls(smartHost: number, port: number): Promise<Bed> {
  return startQpsmtpd(smartHost, port, [`tls ${certificate.cert} ${certificate.key} ${authority.cert}`]);
}

const SERVERS: readonly Case[] = [
  {
    server: 'OpenSMTPD',
    missing: opensmtpd.missing,
    start: opensmtpd.start,
    offers: /^250-SIZE \d+\r$/m,
    starttls: 'none',
  },
  {
    server: 'OpenSMTPD with STARTTLS',
    missing: opensmtpd.missing,
    start: opensmtpdWithTls,
    offers: /^250-SIZE \d+\r$/m,
    starttls: 'fails',
  },
  {
    server: 'qpsmtpd',
    missing: qpsmtpd.missing,
    start: qpsmtpd.start,
    offers: /^250[ -]8BITMIME\r$/m,
    starttls: 'none',
  },
  {
    server: 'qpsmtpd with STARTTLS',
    missing: qpsmtpd.missing,
    start: qpsmtpdWithTls,
    offers: /^250[ -]8BITMIME\r$/m,
    starttls: 'works',
  },
];

/** Keys of `upstream`. */
const APPROACHES: readonly { readonly name: string; readonly upstream: () => object; readonly needsTls?: true }[] = [
  { name: 'in clear text', upstream: () => ({}) },
  { name: 'TLS towards the server, opportunistic', upstream: () => ({ tls: { mode: 'opportunistic' } }) },
  {
    name: 'TLS towards the server, required',
    upstream: () => ({ tls: { mode: 'require', ca: authority.cert } }),
    needsTls: true,
  },
  { name: 'identity: xclient', upstream: () => ({ identity: 'xclient' }) },
  { name: 'identity: xforward', upstream: () => ({ identity: 'xforward' }) },
  {
    name: 'identity: xclient, inside opportunistic TLS',
    upstream: () => ({ identity: 'xclient', tls: { mode: 'opportunistic' } }),
  },
];

suite('a server that takes EHLO once', { concurrency: 4, skip: missing(['openssl']) }, () => {
  before(() => {
    authority = new Authority();
    certificate = authority.issue([HOST_NAME, 'IP:127.0.0.1']);
  });

  for (const { server, missing, start, offers, starttls } of SERVERS) {
    suite(server, { concurrency: false, skip: missing, timeout: 60_000 }, () => {
      let sink: Sink;
      let bed: Bed;
      before(async () => {
        sink = await Sink.start();
        bed = await start(sink.port, await freePort());
      });
      after(async () => {
        await bed?.stop();
        await sink?.stop();
      });

      for (const { name, upstream, needsTls } of APPROACHES) {
        const tls = /TLS/.test(name);
        if (needsTls && starttls !== 'works') continue;
        if (starttls !== 'none' && !tls) continue; // asked without STARTTLS
        test(name, async () => {
          const postern = await startConfigured({
            listeners: [{ certificates: [{ cert: certificate.cert, key: certificate.key }] }],
            upstream: { servers: [`127.0.0.1:${bed.port}`], ...upstream() },
            policy: { connectors: [{ name: 'internet', remote_ip_ranges: ['any'], starttls: 'terminate' }] },
          });
          try {
            await inClear(postern.port);
            for (const hello of ['EHLO', 'HELO']) await behindStarttls(postern.port, hello);
          } finally {
            await postern.stop();
          }
        });
      }

      async function inClear(port: number): Promise<void> {
        const client = new Client(port);
        assert.match(await client.reply(), /^220/);
        const offered = await client.say('EHLO client.example');
        assert.match(offered, offers);
        assert.match(offered, /^250[ -]STARTTLS\r$/m);
        // Taken or refused, it changes nothing.
        assert.match(await client.say('EHLO client.example'), /^(?:250|503)/);
        await assertTakesOne(client, ' BODY=8BITMIME');
        assert.match(await client.say('QUIT'), /^221/);
        client.close();
      }

      async function behindStarttls(port: number, hello: string): Promise<void> {
        const client = new Client(port);
        assert.match(await client.reply(), /^220/);
        assert.match(await client.say('EHLO client.example'), /^250[ -]STARTTLS\r$/m);
        assert.match(await client.say('STARTTLS'), /^220/);
        await client.shakeHands();
        const offered = await client.say(`${hello} client.example`);
        assert.match(offered, /^250/);
        if (hello === 'EHLO') assert.match(offered, offers);
        assert.doesNotMatch(offered, /STARTTLS|XCLIENT|XFORWARD/);
        await assertTakesOne(client, hello === 'EHLO' ? ' BODY=8BITMIME' : '');
        assert.match(await client.say('QUIT'), /^221/);
        client.close();
      }

      async function assertTakesOne(client: Client, parameter: string): Promise<void> {
        const { mark, content } = makeMessage();
        assert.match(await client.say(`MAIL FROM:<${SENDER}>${parameter}`), /^250/);
        assert.match(await client.say('RCPT TO:<victim@foreign.example>'), /^554/);
        assert.match(await client.say(`RCPT TO:<${RECIPIENT}>`), /^250/);
        assert.match(await client.say('DATA'), /^354/);
        client.write(`${stuffed(content)}.\r\n`);
        assert.match(await client.reply(), /^250/);
        const messages = await sink.arrival(mark, [RECIPIENT]);
        for (const message of messages) assertArrived(message, content);
        assert.ok(!sink.messages.some(({ recipients }) => recipients.includes('victim@foreign.example')));
      }
    });
  }
});
