// Clients that only hold what they have, in a process of their own: idle sessions, and sessions in the middle of mail data that
// neither write nor read any more.
//
//   fork('holders.ts')     hears { port, idle, midData, octets }, answers with Held when all stand, and to 'look'; 'close': lets all go
//
// Each comes from an address of its own (127.30…), a few hundred at a time.

import { connect, type Socket } from 'node:net';

export interface Hold {
  readonly port: number;
  readonly idle: number;
  readonly midData: number;
  /** Of mail data each says. */
  readonly octets: number;
}

export interface Held {
  readonly open: number;
  readonly refused: number;
  /** Octets that they would say and cannot, and how many of them have such. */
  readonly unsent: number;
  readonly blocked: number;
}

const AT_ONCE = 200;
const STANDS_WITHIN = 300_000; // ms
const QUIET_MS = 3000; // so long nothing moves before it is looked at
const PIECE = Buffer.from('x'.repeat(78).concat('\r\n').repeat(50));
const sockets = new Set<Socket>();
/** Octets of mail data that each has still to say. */
const unsaid = new Map<Socket, number>();
let number = 0;

/** For ever, where nobody reads it: a piece goes when the kernel has taken the one before. */
function sayOn(socket: Socket, octets: number): void {
  unsaid.set(socket, octets);
  if (octets > 0) socket.write(PIECE, () => sayOn(socket, Math.max(0, octets - PIECE.length)));
}

/** Whether it stands. */
function hold(port: number, octets: number): Promise<boolean> {
  const source = number++;
  const localAddress = `127.30.${source >> 8}.${source & 0xff}`;
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', localAddress, noDelay: true });
    const over = (): void => {
      sockets.delete(socket);
      unsaid.delete(socket);
      resolve(false);
    };
    const late = setTimeout(() => socket.destroy(), STANDS_WITHIN);
    const stands = (): void => {
      clearTimeout(late);
      resolve(true);
    };
    const steps = [
      'EHLO holder.example\r\n',
      ...(octets === 0 ? [] : ['MAIL FROM:<holder@sender.example>\r\nRCPT TO:<user@local.example>\r\nDATA\r\n']),
    ];
    sockets.add(socket);
    let heard = '';
    socket.setEncoding('latin1').on('data', (text: string) => {
      heard += text;
      if (/^[45]/m.test(heard)) {
        socket.destroy();
        return;
      }
      if (/^354 /m.test(heard)) {
        socket.pause();
        sayOn(socket, octets);
        stands();
        return;
      }
      if (!/^\d{3} .*\r\n$/m.test(heard)) return;
      const step = steps.shift();
      if (step !== undefined) {
        heard = '';
        socket.write(step);
      } else if (octets === 0) stands();
    });
    socket.on('error', () => {});
    socket.on('close', over);
  });
}

async function holdAll({ port, idle, midData, octets }: Hold): Promise<Held> {
  const due = Array.from({ length: idle + midData }, (_, at) => (at % 2 === 0 && at / 2 < midData) || at >= 2 * idle);
  let open = 0;
  while (due.length > 0) {
    const some = due.splice(0, AT_ONCE).map((isMidData) => hold(port, isMidData ? octets : 0));
    open += (await Promise.all(some)).filter(Boolean).length;
  }
  await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
  return { open, refused: idle + midData - open, ...unsentNow() };
}

function unsentNow(): Pick<Held, 'unsent' | 'blocked'> {
  const left = [...unsaid.values()].filter((octets) => octets > 0);
  return { unsent: left.reduce((sum, octets) => sum + octets, 0), blocked: left.length };
}

process.on('message', async (word: Hold | 'look' | 'close') => {
  if (word === 'look') {
    process.send?.({ open: sockets.size, refused: 0, ...unsentNow() });
    return;
  }
  if (word !== 'close') {
    process.send?.(await holdAll(word));
    return;
  }
  for (const socket of sockets) socket.destroy();
  process.send?.('closed');
});
process.on('disconnect', () => process.exit());
