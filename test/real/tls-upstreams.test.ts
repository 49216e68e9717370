// TLS towards the server: Postfix and Exim behind Postern, reached as the configuration demands or not at all. The client
// speaks clear text, and the server still hears the client's own HELO.
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { freePort } from '../helpers/free-port.ts';
import { exim, startExim } from './beds/exim.ts';
import { postfix, startPostfix } from './beds/postfix.ts';
import { Authority, type Certificate } from './certificates.ts';
import { Client } from './client.ts';
import { assertArrived, hand, makeMessage, RECIPIENT } from './messages.ts';
import { type ConfiguredPostern, startConfigured } from './postern.ts';
import { Sink } from './sink.ts';
import { missing } from './tools.ts';

/** Where a server listens for what. */
interface Ports {
  readonly starttls: number;
  readonly implicit: number;
  readonly clear: number;
  /** TLS 1.0 with RSA and AES-CBC, all that SChannel of Windows Server 2003 and 2008 has in common with us. */
  readonly old: number;
  stop(): Promise<void>;
}

interface Server {
  readonly name: string;
  readonly missing: string | false;
  start(smartHost: number, certificate: Certificate, old: Certificate): Promise<Ports>;
  /** What the trace field begins with that it puts on top of a message; null is clear text. */
  received(version: 'TLSv1.3' | 'TLSv1' | null): RegExp;
}

const postfixServer: Server = {
  name: 'Postfix',
  missing: postfix.missing,
  received: (version) =>
    version === null
      ? /^Received: from client\.example .*\r\n\tby local\.example \(Postfix\) with ESMTP id /
      : new RegExp(`^Received: from client\\.example .*\r\n\t\\(using ${version} with cipher `),
  async start(smartHost, { cert, key }, rsa) {
    const [starttls, implicit, clear, old] = [await freePort(), await freePort(), await freePort(), await freePort()];
    const bed = await startPostfix(smartHost, starttls, {
      main: [
        `smtpd_tls_cert_file = ${cert}`,
        `smtpd_tls_key_file = ${key}`,
        'smtpd_tls_security_level = may',
        'smtpd_tls_received_header = yes',
      ],
      ports: new Map([
        [implicit, ['smtpd_tls_wrappermode = yes']],
        [clear, ['smtpd_tls_security_level = none']],
        [
          old,
          [
            `smtpd_tls_cert_file = ${rsa.cert}`,
            `smtpd_tls_key_file = ${rsa.key}`,
            'smtpd_tls_protocols = TLSv1',
            'tls_medium_cipherlist = AES128-SHA:AES256-SHA:@SECLEVEL=0',
          ],
        ],
      ]),
    });
    return { starttls, implicit, clear, old, stop: () => bed.stop() };
  },
};

const eximServer: Server = {
  name: 'Exim',
  missing: exim.missing,
  received: (version) => {
    const how = version === null ? 'esmtp \\(' : `esmtps  \\(TLS${version === 'TLSv1' ? '1.0' : '1.3'}\\)`;
    return new RegExp(
      `^Received: from \\[127\\.0\\.0\\.1\\] \\(helo=client\\.example\\)\r\n\tby local\\.example with ${how}`,
    );
  },
  async start(smartHost, certificate, rsa) {
    const [starttls, implicit, clear, old] = [await freePort(), await freePort(), await freePort(), await freePort()];
    const oldOnly = 'tls_require_ciphers = NORMAL:-VERS-ALL:+VERS-TLS1.0:-KX-ALL:+RSA';
    const shown = (by: Certificate) => [`tls_certificate = ${by.cert}`, `tls_privatekey = ${by.key}`];
    const tls = ['tls_advertise_hosts = *', ...shown(certificate)];
    const beds = await Promise.all([
      startExim(smartHost, starttls, { main: tls }),
      startExim(smartHost, implicit, { main: [...tls, `tls_on_connect_ports = ${implicit}`] }),
      startExim(smartHost, clear),
      startExim(smartHost, old, { main: ['tls_advertise_hosts = *', ...shown(rsa), oldOnly] }),
    ]);
    const stop = async () => {
      for (const bed of beds) await bed.stop();
    };
    return { starttls, implicit, clear, old, stop };
  },
};

