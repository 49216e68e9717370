// A server that leaves mail data before its end and reads the rest of it as commands: go-smtp 0.12.1, as Debian 12 has it, at the
// second line that is too long for it. What stands there it executes, and no proxy can call it back; so Postern must not send
// so much of a line: `text_line`.

import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { freePort } from '../helpers/free-port.ts';
import { openFirewall } from '../helpers/postern.ts';
import type { Bed } from './beds/bed.ts';
import { goSmtp } from './beds/libraries.ts';
import { Client } from './client.ts';
import { SmartHost } from './smart-host.ts';

const HIDDEN = 'MAIL FROM:<a@b.example>\r\nRCPT TO:<victim@foreign.example>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n';
const LONG_LINES = `${'x'.repeat(3000)}\r\n${'y'.repeat(6000)}\r\n${'z\r\n'.repeat(2000)}${HIDDEN}`;

suite('a server that leaves mail data', { skip: goSmtp.missing }, () => {
  let host: SmartHost;
  let bed: Bed;

  before(async () => {
    host = await SmartHost.listen();
    bed = await goSmtp.start(host.port, await freePort());
  });
  after(async () => {
    await bed.stop();
    await host.close();
  });

  /** What came out at the server's other end. */
  async function outOf(upstream: object): Promise<string[]> {
    host.recipients.length = 0;
    const connectors = [{ name: 'internet', remote_ip_ranges: ['any'] }];
    const postern = await openFirewall({
      listeners: [{ bind: ['127.0.0.1:0'] }],
      upstream: { servers: [`127.0.0.1:${bed.port}`], ...upstream },
      policy: { version: 1, accepted_domains: ['local.example'], connectors },
      admin: null,
    });
    const client = new Client(postern.port);
    await client.reply();
    for (const line of ['EHLO c', 'MAIL FROM:<s@sender.example>', 'RCPT TO:<u@local.example>', 'DATA'])
      await client.say(line);
    client.write(LONG_LINES);
    await client.rest();
    await host.quiet(1);
    await postern.close();
    return host.recipients.map(({ recipient }) => recipient);
  }

  test('takes a recipient out of a message with long lines, unless text_line says how long they may be', async () => {
    assert.deepEqual(await outOf({}), ['victim@foreign.example']);
    assert.deepEqual(await outOf({ text_line: 2000 }), []);
  });
});
