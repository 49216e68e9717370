// The two doors of docs/servers-behind.md, with a real Postfix: one that relays for nobody, and one at a port of its own that
// relays for Postern. Printers are served by the second; a policy that was opened by mistake for the world opens nothing,
// since the first door refuses by itself; and check --live knows the two apart.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite, test } from 'node:test';
import { check } from '../../src/commands/check.ts';
import { freePort } from '../helpers/free-port.ts';
import { makeFolder } from './beds/bed.ts';
import { postfix, startPostfix } from './beds/postfix.ts';
import { Client } from './client.ts';
import { startConfigured } from './postern.ts';
import { Sink } from './sink.ts';

const POSTERN = '127.0.0.1/32';
const FOREIGN = 'x@foreign.example';

/** A connector of the world that somebody has opened by mistake, and one of a single printer. */
function policyOf(upstream: string): object {
  const rules = [{ name: 'all', allow: {} }];
  return {
    connectors: [
      { name: 'internet', remote_ip_ranges: ['any'], starttls: 'hide', rules, i_know_this_is_open: true },
      { name: 'printers', remote_ip_ranges: ['127.0.0.9'], rules, upstream },
    ],
  };
}

async function rcpt(port: number, localAddress: string): Promise<{ reply: string; client: Client }> {
  const client = new Client(port, localAddress);
  assert.match(await client.reply(), /^220/);
  assert.match(await client.say('EHLO client.example'), /^250/);
  assert.match(await client.say('MAIL FROM:<scanner@local.example>'), /^250/);
  return { reply: await client.say(`RCPT TO:<${FOREIGN}>`), client };
}

suite('two doors to one Postfix', { skip: postfix.missing, timeout: 120_000 }, () => {
  test('printers relay through theirs, and the world does not, whatever the policy says', async () => {
    const sink = await Sink.start();
    const [closed, relaying] = [await freePort(), await freePort()];
    const bed = await startPostfix(sink.port, closed, {
      main: ['mynetworks = 192.0.2.1/32', 'mydestination = local.example', 'local_recipient_maps = inline:{user=x}'],
      ports: new Map([[relaying, [`mynetworks=${POSTERN}`, 'smtpd_relay_restrictions=permit_mynetworks,reject']]]),
    });
    const upstream = { servers: [`127.0.0.1:${closed}`] };
    const upstreams = { relay: { servers: [`127.0.0.1:${relaying}`] } };
    const postern = await startConfigured({ upstream, policy: policyOf('relay'), others: { upstreams } });
    try {
      const printer = await rcpt(postern.port, '127.0.0.9');
      assert.match(printer.reply, /^250/);
      assert.match(await printer.client.say('DATA'), /^354/);
      assert.match(await printer.client.say('Subject: scan\r\n\r\nscanned\r\n.'), /^250/);
      await postern.logged('message', { server: `127.0.0.1:${relaying}`, connector: 'printers', relayed: true });
      await sink.arrival('scanned', [FOREIGN]);

      const stranger = await rcpt(postern.port, '127.0.0.2');
      assert.match(stranger.reply, /^554 5\.7\.1 .*Relay access denied/, 'Postfix says it');

      const file = join(makeFolder(), 'live.yaml');
      const policy = { version: 1, accepted_domains: ['local.example'], ...policyOf('relay') };
      writeFileSync(file, JSON.stringify({ upstream, upstreams, policy, admin: null, lost_address_guard: 'warn' }));
      const lines: string[] = [];
      const out = { stdout: (text: string) => void lines.push(text), stderr: () => {}, isTTY: false };
      await check([file, '--live'], out, { pace: 0, wait: async () => {} });
      const said = lines.join('');
      assert.match(
        said,
        new RegExp(`warning: upstream\\.servers\\[0\\]: 127\\.0\\.0\\.1:${closed} refuses what 'internet' may relay`),
      );
      assert.match(
        said,
        new RegExp(`note: upstreams\\.relay\\.servers\\[0\\]: 127\\.0\\.0\\.1:${relaying} relays for this machine`),
      );
    } finally {
      await postern.stop();
      await bed.stop();
      await sink.stop();
    }
  });
});