// Both servers at the same time: most of it is waiting for programs to start.
suite('TLS towards the server', { concurrency: true, skip: missing(['openssl']) }, () => {
  let authority: Authority;
  let strangers: Authority;
  let certificate: Certificate;
  let rsa: Certificate;

  before(() => {
    authority = new Authority();
    strangers = new Authority('Another authority');
    certificate = authority.issue(['mail.local.example', 'IP:127.0.0.1']);
    rsa = authority.issue(['old.local.example', 'IP:127.0.0.1'], 'rsa');
  });

  function behind(port: number, tls: object): Promise<ConfiguredPostern> {
    return startConfigured({ upstream: { servers: [`127.0.0.1:${port}`], tls } });
  }

  for (const server of [postfixServer, eximServer]) {
    suite(server.name, { concurrency: false, skip: server.missing }, () => {
      let sink: Sink;
      let ports: Ports;
      before(async () => {
        sink = await Sink.start();
        ports = await server.start(sink.port, certificate, rsa);
      });
      after(async () => {
        await ports?.stop();
        await sink?.stop();
      });

      async function assertDelivers(port: number, tls: object, received: RegExp): Promise<void> {
        const postern = await behind(port, tls);
        try {
          const { mark, content } = makeMessage();
          await hand(postern.port, content);
          const [message] = await sink.arrival(mark, [RECIPIENT]);
          assertArrived(message, content);
          assert.match(message?.content ?? '', received);
        } finally {
          await postern.stop();
        }
      }

      /** The client hears 421 and no more, the server no mail; gives what the log says of it. */
      async function whyNot(port: number, tls: object): Promise<string> {
        const postern = await behind(port, tls);
        const before = sink.messages.length;
        const client = new Client(postern.port);
        try {
          const reply = await client.reply();
          assert.match(reply, /^421 4\.\d\.\d /);
          assert.deepEqual(await client.rest(), []);
          const { why } = await postern.logged('upstream does not answer', { server: `127.0.0.1:${port}` });
          assert.equal(sink.messages.length, before);
          return String(why);
        } finally {
          client.close();
          await postern.stop();
        }
      }

      const encrypted = server.received('TLSv1.3');

      test('require, with the authority that signed: delivered, and the HELO is the client’s', () =>
        assertDelivers(ports.starttls, { mode: 'require', ca: authority.cert }, encrypted));

      test('require, with the pin and no authority', () =>
        assertDelivers(ports.starttls, { mode: 'require', pin: certificate.fingerprint }, encrypted));

      test('require, with another authority: 421, and the log says why', async () => {
        const why = await whyNot(ports.starttls, { mode: 'require', ca: strangers.cert });
        assert.match(why, /authority|issuer|CA|certificate/);
      });

      test('opportunistic, offered: encrypted, whoever signed', () =>
        assertDelivers(ports.starttls, { mode: 'opportunistic' }, encrypted));

      test('opportunistic, not offered: in clear', () =>
        assertDelivers(ports.clear, { mode: 'opportunistic' }, server.received(null)));

      test('implicit: delivered', () =>
        assertDelivers(ports.implicit, { mode: 'implicit', ca: authority.cert }, encrypted));

      test('TLS 1.0 only: min_version: TLSv1 reaches it', () =>
        assertDelivers(
          ports.old,
          { mode: 'require', ca: authority.cert, min_version: 'TLSv1' },
          server.received('TLSv1'),
        ));

      if (server !== postfixServer) return; // what follows is ours alone, whoever the server is

      test('require, by name instead of by address', () =>
        assertDelivers(ports.starttls, { mode: 'require', ca: authority.cert, name: 'mail.local.example' }, encrypted));

      test('require, with another name: 421, and the log has it', async () => {
        const tls = { mode: 'require', ca: authority.cert, name: 'mail.elsewhere.example' };
        assert.match(await whyNot(ports.starttls, tls), /mail\.elsewhere\.example/);
      });

      test('require, with another pin: 421, and the log has the one that came', async () => {
        const pin = strangers.issue(['mail.local.example']).fingerprint;
        const why = await whyNot(ports.starttls, { mode: 'require', pin });
        assert.ok(plain(why).includes(plain(certificate.fingerprint)), why);
      });

      test('require, and the server does not offer it: 421, and the log says so', async () => {
        assert.match(await whyNot(ports.clear, { mode: 'require', ca: authority.cert }), /STARTTLS/);
      });

      test('implicit, with another authority: 421', async () => {
        await whyNot(ports.implicit, { mode: 'implicit', ca: strangers.cert });
      });

      test('TLS 1.0 only: the default does not reach it, and the log says what would', async () => {
        assert.match(await whyNot(ports.old, { mode: 'require', ca: authority.cert }), /min_version/);
      });
    });
  }
});

function plain(fingerprint: string): string {
  return fingerprint.replaceAll(':', '').toLowerCase();
}
