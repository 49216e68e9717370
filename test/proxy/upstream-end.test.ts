// A server behind TLS is left from within every event of TLS, which must neither end the process nor keep a socket. Ports are
// counted in test/real/ports.test.ts.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { after, before, suite, test } from 'node:test';
import { createServer, type Server } from 'node:tls';
import { type ByteStream, NOBODY, type StreamOwner } from '../../src/proxy/byte-stream.ts';
import { HandleStream } from '../../src/proxy/handle-stream.ts';
import { SocketStream } from '../../src/proxy/socket-stream.ts';
import { HAS_HANDLES } from '../../src/proxy/tcp-handles.ts';
import { UpstreamTls } from '../../src/proxy/upstream-tls.ts';
import { makePair } from '../helpers/certificates.ts';
import '../helpers/poison.ts';

const CONNECTIONS = 100;
const AT_ONCE = 10;
const tls = new UpstreamTls({
  mode: 'implicit',
  minVersion: 'TLSv1.2',
  ca: null,
  verify: false,
  pins: [],
  name: null,
  key: 'upstream.tls',
});

/** `made`: the handshake is over, and this is the stream to it. */
type Moment = (stream: ByteStream, made: (then: (stream: ByteStream) => void) => void) => void;

const BLOCK = Buffer.alloc(65_536, 'x');
const hears = (stream: ByteStream, owner: Partial<StreamOwner>): void => {
  stream.owner = { ...NOBODY, ...owner };
};

const MOMENTS: Readonly<Record<string, Moment>> = {
  'before the handshake': (stream) => stream.reset(),
  'in the handshake': (stream) => void setTimeout(() => stream.reset(), Math.random() * 3),
  'when it is made': (_, made) => made((stream) => stream.reset()),
  'in a reply, with a command on its way': (_, made) =>
    made((stream) => {
      hears(stream, {
        heard: () => {
          stream.write(Buffer.from('NOOP\r\n'));
          stream.reset();
        },
      });
      stream.resume();
    }),
  'with more to write than the server takes': (_, made) =>
    made((stream) => {
      for (let i = 0; i < 50; i++) stream.write(BLOCK);
      setTimeout(() => stream.reset(), 5);
    }),
  'when room is made for more': (_, made) =>
    made((stream) => {
      hears(stream, { drained: () => stream.reset() });
      while (stream.write(BLOCK));
    }),
  'when the server has ended TLS': (_, made) =>
    made((stream) => {
      hears(stream, { ended: () => stream.reset() });
      stream.resume();
      stream.write(Buffer.from('QUIT\r\n'));
    }),
};

// As a TLS socket, and as what its handle makes of it.
const KINDS = [SocketStream, ...(HAS_HANDLES ? [HandleStream] : [])];

suite('leaving a server behind TLS', () => {
  const { cert, key } = makePair({ subject: '/CN=mail.example' });
  const open = new Set<Socket>();
  let server: Server;

  before(async () => {
    server = createServer({ cert, key }, (socket) => {
      socket.on('error', () => {});
      socket.write('220 hello\r\n220 again\r\n');
      socket.on('data', (chunk) => {
        if (chunk.toString('latin1') === 'QUIT\r\n') socket.end('221 bye\r\n');
      });
    });
    server.on('tlsClientError', () => {});
    server.on('connection', (socket: Socket) => {
      open.add(socket);
      socket.on('close', () => open.delete(socket));
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
  });
  after(() => void server.close());

  async function leaveAt(moment: Moment, kind: (typeof KINDS)[number]): Promise<void> {
    const { port } = server.address() as AddressInfo;
    const plain = await new Promise<ByteStream>((resolve) => {
      const stream = kind.connect('127.0.0.1', port, () => resolve(stream));
    });
    const asSocket = kind === SocketStream;
    await new Promise<void>((closed) => {
      let then: (stream: ByteStream) => void = () => {};
      const begun = tls.start(plain, '127.0.0.1', asSocket, ({ stream }) => {
        assert.ok(stream !== null);
        if (!asSocket) assert.ok(stream instanceof HandleStream, 'a handle carries TLS');
        if (stream !== begun) stream.whenClosed(closed);
        then(stream);
      });
      begun.whenClosed(closed);
      moment(begun, (next) => {
        then = next;
      });
    });
  }

  for (const kind of KINDS)
    for (const [name, moment] of Object.entries(MOMENTS)) {
      test(`${name}, ${kind.name}`, { timeout: 20_000 }, async () => {
        for (let left = CONNECTIONS; left > 0; left -= AT_ONCE)
          await Promise.all(Array.from({ length: AT_ONCE }, () => leaveAt(moment, kind)));
        const deadline = Date.now() + 5_000;
        while (open.size > 0 && Date.now() < deadline) await new Promise((turn) => setImmediate(turn));
        assert.equal(open.size, 0, 'the server keeps connections');
      });
    }
});
