// What is said about certificates, keys and client CAs when a configuration is read. The pairs are openssl's; the day of the
// reading is counted from theirs.

import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { formatFinding } from '../../src/config/finding.ts';
import { type Loaded, loadConfig } from '../../src/config/load.ts';
import { certificateFolder, makePair, openssl, type Pair, serverPair } from '../helpers/certificates.ts';
import { writeSettled } from '../helpers/settled.ts';

const DAY = 86_400_000;

const authority = makePair({ subject: '/CN=Test CA' });
const org = makePair({ subject: '/CN=mx.example.org', names: 'DNS:MX.example.org,DNS:*.example.net', key: 'rsa' });

interface Reading {
  readonly pairs?: readonly { readonly cert: string; readonly key: string }[];
  readonly listener?: Record<string, unknown>;
  readonly connectors?: readonly Record<string, unknown>[];
  readonly more?: readonly Record<string, unknown>[];
  /** Days before the end of the server's certificate. */
  readonly daysLeft?: number;
}

const files = ({ certFile, keyFile }: Pair) => ({ cert: certFile, key: keyFile });
const TERMINATING = { name: 'internet', remote_ip_ranges: ['192.0.2.0/25'], starttls: 'terminate' };

function read({ pairs, listener, connectors = [TERMINATING], more = [], daysLeft = 60 }: Reading): Loaded {
  const folder = mkdtempSync(join(tmpdir(), 'postern-reading-'));
  const file = join(folder, 'postern.yaml');
  const certificates = pairs ?? [files(serverPair())];
  const config = {
    listeners: [{ bind: ['127.0.0.1:25'], certificates, ...listener }, ...more],
    upstream: { servers: ['10.0.0.10:25'] },
    policy: { version: 1, accepted_domains: ['example.com'], connectors },
  };
  writeSettled(file, JSON.stringify(config, null, 1));
  const end = Date.parse(new X509Certificate(serverPair().cert).validTo);
  const loaded = loadConfig(file, { host: { ownAddresses: [], gateways: [] }, now: () => end - daysLeft * DAY });
  rmSync(folder, { recursive: true });
  return loaded;
}

/** The findings without the folders in them, and without their places. */
function said(reading: Reading): string[] {
  return read(reading).findings.map((finding) =>
    formatFinding(finding)
      .replace(/^.*?:\d+:\d+: /, '')
      .replaceAll(`${certificateFolder()}/`, '')
      .replace(/pair-\d+/g, 'pair'),
  );
}

function fileOf(name: string, text: string): string {
  const file = join(certificateFolder(), name);
  writeSettled(file, text);
  return file;
}

test('a sound pair is loaded with the configuration, and its files are among those to watch', () => {
  const pair = serverPair();
  const loaded = read({ listener: { client_ca: authority.certFile } });
  assert.deepEqual(loaded.findings, []);
  assert.deepEqual(loaded.credentials, [
    { certificates: [{ cert: pair.cert, key: pair.key }], clientCa: authority.cert, minVersion: 'TLSv1.2' },
  ]);
  for (const file of [pair.certFile, pair.keyFile, authority.certFile]) assert.ok(loaded.files.includes(file), file);
});

test('a finding stands where the file is named', () => {
  const [finding] = read({ pairs: [{ cert: '/nowhere.pem', key: serverPair().keyFile }] }).findings;
  assert.equal(finding?.key, 'listeners[0].certificates[0].cert');
  assert.equal(finding?.line, 9);
});

test('a key of another certificate is an error', () => {
  assert.deepEqual(said({ pairs: [{ cert: serverPair().certFile, key: org.keyFile }] }), [
    'error: listeners[0].certificates[0].key: pair.key is not the key of pair.pem: they belong to two pairs',
  ]);
});

test('files that hold something else are errors, and both are said', () => {
  const text = fileOf('text.pem', 'no certificate\n');
  assert.deepEqual(said({ pairs: [{ cert: text, key: text }] }), [
    'error: listeners[0].certificates[0].cert: text.pem holds no certificate, or a broken one: PEM is wanted (-----BEGIN CERTIFICATE-----)',
    'error: listeners[0].certificates[0].key: text.pem holds no private key: PEM is wanted (-----BEGIN PRIVATE KEY-----)',
  ]);
});

test('a locked key is an error that says how to unlock it', () => {
  const locked = join(certificateFolder(), 'locked.key');
  openssl('pkey', '-in', serverPair().keyFile, '-aes256', '-passout', 'pass:secret', '-out', locked);
  assert.deepEqual(said({ pairs: [{ cert: serverPair().certFile, key: locked }] }), [
    'error: listeners[0].certificates[0].key: locked.key is locked with a pass phrase, and nobody will be there to say it: openssl pkey unlocks it',
  ]);
});

