// `starttls: passthrough`: on a connector that may relay anywhere STARTTLS goes through to the server, which shows its own
// certificate, and what follows is nothing that Postern reads.
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { freePort } from '../helpers/free-port.ts';
import type { Bed } from './beds/bed.ts';
import { postfix, startPostfix } from './beds/postfix.ts';
import { Authority, type Certificate } from './certificates.ts';
import { run } from './children.ts';
import { makeMessage, RECIPIENT, SENDER } from './messages.ts';
import { type ConfiguredPostern, startConfigured } from './postern.ts';
import { SClient } from './s-client.ts';
import { Sink } from './sink.ts';
import { missing } from './tools.ts';

const skip = missing(['openssl', 'swaks']) || postfix.missing;

suite('STARTTLS through Postern to Postfix', { skip }, () => {
  let authority: Authority;
  let certificate: Certificate;
  let sink: Sink;
  let server: Bed;
  let postern: ConfiguredPostern;

  before(async () => {
    authority = new Authority();
    certificate = authority.issue(['mail.local.example']);
    sink = await Sink.start();
    server = await startPostfix(sink.port, await freePort(), {
      main: [
        `smtpd_tls_cert_file = ${certificate.cert}`,
        `smtpd_tls_key_file = ${certificate.key}`,
        'smtpd_tls_security_level = may',
        'smtpd_tls_received_header = yes',
      ],
    });
    postern = await startConfigured({
      upstream: { servers: [`127.0.0.1:${server.port}`] },
      policy: {
        connectors: [
          { name: 'internet', remote_ip_ranges: ['any'] },
          {
            name: 'other-site',
            remote_ip_ranges: ['127.0.0.1/32'],
            starttls: 'passthrough',
            rules: [{ name: 'all', allow: {} }],
          },
        ],
      },
    });
  });
  after(async () => {
    await postern?.stop();
    await server?.stop();
    await sink?.stop();
  });

  test('the client sees the certificate of the server', async () => {
    const names = ['-servername', 'mail.local.example', '-verify_hostname', 'mail.local.example'];
    const client = new SClient(
      postern.port,
      '-starttls',
      'smtp',
      '-CAfile',
      authority.cert,
      '-verify_return_error',
      ...names,
    );
    await client.until(/Verified peername: mail\.local\.example/);
    client.close();
    await postern.logged('TLS passes through: from here on nothing is read');
    await postern.logged('session ended', { connector: 'other-site' });
  });

  test('swaks -tls delivers what Postern cannot read, a foreign recipient too, and the log says so', async () => {
    const { mark } = makeMessage();
    const to = `${RECIPIENT},someone@foreign.example`;
    const envelope = ['--from', SENDER, '--to', to, '--header', `X-Mark: ${mark}`];
    const { code, output } = await run('swaks', ['--server', `127.0.0.1:${postern.port}`, '-tls', ...envelope]);
    assert.equal(code, 0, output);
    const [message] = await sink.arrival(mark, [RECIPIENT, 'someone@foreign.example']);
    assert.match(message?.content ?? '', /\(using TLSv1\.3 with cipher /);
    await postern.logged('TLS passes through: from here on nothing is read', { connector: 'other-site' });
    const { octets_from_client } = await postern.logged('session ended', { connector: 'other-site', messages: 0 });
    assert.ok(Number(octets_from_client) > 1000, `what went through is counted: ${octets_from_client}`);
  });

  test('on a connector that may not relay anywhere the server’s STARTTLS is hidden', async () => {
    const from = ['--local-interface', '127.0.0.41'];
    const envelope = ['--from', SENDER, '--to', RECIPIENT];
    const { code, output } = await run('swaks', [
      '--server',
      `127.0.0.1:${postern.port}`,
      '-tls',
      ...from,
      ...envelope,
    ]);
    assert.notEqual(code, 0);
    assert.match(output, /STARTTLS.*not (?:advertised|supported)|host did not advertise STARTTLS/i);
  });
});
