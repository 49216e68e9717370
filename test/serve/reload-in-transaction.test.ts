// A reload while a transaction is open, whose server does not let EHLO end it: a MAIL that the new policy refuses leaves it open there, so
// who it may reach is still what the policy said that let it begin. Found by the fuzzer, seed 401.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openFirewall } from '../helpers/postern.ts';
import { SmtpClient } from '../helpers/smtp-client.ts';
import { UpstreamStandIn } from '../helpers/upstream-stand-in.ts';

function configOf(upstream: number, policy: object, connector: object): Record<string, unknown> {
  const only = { name: 'internet', remote_ip_ranges: ['any'], ...connector };
  return {
    listeners: [{ bind: ['127.0.0.1:0'] }],
    upstream: { servers: [`127.0.0.1:${upstream}`] },
    lost_address_guard: 'warn',
    admin: null,
    policy: { version: 1, accepted_domains: ['local.example'], connectors: [only], ...policy },
  };
}

test('what one policy allows to send and only another allows to reach does not pass', async (t) => {
  const server = await UpstreamStandIn.listen({ dialect: 'strict', backend: { reply: { EHLO: '502 5.5.1 no' } } });
  t.after(() => server.close());
  const firewall = await openFirewall(configOf(server.port, {}, {}));
  t.after(() => firewall.close());
  const client = new SmtpClient(firewall.port);
  const say = async (line: string): Promise<string> => {
    await client.write(Buffer.from(`${line}\r\n`));
    return (await client.reply())?.code ?? 'closed';
  };
  const reload = (policy: object, connector: object): Promise<void> =>
    firewall.reload(configOf(server.port, policy, connector));

  assert.equal((await client.reply())?.code, '220');
  assert.equal(await say('HELO client.example'), '250');
  assert.equal(await say('MAIL FROM:<a@sender.example>'), '250');
  await reload({ relay_domains: ['partner.example'] }, { submit: 'authenticated' });
  assert.equal(await say('EHLO client.example'), '502');
  assert.equal(await say('MAIL FROM:<a@sender.example>'), '530');
  assert.equal(await say('RCPT TO:<u@partner.example>'), '554'); // relayed to now, and by whom is not asked anew
  assert.equal(await say('RCPT TO:<u@local.example>'), '250');

  await reload({ relay_domains: ['partner.example'] }, {});
  assert.equal(await say('RSET'), '250');
  assert.equal(await say('MAIL FROM:<a@sender.example>'), '250');
  assert.equal(await say('RCPT TO:<u@partner.example>'), '250');
  client.destroy();
});
