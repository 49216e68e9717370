// Postfix and Exim as TLS clients, as strict as they can be told to be, deliver through Postern: encrypted or not at all,
// and to nobody whose certificate they cannot verify.
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { freePort } from '../helpers/free-port.ts';
import type { Bed } from './beds/bed.ts';
import { exim, startExim } from './beds/exim.ts';
import { postfix, startPostfix } from './beds/postfix.ts';
import { Authority } from './certificates.ts';
import { assertArrived, hand, makeMessage, RECIPIENT, SENDER } from './messages.ts';
import { type ConfiguredPostern, startConfigured } from './postern.ts';
import { Sink } from './sink.ts';
import { missing } from './tools.ts';

interface Sender {
  readonly name: string;
  readonly missing: string | false;
  start(smartHost: number, port: number, authority: Authority): Promise<Bed>;
}

const DELIVERING: readonly Sender[] = [
  {
    name: 'Postfix with smtp_tls_security_level = encrypt',
    missing: postfix.missing,
    start: (smartHost, port) => startPostfix(smartHost, port, { main: ['smtp_tls_security_level = encrypt'] }),
  },
  {
    name: 'Postfix with smtp_tls_security_level = verify',
    missing: postfix.missing,
    start: (smartHost, port, { cert }) => startPostfix(smartHost, port, { main: verifying(cert, 'mx.local.example') }),
  },
  {
    name: 'Exim with hosts_require_tls and tls_verify_hosts',
    missing: exim.missing,
    start: (smartHost, port, { cert }) => startExim(smartHost, port, { transport: requiring(cert) }),
  },
];

const REFUSING: readonly (Sender & { readonly says: RegExp })[] = [
  {
    name: 'Postfix that wants another name',
    missing: postfix.missing,
    start: (smartHost, port, { cert }) =>
      startPostfix(smartHost, port, { main: verifying(cert, 'mx.elsewhere.example') }),
    says: /Server certificate not verified/,
  },
  {
    name: 'Exim that trusts another authority',
    missing: exim.missing,
    start: (smartHost, port) => startExim(smartHost, port, { transport: requiring(new Authority('Another').cert) }),
    says: /certificate verification failed|certificate invalid/,
  },
];

function verifying(ca: string, name: string): string[] {
  return ['smtp_tls_security_level = verify', `smtp_tls_CAfile = ${ca}`, `smtp_tls_verify_cert_match = ${name}`];
}

function requiring(ca: string): string[] {
  return [
    'hosts_require_tls = *',
    'tls_verify_hosts = *',
    `tls_verify_certificates = ${ca}`,
    'tls_verify_cert_hostnames =',
  ];
}

suite('real servers as TLS clients', { skip: missing(['openssl']) || exim.missing }, () => {
  let authority: Authority;
  let target: Bed;
  let sink: Sink;
  let postern: ConfiguredPostern;

  const senders = new Map<string, Bed>();

  before(async () => {
    authority = new Authority();
    const { cert, key } = authority.issue(['mx.local.example', 'IP:127.0.0.1']);
    sink = await Sink.start();
    target = await exim.start(sink.port, await freePort());
    postern = await startConfigured({
      listeners: [{ certificates: [{ cert, key }] }],
      upstream: { servers: [`127.0.0.1:${target.port}`] },
      policy: {
        connectors: [{ name: 'internet', remote_ip_ranges: ['any'], starttls: 'terminate', require_tls: true }],
      },
    });
    const begun = [...DELIVERING, ...REFUSING]
      .filter((sender) => sender.missing === false)
      .map(async ({ name, start }) => senders.set(name, await start(postern.port, await freePort(), authority)));
    await Promise.all(begun);
  });
  after(async () => {
    await Promise.all([...senders.values()].map((sender) => sender.stop()));
    await postern?.stop();
    await target?.stop();
    await sink?.stop();
  });

  for (const { name, missing: skip } of DELIVERING) {
    test(`${name} delivers, byte for byte`, { skip }, async () => {
      const { mark, content } = makeMessage();
      await hand(senders.get(name)?.port ?? 0, content);
      const [message] = await sink.arrival(mark, [RECIPIENT]);
      assertArrived(message, content);
      assert.equal(message?.sender, SENDER);
      await postern.logged('session ended', {
        encryption_protocol: 'TLSv1.3',
        helo_name: 'local.example',
        messages: 1,
      });
    });
  }

  for (const { name, missing: skip, says } of REFUSING) {
    test(`${name} delivers nothing`, { skip }, async () => {
      const before = sink.messages.length;
      const sender = senders.get(name) as Bed;
      await hand(sender.port, makeMessage().content);
      await sender.said(says);
      await postern.logged('session ended', { messages: 0 });
      assert.equal(sink.messages.length, before);
    });
  }
});
