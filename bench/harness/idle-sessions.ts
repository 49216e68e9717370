// Sessions that are past their EHLO and say nothing more, from many addresses.

import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';

const SESSIONS = 10_000;
const SPARE_DESCRIPTORS = 600;
const AT_ONCE = 50;
/** One source address has room for about 28 000 ports to one place; more of them also spread over per-source limits. */
const SESSIONS_PER_SOURCE = 90;

/** Each session of a proxy takes two of its descriptors. */
export function sessionsPossible(): number {
  const line = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'));
  return Math.min(SESSIONS, Math.floor((Number(line?.[1] ?? 1024) - SPARE_DESCRIPTORS) / 2));
}

function openSession(port: number, number: number): Promise<Socket> {
  const source = Math.floor(number / SESSIONS_PER_SOURCE) + 1;
  const localAddress = `127.1.${source >> 8}.${source & 0xff}`;
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', localAddress });
    let said = false;
    socket.on('data', (chunk: Buffer) => {
      if (said && /^250 /m.test(chunk.toString('latin1'))) resolve(socket);
      if (!said) socket.write('EHLO client.example\r\n');
      said = true;
    });
    socket.once('error', reject);
    socket.once('close', () => reject(new Error(`session ${number} was closed`)));
  });
}

/** Opens more of them, until there are so many. */
export async function openUpTo(sockets: Socket[], sessions: number, port: number): Promise<void> {
  while (sockets.length < sessions) {
    const more = Math.min(AT_ONCE, sessions - sockets.length);
    const begin = sockets.length;
    sockets.push(...(await Promise.all(Array.from({ length: more }, (_, n) => openSession(port, begin + n)))));
  }
}
