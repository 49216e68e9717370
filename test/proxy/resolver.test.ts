// Names in DNS, from a server of our own on loopback.

import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { after, before, test } from 'node:test';
import { NameResolver } from '../../src/proxy/resolver.ts';

const PTR = 12;
const A = 1;
const AAAA = 28;
const SERVFAIL = 2;
const NXDOMAIN = 3;

/** `name type` to the data of its records, or a code of failure. */
const zone: Record<string, string[] | number> = {
  '7.2.0.192.in-addr.arpa 12': ['PC7.corp.example', 'liar.bank.example'],
  'pc7.corp.example 1': ['192.0.2.8', '192.0.2.7'],
  'liar.bank.example 1': ['198.51.100.1'],
  '8.2.0.192.in-addr.arpa 12': SERVFAIL,
  '9.2.0.192.in-addr.arpa 12': ['broken.example'],
  'broken.example 1': SERVFAIL,
  '10.2.0.192.in-addr.arpa 12': ['gone.example'],
  '1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa 12': ['six.corp.example'],
  'six.corp.example 28': ['20010db8000000000000000000000001'],
};

let server: Socket;
let asked: string[] = [];

before(async () => {
  server = createSocket('udp4');
  server.on('message', (query, peer) => server.send(answer(query), peer.port, peer.address));
  await new Promise<void>((resolve) => server.bind(0, '127.0.0.1', resolve));
});

after(() => server.close());

function answer(query: Buffer): Buffer {
  const labels: string[] = [];
  let at = 12;
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  const type = query.readUInt16BE(at + 1);
  const key = `${labels.join('.').toLowerCase()} ${type}`;
  asked.push(key);
  const found = zone[key] ?? NXDOMAIN;
  const header = Buffer.from(query.subarray(0, 12));
  header[2] = 0x81;
  header[3] = 0x80 | (typeof found === 'number' ? found : 0);
  header.writeUInt16BE(typeof found === 'number' ? 0 : found.length, 6);
  header.fill(0, 8, 12);
  const records = typeof found === 'number' ? [] : found.map((data) => record(type, data));
  return Buffer.concat([header, query.subarray(12, at + 5), ...records]);
}

function record(type: number, data: string): Buffer {
  const bytes =
    type === PTR
      ? Buffer.concat([
          ...data.split('.').map((label) => Buffer.from(`${String.fromCharCode(label.length)}${label}`)),
          Buffer.of(0),
        ])
      : type === A
        ? Buffer.from(data.split('.').map(Number))
        : Buffer.from(data, 'hex');
  const head = Buffer.alloc(12);
  head.writeUInt16BE(0xc00c, 0);
  head.writeUInt16BE(type, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt32BE(60, 6);
  head.writeUInt16BE(bytes.length, 10);
  return Buffer.concat([head, bytes]);
}

let now = 1;

function resolver(): NameResolver {
  asked = [];
  return new NameResolver({ servers: [`127.0.0.1:${server.address().port}`], timeout: 500, now: () => now });
}

test('a name counts only when it leads back to the address', async () => {
  assert.deepEqual(await resolver().names('192.0.2.7'), ['PC7.corp.example']);
});

test('an IPv6 address is confirmed by the addresses of its own kind', async () => {
  assert.deepEqual(await resolver().names('2001:db8::1'), ['six.corp.example']);
  assert.ok(asked.every((key) => !key.endsWith(` ${A}`)) && asked.some((key) => key.endsWith(` ${AAAA}`)));
});

test('an address without a name has none, and a name that is gone does not count', async () => {
  assert.deepEqual(await resolver().names('192.0.2.200'), []);
  assert.deepEqual(await resolver().names('192.0.2.10'), []);
});

test('when DNS fails at either step nobody can tell', async () => {
  assert.equal(await resolver().names('192.0.2.8'), null);
  assert.equal(await resolver().names('192.0.2.9'), null);
});

test('an answer is kept, a failure only for a short time, and two who ask at once ask once', async () => {
  const names = resolver();
  await Promise.all([names.names('192.0.2.7'), names.names('192.0.2.7')]);
  await names.names('192.0.2.7');
  assert.equal(asked.filter((key) => key.startsWith('7.2.0.192')).length, 1);
  await names.names('192.0.2.200');
  asked = [];
  await names.names('192.0.2.8');
  const once = asked.length;
  await names.names('192.0.2.8');
  assert.equal(asked.length, once);
  now += 16_000;
  await names.names('192.0.2.8');
  await names.names('192.0.2.7');
  assert.equal(asked.length, 2 * once, 'only the failure is asked for again');
});
