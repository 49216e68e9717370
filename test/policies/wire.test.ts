// The presets beyond yes and no: what the EHLO reply of each version still offers, to strangers and to the other
// servers, and the limits of the default receive connectors (exchange.md 4.3).

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { loadPolicy } from '../../src/config/load.ts';
import type { SmtpClient } from '../helpers/smtp-client.ts';
import { type LivePolicy, openLivePolicy } from './live-policy.ts';
import { type Preset, VERSIONS } from './versions.ts';

const FOLDER = fileURLToPath(new URL('../../policies/', import.meta.url));
/** An address of ours that no connector binds. */
const LOCAL = { address: '192.0.2.25', port: 25 };
const STRANGER = '203.0.113.7';

const TOO_MANY_CONNECTIONS =
  '421 4.3.2 The maximum number of concurrent connections has exceeded a limit, closing transmission channel\r\n';

async function withPolicy(preset: Preset, use: (live: LivePolicy) => Promise<void>): Promise<void> {
  const live = await openLivePolicy(`${FOLDER}${preset}.yaml`, VERSIONS[preset]);
  await use(live).finally(() => live.close());
}

async function greeted(live: LivePolicy, source: string): Promise<{ client: SmtpClient; greeting: string }> {
  const client = await live.enter({ source, local: LOCAL });
  return { client, greeting: (await client.reply())?.text ?? '' };
}

/** The reply to octets that ask for one. */
async function say(client: SmtpClient, octets: string): Promise<string> {
  await client.write(Buffer.from(octets, 'latin1'));
  return (await client.reply())?.text ?? '';
}

async function offeredTo(live: LivePolicy, source: string): Promise<string[]> {
  const { client } = await greeted(live, source);
  const lines = (await say(client, 'EHLO client.example\r\n')).split('\r\n').slice(1, -1);
  client.destroy();
  return lines.map((line) => line.slice(4));
}

/** Keywords that are taken out for strangers; the rest stands, in the server's order. */
const TAKEN_OUT: Readonly<Record<Preset, RegExp>> = {
  'exchange-5.5': /^(XEXCH50|ETRN)$/,
  'exchange-2000': /^(TURN|ATRN|ETRN|X-EXPS.*|X-LINK2STATE|XEXCH50)$/,
  'exchange-2003': /^(TURN|ATRN|ETRN|X-EXPS.*|X-LINK2STATE|XEXCH50)$/,
  'exchange-2007': /^(STARTTLS|X-ANONYMOUSTLS|X-EXPS.*|XEXCH50)$/,
  'exchange-2010': /^(STARTTLS|X-ANONYMOUSTLS|X-EXPS.*|XEXCH50|XRDST|XSHADOW)$/,
  postfix: /^(ETRN|STARTTLS)$/,
  closed: /^(ETRN|STARTTLS)$/,
  appliance: /^$/,
};

for (const preset of Object.keys(VERSIONS) as Preset[]) {
  test(`${preset} lets the banner and the keywords of its server pass, but those that lead around the policy`, () =>
    withPolicy(preset, async (live) => {
      const { keywords, greeting } = VERSIONS[preset];
      const expected = keywords.filter((keyword) => !TAKEN_OUT[preset].test(keyword));
      assert.deepEqual(await offeredTo(live, STRANGER), expected);
      const stranger = await greeted(live, STRANGER);
      assert.equal(stranger.greeting, `${greeting}\r\n`);
      stranger.client.destroy();
    }));
}

