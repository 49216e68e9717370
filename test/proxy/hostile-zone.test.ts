// Reverse zones of people who mean harm, from a server of our own on loopback: whatever they answer, the names of an address
// come in time, or are not told, and nobody else's wait for them.

import assert from 'node:assert/strict';
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { after, before, test } from 'node:test';
import { NameResolver } from '../../src/proxy/resolver.ts';
import { settled } from './peer.ts';

const CNAME = 5;
const PTR = 12;
const A = 1;
const TRUNCATED = 0x02;
const POINTER_TO_QUESTION = Buffer.of(0xc0, 0x0c);

interface Query {
  readonly bytes: Buffer;
  readonly name: string;
  readonly type: number;
}

/** What the zone answers: octets, or nothing. Over TCP they have a length in front, and come one by one if it says so. */
interface Zone {
  readonly answer: (query: Query, overTcp: boolean) => Buffer | null;
  readonly drips?: boolean;
}

const truncated = (query: Query): Buffer => message(query, [], TRUNCATED);
const many = (query: Query, count: number): Buffer =>
  message(
    query,
    Array.from({ length: count }, (_, i) =>
      query.type === PTR ? record(PTR, name(`n${i}.bad.example`)) : record(A, Buffer.of(10, 0, i >> 8, i & 255)),
    ),
  );
const namesThen = (count: number, addresses: Zone['answer']): Zone['answer'] => {
  return (query, overTcp) => (query.type === PTR ? many(query, count) : addresses(query, overTcp));
};
const loop = (query: Query): Buffer =>
  message(query, [record(CNAME, name('b.bad.example')), record(CNAME, name(query.name), name('b.bad.example'))]);

const ZONES: Readonly<Record<string, Zone & { readonly told: 'nobody can tell' | 'no name' }>> = {
  'a thousand names': {
    answer: (query, overTcp) => (overTcp ? many(query, 1_000) : truncated(query)),
    told: 'nobody can tell',
  },
  'a name of thousands of addresses': {
    answer: namesThen(8, (query, overTcp) => (overTcp ? many(query, 4_000) : truncated(query))),
    told: 'nobody can tell',
  },
  'a circle of aliases': { answer: loop, told: 'no name' },
  'names that are a circle of aliases': { answer: namesThen(8, loop), told: 'no name' },
  'an alias of itself by compression': {
    answer: (query) => message(query, [record(PTR, Buffer.of(0xc0, query.bytes.length + 12))]),
    told: 'nobody can tell',
  },
  'a name of nothing': {
    answer: namesThen(0, () => null),
    told: 'no name',
  },
  'octets that are no name': {
    answer: (query) => (query.type === PTR ? message(query, [record(PTR, name('a\0b.\xff\xfe.x y'))]) : null),
    told: 'no name',
  },
  'octets that are no answer': {
    answer: ({ bytes }) => Buffer.concat([bytes.subarray(0, 2), Buffer.alloc(400, 0xc0)]),
    told: 'nobody can tell',
  },
  silence: { answer: () => null, told: 'nobody can tell' },
  'names of which it says nothing more': { answer: namesThen(8, () => null), told: 'nobody can tell' },
  'an octet now and then': {
    answer: (query, overTcp) => (overTcp ? many(query, 8) : truncated(query)),
    drips: true,
    told: 'nobody can tell',
  },
};

let zone: Zone = ZONES.silence as Zone;
let queries = 0;
let port = 0;
let datagrams: Socket;
let streams: Server;

before(async () => {
  // A port that is free for both: who has it for streams tries it for datagrams.
  do {
    streams = createServer((socket) => {
      socket.on('error', () => {});
      socket.on('data', (bytes: Buffer) => {
        queries++;
        const answer = zone.answer(read(bytes.subarray(2)), true);
        if (answer === null) return;
        const length = Buffer.alloc(2);
        length.writeUInt16BE(answer.length);
        const all = Buffer.concat([length, answer]);
        if (zone.drips !== true) socket.write(all);
        else {
          let said = 0;
          const timer = setInterval(() => socket.write(all.subarray(said, ++said)), 10);
          socket.once('close', () => clearInterval(timer));
        }
      });
    });
    await once(streams.listen(0, '127.0.0.1'), 'listening');
    port = (streams.address() as AddressInfo).port;
    datagrams = createSocket('udp4');
  } while (!(await isBound(datagrams, port)) && streams.close());
  datagrams.on('message', (bytes: Buffer, peer: RemoteInfo) => {
    queries++;
    const query = read(bytes);
    const answer =
      query.name.startsWith('7.113.0.203.') || query.name === 'good.example'
        ? honest(query)
        : zone.answer(query, false);
    if (answer !== null) datagrams.send(answer, peer.port, peer.address);
  });
});

