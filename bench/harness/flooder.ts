// Clients that mean harm, in a process of their own: `fairness.ts` measures an honest one beside them.
//
//   node bench/harness/flooder.ts PORT KIND CONNECTIONS SECONDS
//
// Each connection says EHLO, and where its flood needs it a MAIL, then its flood until the time is over; one that is ended is
// made again, so that at most CONNECTIONS are open at once. It stops by itself. Loopback only.

import { connect, type Socket } from 'node:net';

const [port = '', kind = '', connections = '', seconds = ''] = process.argv.slice(2);
const until = performance.now() + Number(seconds) * 1000;
const BLOCK = 64 * 1024;
const filled = (unit: string) => Buffer.from(unit.repeat(Math.ceil(BLOCK / unit.length)), 'latin1');
const MAIL = 'MAIL FROM:<a@sender.example>\r\n';
const GOOD = 'RCPT TO:<b@local.example>\r\n';
const BAD = 'RCPT TO:<victim@foreign.example>\r\n';

interface Flood {
  /** Said once, behind EHLO. */
  readonly first?: string;
  /** Written again whenever the socket takes more. */
  readonly block?: Buffer;
  /** Reads nothing behind the greeting. */
  readonly deaf?: boolean;
  /** Written octet by octet, or line by line, as quickly as a segment each allows. */
  readonly pieces?: 'octets' | 'lines';
  /** Ends the connection with a reset behind so many replies. */
  readonly resetsBehind?: number;
}

const FLOODS: Readonly<Record<string, Flood>> = {
  refused: { first: MAIL, block: filled(BAD) },
  accepted: { first: MAIL, block: filled(GOOD) },
  'data-in-vain': { first: MAIL + BAD, block: filled('DATA\r\n') },
  'bdat-in-vain': { first: MAIL + BAD, block: filled('BDAT 1\r\nx') },
  unknown: { block: filled('FOO\r\n') },
  noop: { block: filled('NOOP\r\n') },
  'one-by-one': { first: MAIL, block: Buffer.from(BAD), pieces: 'lines' },
  octets: { first: MAIL, block: Buffer.from(BAD), pieces: 'octets' },
  deaf: { first: MAIL, block: filled(BAD), deaf: true },
  'deaf-mail-data': { first: `${MAIL}${GOOD}DATA\r\n`, block: filled('x\r\n'), deaf: true },
  'mail-data': { first: `${MAIL}${GOOD}DATA\r\n`, block: filled('A line of text that says nothing.\r\n') },
  dots: { first: `${MAIL}${GOOD}DATA\r\n`, block: filled('..\r\n') },
  'long-line': { block: filled('x') },
  silent: {},
  'hang-up': { resetsBehind: 1 },
  'helo-hang-up': { resetsBehind: 2 },
};

const flood = FLOODS[kind];
if (flood === undefined) throw new Error(`no such flood: ${kind}`);
const { first = '', block, deaf = false, pieces, resetsBehind } = flood;
const open = new Set<Socket>();

function begin(): void {
  if (performance.now() >= until) return;
  const socket = connect({ port: Number(port), host: '127.0.0.1', noDelay: true });
  open.add(socket);
  let replies = 0;
  socket.on('data', (chunk: Buffer) => {
    if (!/^\d\d\d /m.test(chunk.toString('latin1'))) return;
    replies++;
    if (resetsBehind !== undefined && replies >= resetsBehind) socket.resetAndDestroy();
    else if (replies === 1) socket.write('EHLO flood.example\r\n');
    else if (replies === 2) harm(socket);
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    open.delete(socket);
    setImmediate(begin);
  });
}

function harm(socket: Socket): void {
  if (first !== '') socket.write(first);
  if (deaf) setTimeout(() => socket.pause(), 50);
  if (block === undefined) return;
  let at = 0;
  const more = (): void => {
    if (socket.destroyed) return;
    if (pieces === 'octets') socket.write(block.subarray(at++ % block.length, ((at - 1) % block.length) + 1));
    else socket.write(block);
    if (socket.writableNeedDrain) socket.once('drain', more);
    else setImmediate(more);
  };
  more();
}

for (let number = 0; number < Number(connections); number++) begin();
setTimeout(() => {
  for (const socket of open) socket.destroy();
  process.exit();
}, Number(seconds) * 1000);
