// How an encrypted connection ends, over real sockets: what TLS tells otherwise than TCP does.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { connect as connectTls, createSecureContext, TLSSocket } from 'node:tls';
import { type ByteStream, NOBODY, type StreamFault } from '../../../src/proxy/byte-stream.ts';
import { secureStream } from '../../../src/proxy/tls-stream.ts';
import { serverPair } from '../../helpers/certificates.ts';

const ALERT = 21; // RFC 5246 §6.2.1: a record's first octet

interface Pair {
  readonly stream: ByteStream;
  /** The other end, and what it stands on. */
  readonly peer: TLSSocket;
  readonly raw: Socket;
  /** The first octet of each record that the peer got. */
  records(): number[];
}

/** TLS 1.2, whose records say in clear text what they are. */
async function secured(t: TestContext): Promise<Pair> {
  const server = createServer({ allowHalfOpen: true });
  t.after(() => server.close());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const raw = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', allowHalfOpen: true });
  t.after(() => raw.destroy());
  const [beneath] = (await once(server, 'connection')) as [Socket];
  beneath.on('error', () => {});
  const got: Buffer[] = [];
  const wire = new Duplex({
    read: () => {},
    write: (chunk, _, done) => void raw.write(chunk, done),
    final: (done) => void raw.end(done),
  });
  raw.on('data', (chunk) => {
    got.push(chunk);
    wire.push(chunk);
  });
  raw.on('end', () => wire.push(null));
  raw.on('error', () => {});
  const { cert, key } = serverPair();
  const socket = new TLSSocket(beneath, { isServer: true, secureContext: createSecureContext({ cert, key }) });
  const peer = connectTls({
    socket: wire,
    rejectUnauthorized: false,
    maxVersion: 'TLSv1.2',
    allowHalfOpen: true,
  } as object);
  peer.on('error', () => {});
  await Promise.all([once(socket, 'secure'), once(peer, 'secureConnect')]);
  const stream = secureStream(socket, beneath);
  t.after(() => stream.destroy());
  return { stream, peer, raw, records: () => recordsIn(Buffer.concat(got)) };
}

function recordsIn(octets: Buffer): number[] {
  const kinds: number[] = [];
  for (let at = 0; at < octets.length; at += 5 + octets.readUInt16BE(at + 3)) kinds.push(octets[at] as number);
  return kinds;
}

test('a write that fails at once is heard of, behind the call, also where nothing is read', {
  timeout: 5000,
}, async (t) => {
  const { stream, raw } = await secured(t);
  const faults: (StreamFault | null)[] = [];
  const lost = new Promise<void>((resolve) => {
    stream.owner = { ...NOBODY, lost: (fault) => resolve(void faults.push(fault)) };
  });
  stream.reads = 'mail data';
  stream.resume();
  stream.pause();
  raw.resetAndDestroy();
  stream.write(Buffer.from('250 ok\r\n'));
  assert.equal(faults.length, 0);
  await lost;
  assert.match(faults.map((fault) => fault?.message).join(), /^write E(CONNRESET|PIPE)$/);
  assert.equal(stream.isGone, true);
});

test('who ended TLS first hears the end of it as well', { timeout: 5000 }, async (t) => {
  const { stream, peer, raw, records } = await secured(t);
  const ended = new Promise<void>((resolve) => {
    stream.owner = { ...NOBODY, ended: resolve };
  });
  stream.resume();
  peer.end();
  await ended;
  const before = records().length;
  stream.write(Buffer.from('250 ok\r\n'));
  stream.end();
  await once(raw, 'end');
  assert.deepEqual(records().slice(before), [23, ALERT]);
  assert.equal(peer.read()?.toString(), '250 ok\r\n');
});