after(() => {
  datagrams.close();
  streams.close();
});

function isBound(socket: Socket, wanted: number): Promise<boolean> {
  return new Promise((resolve) => {
    socket.once('error', () => resolve(false));
    socket.bind(wanted, '127.0.0.1', () => resolve(true));
  });
}

/** 203.0.113.7 is good.example. */
function honest(query: Query): Buffer {
  return message(query, [
    query.type === PTR ? record(PTR, name('good.example')) : record(A, Buffer.of(203, 0, 113, 7)),
  ]);
}

function read(bytes: Buffer): Query {
  const labels: string[] = [];
  let at = 12;
  for (let length = bytes[at] ?? 0; length > 0; length = bytes[at] ?? 0) {
    labels.push(bytes.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  const end = at + 5;
  return { bytes: bytes.subarray(0, end), name: labels.join('.').toLowerCase(), type: bytes.readUInt16BE(at + 1) };
}

/** RFC 1035 §4.1.1. */
function message({ bytes }: Query, records: readonly Buffer[], flags = 0): Buffer {
  const head = Buffer.from(bytes.subarray(0, 12));
  head[2] = 0x81 | flags;
  head[3] = 0x80;
  head.writeUInt16BE(records.length, 6);
  head.fill(0, 8, 12);
  return Buffer.concat([head, bytes.subarray(12), ...records]);
}

function record(type: number, data: Buffer, owner: Buffer = POINTER_TO_QUESTION): Buffer {
  const head = Buffer.alloc(10);
  head.writeUInt16BE(type, 0);
  head.writeUInt16BE(1, 2);
  head.writeUInt32BE(60, 4);
  head.writeUInt16BE(data.length, 8);
  return Buffer.concat([owner, head, data]);
}

function name(text: string): Buffer {
  const labels = text.split('.').map((label) => Buffer.from(`${String.fromCharCode(label.length)}${label}`, 'latin1'));
  return Buffer.concat([...labels, Buffer.of(0)]);
}

const open = (options: { timeout?: number; within?: number } = {}): NameResolver => {
  queries = 0;
  return new NameResolver({ servers: [`127.0.0.1:${port}`], timeout: 300, ...options });
};

for (const [what, { told, ...hostile }] of Object.entries(ZONES)) {
  test(`a reverse zone with ${what}: ${told}, after few questions`, async (t) => {
    zone = hostile;
    const resolver = open();
    t.after(() => resolver.close());
    const asked = resolver.names('192.0.2.7');
    assert.deepEqual(await resolver.names('203.0.113.7'), ['good.example']); // others do not wait
    assert.deepEqual(await asked, told === 'no name' ? [] : null);
    assert.ok(queries <= 4 + 2 * 2 * (1 + 8), `${queries} questions`);
  });
}

test('the whole answer has a time, however often a query may be tried', async (t) => {
  zone = { answer: namesThen(8, () => null) };
  const resolver = open({ timeout: 60_000, within: 50 });
  t.after(() => resolver.close());
  const asked = resolver.names('192.0.2.7');
  assert.equal(await asked, null);
});

test('a network whose zone is silent is asked 256 times at once, and no other waits for it', async (t) => {
  zone = { answer: () => null };
  const resolver = open({ timeout: 60_000, within: 60_000 });
  t.after(() => resolver.close());
  const asked: Promise<readonly string[] | null>[] = [];
  while (asked.length < 256) {
    asked.push(resolver.names(`2001:db8:0:${asked.length.toString(16)}::1`));
    if (asked.length % 16 === 0) await settled(); // the server's buffer is no part of this
  }
  assert.equal(await resolver.names('2001:db8:0:ffff::1'), null); // at once: it was not asked
  assert.deepEqual(await resolver.names('203.0.113.7'), ['good.example']);
  resolver.close();
  assert.ok((await Promise.all(asked)).every((names) => names === null));
});

test('no more than 4096 addresses are asked about at once, and with the answers there is room again', async (t) => {
  zone = { answer: () => null };
  const resolver = open({ timeout: 500 });
  t.after(() => resolver.close());
  const asked = Array.from({ length: 4_096 }, (_, i) => resolver.names(`10.0.${i >> 8}.${i & 255}`));
  assert.equal(await resolver.names('203.0.113.7'), null);
  assert.ok((await Promise.all(asked)).every((names) => names === null));
  assert.deepEqual(await resolver.names('203.0.113.7'), ['good.example']);
});
