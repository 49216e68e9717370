// The end of a client's connection, so that the last reply arrives.
//
// A socket closed with unread octets sends RST, and RST throws away what the peer has not read yet: our 421. So we send
// FIN behind the reply, read and drop what still comes, and destroy the socket when the client is gone or 5 s are over.
// What comes may be a message of any size whose sender will only then read our reply; it is read in the client's own turns.

import type { Socket } from 'node:net';
import { BYE, formatReply, ONLY_QUIT } from '../smtp/replies.ts';
import type { OwnReply } from '../smtp/types.ts';
import type { FairQueue } from './fair-queue.ts';
import { RelaySocket } from './relay-socket.ts';

const LINGER = 5000; // ms
const RESUMED = 0.05; // ms that reading on costs, all in all
const HEARD_LIMIT = 4096; // octets that a refused client may say

/** Ends a socket whose last reply has been written. */
export function lingeringClose(socket: Socket, queue: FairQueue, clientAddress: string): void {
  drop(socket, queue, clientAddress);
  socket.end();
}

/** Refuses a client at connection time. After a 554 it may still send QUIT (RFC 5321 §3.1), and whatever else it says hears one
 * 503; a 421 ends at once (§3.8). `early`: what came behind its PROXY header. */
export function refuseConnection(
  socket: Socket,
  reply: OwnReply,
  queue: FairQueue,
  clientAddress: string,
  early: Buffer | null,
): void {
  drop(socket, queue, clientAddress);
  socket.write(formatReply(reply, true, { client_address: clientAddress }));
  if (reply.code === 421) {
    socket.end();
    return;
  }
  let heard = '';
  let answered = false;
  const listen = (chunk: Buffer): void => {
    heard += chunk.toString('latin1', 0, HEARD_LIMIT);
    if (/(^|\n)quit *\r?\n/i.test(heard) || heard.length >= HEARD_LIMIT) {
      socket.off('data', listen);
      socket.end(formatReply(BYE, true));
    } else if (!answered && heard.includes('\n')) {
      answered = true;
      socket.write(formatReply(ONLY_QUIT, true));
    }
  };
  socket.on('data', listen);
  socket.on('end', () => socket.end());
  if (early !== null) listen(early);
}

/** Reads and forgets, for a bounded time. */
function drop(socket: Socket, queue: FairQueue, clientAddress: string): void {
  if (socket instanceof RelaySocket) {
    socket.bulk = false;
    socket.forgets = true;
  }
  const turns = queue.turnsOf(clientAddress, () => {
    turns.spent(RESUMED);
    socket.resume();
  });
  socket.on('data', (chunk: Buffer) => {
    turns.read(chunk.length);
    if (turns.isFree) return;
    socket.pause();
    turns.wait();
  });
  socket.on('error', () => socket.destroy());
  const timer = setTimeout(() => socket.destroy(), LINGER);
  socket.on('close', () => clearTimeout(timer));
  socket.resume();
}