test('a certificate is warned about thirty days before its end and behind it, and not on the day before that', () => {
  const about = (daysLeft: number): string =>
    said({ daysLeft })
      .join()
      .replace(/\(.*\)/, '(then)');
  assert.equal(about(30.5), '');
  assert.equal(about(30), 'warning: listeners[0].certificates[0].cert: pair.pem expires in 30 days');
  assert.equal(about(19.9), 'warning: listeners[0].certificates[0].cert: pair.pem expires in 19 days');
  assert.equal(about(1.5), 'warning: listeners[0].certificates[0].cert: pair.pem expires in a day');
  assert.equal(about(0.5), 'warning: listeners[0].certificates[0].cert: pair.pem expires within a day');
  const gone = 'warning: listeners[0].certificates[0].cert: pair.pem has expired (then): who verifies it goes away';
  assert.equal(about(-1), gone);
  assert.match(about(400), /^warning: listeners\[0\]\.certificates\[0\]\.cert: pair\.pem is not valid before /);
});

test('a certificate without a DNS name, and one whose names are held above it, are warned about', () => {
  const nameless = makePair({ subject: '/O=Nobody', names: 'email:a@example.com' });
  const again = makePair({ subject: '/CN=again', names: 'DNS:mx.example.org' });
  assert.deepEqual(said({ pairs: [org, again, nameless].map(files) }), [
    'warning: listeners[0].certificates[1].cert: pair.pem is never chosen: a certificate above it holds its names',
    'warning: listeners[0].certificates[2].cert: pair.pem holds no DNS name: no client can verify it, and nobody who names a server is shown it',
  ]);
});

test('a client CA that is none is an error', () => {
  assert.deepEqual(said({ listener: { client_ca: fileOf('empty.pem', '') } }), [
    'error: listeners[0].client_ca: empty.pem holds no certificate, or a broken one: PEM is wanted (-----BEGIN CERTIFICATE-----)',
  ]);
});

test('every certificate of a file is read, the last one too', () => {
  const { cert, keyFile } = serverPair();
  const whole = fileOf('chain.pem', `mx.example.com\n${cert}${authority.cert}`);
  assert.deepEqual(said({ pairs: [{ cert: whole, key: keyFile }], listener: { client_ca: whole } }), []);
  for (const text of [
    `${cert}-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n`,
    cert + cert.slice(0, 200),
  ]) {
    const broken = fileOf('broken.pem', text);
    const wrong = 'broken.pem holds no certificate, or a broken one: PEM is wanted (-----BEGIN CERTIFICATE-----)';
    assert.deepEqual(said({ pairs: [{ cert: broken, key: keyFile }], listener: { client_ca: broken } }), [
      `error: listeners[0].certificates[0].cert: ${wrong}`,
      `error: listeners[0].client_ca: ${wrong}`,
    ]);
  }
});

test('a key that OpenSSL finds too short is an error in its words', () => {
  const base = join(certificateFolder(), 'short');
  openssl(
    ...'req -x509 -newkey rsa:512 -nodes -subj /CN=short.example -addext subjectAltName=DNS:short.example -days 90'.split(
      ' ',
    ),
    '-keyout',
    `${base}.key`,
    '-out',
    `${base}.pem`,
  );
  assert.deepEqual(said({ pairs: [{ cert: `${base}.pem`, key: `${base}.key` }] }), [
    'error: listeners[0].certificates[0].cert: short.pem cannot be used: ee key too small',
  ]);
});

test('terminate with a certificate at one of its listeners is warned about, with one at none an error', () => {
  const plain = { bind: ['127.0.0.1:587'] };
  assert.deepEqual(said({ more: [plain] }), [
    "warning: policy.connectors[0].starttls: clients of 'internet' that come to 127.0.0.1:587 are not offered STARTTLS: that listener has no certificates",
  ]);
  assert.deepEqual(said({ more: [plain], connectors: [{ ...TERMINATING, bindings: ['*:587'] }] }), [
    'warning: listeners[0].certificates: nobody is shown them: no connector of this listener says starttls: terminate, and implicit_tls is false',
    'error: policy.connectors[0].starttls: terminate needs a certificate: certificates are wanted at the listener of 127.0.0.1:587',
  ]);
});

test('certificates that nobody is shown are warned about, but not where TLS comes before all else', () => {
  const connectors = [{ name: 'internet', remote_ip_ranges: ['192.0.2.0/25'] }];
  assert.deepEqual(said({ connectors }), [
    'warning: listeners[0].certificates: nobody is shown them: no connector of this listener says starttls: terminate, and implicit_tls is false',
  ]);
  assert.deepEqual(said({ connectors, listener: { implicit_tls: true } }), []);
});