for (const [preset, server, kept] of [
  ['exchange-2000', '10.20.0.26', ['X-EXPS GSSAPI NTLM LOGIN', 'X-EXPS=LOGIN', 'X-LINK2STATE', 'XEXCH50']],
  ['exchange-2007', '10.20.0.27', ['X-EXPS GSSAPI NTLM', 'XEXCH50']],
  ['exchange-2010', '10.20.44.10', ['X-EXPS GSSAPI NTLM', 'XEXCH50', 'XRDST', 'XSHADOW']],
] as const) {
  test(`${preset} lets the other servers speak as Exchange does among itself`, () =>
    withPolicy(preset, async (live) => {
      const strangers = await offeredTo(live, STRANGER);
      const servers = await offeredTo(live, server);
      assert.deepEqual(
        servers.filter((keyword) => !strangers.includes(keyword)),
        kept,
      );
      const blob = '\r\nRCPT TO:<x@foreign.example>\r\n';
      const { client } = await greeted(live, server);
      await say(client, 'EHLO server.example.com\r\nMAIL FROM:<a@example.com>\r\n');
      await client.reply();
      assert.match(await say(client, 'RCPT TO:<x@foreign.example>\r\n'), /^250/);
      assert.match(await say(client, `XEXCH50 ${blob.length} 2\r\n`), /^354/);
      assert.match(await say(client, blob), /^250 2\.0\.0 binary data taken/);
      client.destroy();
      const stranger = await greeted(live, STRANGER);
      await say(stranger.client, 'EHLO client.example\r\n');
      assert.equal(await say(stranger.client, `XEXCH50 ${blob.length} 2\r\n`), '502 5.5.1 Command not available\r\n');
      stranger.client.destroy();
    }));
}

for (const preset of ['exchange-2007', 'exchange-2010'] as const) {
  test(`${preset} takes MaxRecipientsPerMessage recipients, and the rest may come again`, () =>
    withPolicy(preset, async (live) => {
      const { client } = await greeted(live, STRANGER);
      await say(client, 'EHLO client.example\r\n');
      await say(client, 'MAIL FROM:<>\r\n');
      await client.write(Buffer.from('RCPT TO:<user@example.com>\r\n'.repeat(201)));
      const replies: string[] = [];
      while (replies.length < 201) replies.push((await client.reply())?.text ?? '');
      assert.deepEqual(new Set(replies.slice(0, 200)), new Set([`${VERSIONS[preset].rcpt}\r\n`]));
      assert.equal(replies[200], '452 4.5.3 Too many recipients\r\n');
      client.destroy();
    }));

  test(`${preset} takes MaxInboundConnectionPerSource connections from one address, and one from another`, () =>
    withPolicy(preset, async (live) => {
      const clients: SmtpClient[] = [];
      const greetingFor = async (source: string): Promise<string> => {
        const { client, greeting } = await greeted(live, source);
        clients.push(client);
        return greeting;
      };
      for (let count = 0; count < 20; count++) assert.match(await greetingFor(STRANGER), /^220/);
      assert.equal(await greetingFor(STRANGER), TOO_MANY_CONNECTIONS);
      assert.match(await greetingFor('203.0.113.8'), /^220/);
      for (const client of clients) client.destroy();
    }));

  test(`${preset} holds 5yz back for TarpitInterval from who has not logged in, on every connector`, () => {
    const { policy } = loadPolicy(`${FOLDER}${preset}.yaml`);
    const tarpits = policy?.connectors.map(({ name, profile }) => [name, profile.tarpit]) ?? [];
    assert.deepEqual([...new Set(tarpits.map(([, tarpit]) => tarpit))], [5000]);
  });

  test(`${preset} takes five messages a minute from a client of the client connector, as MessageRateLimit says`, () =>
    withPolicy(preset, async (live) => {
      const local = { address: '10.20.0.25', port: 587 };
      const client = await live.enter({ source: STRANGER, local });
      await client.reply();
      await say(client, 'EHLO client.example\r\n');
      await say(client, `AUTH LOGIN\r\n`);
      await say(client, `${Buffer.from('CORP\\carol').toString('base64')}\r\n`);
      assert.match(await say(client, 'c2VjcmV0\r\n'), /^235/);
      for (let message = 0; message < 5; message++) {
        assert.match(await say(client, 'MAIL FROM:<carol@example.com>\r\n'), /^250/);
        await say(client, 'RSET\r\n');
      }
      const sixth = await say(client, 'MAIL FROM:<carol@example.com>\r\n');
      assert.equal(sixth, '450 4.4.2 Message submission rate for this client has exceeded the configured limit\r\n');
      client.destroy();
    }));

  test(`${preset} forgives MaxProtocolErrors errors`, () =>
    withPolicy(preset, async (live) => {
      const { client } = await greeted(live, STRANGER);
      await say(client, 'EHLO client.example\r\n');
      for (let errors = 0; errors < 5; errors++) assert.match(await say(client, 'FROBNICATE\r\n'), /^500/);
      assert.match(await say(client, 'FROBNICATE\r\n'), /^421 4\.7\.0 Too many errors/);
      await client.end();
      client.destroy();
    }));
}
