// TLS towards clients, as openssl s_client and swaks see it: STARTTLS and a port of its own, old and new versions, two
// certificates, tickets, a certificate of the client's, and new certificates under an old session.
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { Authority, type Certificate } from './certificates.ts';
import { run } from './children.ts';
import { makeMessage, RECIPIENT, SENDER, stuffed } from './messages.ts';
import { type ConfiguredPostern, startConfigured } from './postern.ts';
import { SClient } from './s-client.ts';
import { Sink } from './sink.ts';
import { missing } from './tools.ts';

const FOREIGN = 'someone@foreign.example';

suite('TLS towards clients', { skip: missing(['openssl', 'swaks']) }, () => {
  let authority: Authority;
  let strangers: Authority;
  let first: Certificate;
  let partner: Certificate;
  let sink: Sink;
  let postern: ConfiguredPostern;

  before(async () => {
    authority = new Authority();
    strangers = new Authority('Another authority');
    first = authority.issue(['mx.local.example']);
    partner = authority.issue(['gateway.partner.example']);
    const second = authority.issue(['mx.second.example', '*.third.example']);
    const certificates = [first, second].map(({ cert, key }) => ({ cert, key }));
    sink = await Sink.start();
    postern = await startConfigured({
      listeners: [
        { certificates, client_ca: authority.cert },
        { certificates, implicit_tls: true },
      ],
      upstream: { servers: [`127.0.0.1:${sink.port}`] },
      policy: {
        connectors: [
          {
            name: 'internet',
            remote_ip_ranges: ['any'],
            starttls: 'terminate',
            rules: [{ name: 'partner', allow: { tls_subject: ['*.partner.example'] } }],
          },
        ],
      },
    });
  });
  after(async () => {
    await postern?.stop();
    await sink?.stop();
  });

  const starttls = (...how: string[]) => new SClient(postern.port, '-starttls', 'smtp', ...how);
  const implicit = (...how: string[]) => new SClient(postern.ports[1] as number, ...how);
  /** A file with what a session gave to come back with. */
  async function ticketFrom(open: typeof starttls, ...how: string[]): Promise<string> {
    const file = join(authority.folder, 'session');
    rmSync(file, { force: true });
    const client = open('-sess_out', file, ...how);
    await client.until(/New, TLS/);
    if (open === implicit) await client.reply();
    await client.say('NOOP'); // the tickets of TLS 1.3 come behind the handshake
    client.type('Q');
    await client.ended;
    return file;
  }
  const trusting = () => ['-CAfile', authority.cert, '-verify_return_error'];

  for (const [way, open] of [
    ['STARTTLS', starttls],
    ['its own port', implicit],
  ] as const) {
    for (const version of ['1.2', '1.3'] as const) {
      test(`${way}, TLS ${version}: verified, and a message arrives byte for byte`, async () => {
        const names = ['-servername', 'mx.local.example', '-verify_hostname', 'mx.local.example'];
        const client = open(`-tls${version.replace('.', '_')}`, '-quiet', ...trusting(), ...names);
        if (way !== 'STARTTLS') assert.match(await client.reply(), /^220/);
        const offered = await client.say('EHLO client.example');
        assert.match(offered, /^250-PIPELINING\r$/m);
        assert.doesNotMatch(offered, /STARTTLS/);
        const { mark, content } = makeMessage();
        assert.match(await client.say(`MAIL FROM:<${SENDER}>`), /^250/);
        assert.match(await client.say(`RCPT TO:<${FOREIGN}>`), /^554 .*Relay access denied/);
        assert.match(await client.say(`RCPT TO:<${RECIPIENT}>`), /^250/);
        assert.match(await client.say('DATA'), /^354/);
        client.type(`${stuffed(content).replaceAll('\r\n', '\n')}.`);
        assert.match(await client.reply(), /^250/);
        assert.match(await client.say('QUIT'), /^221/);
        assert.equal(await client.ended, 0);
        const [message] = await sink.arrival(mark, [RECIPIENT]);
        assert.equal(message?.content, content);
        await postern.logged('session ended', { encryption_protocol: `TLSv${version}`, messages: 1 });
      });
    }

    test(`${way}, TLS 1.1: refused in the handshake`, async () => {
      const client = open('-tls1_1', '-cipher', 'DEFAULT@SECLEVEL=0');
      await client.complains(/alert protocol version/);
      assert.notEqual(await client.ended, 0);
    });

    for (const [name, subject] of [
      ['mx.local.example', 'mx.local.example'],
      ['mx.second.example', 'mx.second.example'],
      ['a.third.example', 'mx.second.example'],
      ['a.b.third.example', 'mx.local.example'],
      ['nobody.example', 'mx.local.example'],
    ] as const) {
      test(`${way}: who asks for ${name} is shown the certificate of ${subject}`, async () => {
        const client = open('-servername', name);
        await client.until(new RegExp(`^subject=CN = ${subject.replaceAll('.', '\\.')}$`, 'm'));
        client.close();
      });
    }

    test(`${way}: who asks for no name is shown the first certificate`, async () => {
      const client = open('-noservername');
      await client.until(/^subject=CN = mx\.local\.example$/m);
      client.close();
    });

    for (const version of ['-tls1_2', '-tls1_3'] as const) {
      test(`${way}, ${version}: a second session resumes the first`, async () => {
        const ticket = await ticketFrom(open, version);
        const another = open(version, '-sess_in', ticket);
        await another.until(/^Reused, TLSv1/m);
        another.close();
      });
    }

    test(`${way}: renegotiation is refused, and Postern lives on`, async () => {
      const client = open('-tls1_2');
      await client.until(/New, TLS/);
      if (way !== 'STARTTLS') await client.reply(); // openssl takes no greeting while it renegotiates
      client.type('R');
      await client.complains(/no renegotiation/);
      await client.ended;
      const next = open('-tls1_2');
      await next.until(/New, TLS/);
      next.close();
    });
  }

  for (const [whose, certificate, answer] of [
    ['of a partner, signed by our authority', () => partner, /^250/],
    ['of a partner, signed by somebody else', () => strangers.issue(['gateway.partner.example']), /^554/],
    ['that names no partner', () => first, /^554/],
  ] as const) {
    test(`a client with a certificate ${whose}: RCPT is answered with ${answer.source.slice(1)}`, async () => {
      const { cert, key } = certificate();
      const client = starttls('-quiet', '-cert', cert, '-key', key);
      await client.say('EHLO client.example');
      await client.say(`MAIL FROM:<${SENDER}>`);
      assert.match(await client.say(`RCPT TO:<${FOREIGN}>`), answer);
      await client.say('QUIT');
      await client.ended;
    });
  }

  test('swaks -tls and -tlsc deliver', async () => {
    for (const [port, way] of [
      [postern.port, '-tls'],
      [postern.ports[1], '-tlsc'],
    ] as const) {
      const { mark } = makeMessage();
      const header = ['--header', `X-Mark: ${mark}`];
      const envelope = ['--from', SENDER, '--to', RECIPIENT, ...header];
      const { code, output } = await run('swaks', ['--server', `127.0.0.1:${port}`, way, ...envelope]);
      assert.equal(code, 0, output);
      await sink.arrival(mark, [RECIPIENT]);
    }
  });

  test('after SIGHUP new sessions get the new certificate, an old one goes on, and its ticket still resumes', async () => {
    const old = starttls('-quiet');
    await old.say('EHLO client.example');
    const ticket = await ticketFrom(starttls);
    const renewed = authority.issue(['mx.local.example', 'renewed.local.example']);
    assert.equal(renewed.cert, first.cert);
    assert.notEqual(renewed.fingerprint, first.fingerprint);
    await postern.reload();
    const next = starttls(
      '-servername',
      'renewed.local.example',
      '-verify_hostname',
      'renewed.local.example',
      ...trusting(),
    );
    await next.until(/Verified peername: renewed\.local\.example/);
    next.close();
    const resumed = starttls('-sess_in', ticket);
    await resumed.until(/^Reused, TLSv1/m);
    resumed.close();
    assert.match(await old.say('NOOP'), /^250/);
    assert.match(await old.say('QUIT'), /^221/);
    await old.ended;
  });
});
