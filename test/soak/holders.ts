// Clients that only hold what they have, in a process of their own: idle sessions, and sessions in the middle of mail data that
// neither write nor read any more.
//
//   fork('holders.ts')     hears { port, idle, midData, octets }, answers { open, refused, octets } when all stand; 'close': lets all go
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
  /** That the kernel has not taken from them. */
  readonly unsent: number;
}

const AT_ONCE = 200;
const STANDS_WITHIN = 20_000; // ms
const sockets = new Set<Socket>();
let number = 0;

/** Whether it stands. */
function hold(port: number, octets: number): Promise<boolean> {
  const source = number++;
  const localAddress = `127.30.${source >> 8}.${source & 0xff}`;
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', localAddress, noDelay: true });
    const over = (): void => {
      sockets.delete(socket);
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
        socket.write(
          'x'
            .repeat(78)
            .concat('\r\n')
            .repeat(Math.ceil(octets / 80)),
        );
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
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const unsent = [...sockets].reduce((sum, { writableLength }) => sum + writableLength, 0);
  return { open, refused: idle + midData - open, unsent };
}

process.on('message', async (word: Hold | 'close') => {
  if (word !== 'close') {
    process.send?.(await holdAll(word));
    return;
  }
  for (const socket of sockets) socket.destroy();
  process.send?.('closed');
});
process.on('disconnect', () => process.exit());
