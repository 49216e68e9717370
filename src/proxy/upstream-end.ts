// The end of a connection to a server, so that it costs us no port.
//
// Who says FIN first keeps the port for a minute (TIME_WAIT), and there are some 28 000 of them to one server: clients that
// connect and hang up would use them up. So a server that has not ended a connection is reset; and after QUIT it is given a
// moment to end it, as RFC 5321 §4.1.1.10 says it does. A reset in the middle of mail data says that there is no end of it.

import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';

const LEAVE_WITHIN = 500; // ms

/** Ends it now. What the server has ended is closed behind it, and a call that is not connected has no port to lose. */
export function leave(socket: Socket): void {
  // Not within TLS: in Node 24.21 a reset of the connection beneath ends in a segmentation fault, or never.
  if (socket instanceof TLSSocket || socket.connecting || socket.readableEnded) socket.destroy();
  else socket.resetAndDestroy();
}

/** Behind QUIT: when the server has ended it, or soon. */
export function leaveBehindQuit(socket: Socket): void {
  socket.removeAllListeners('data');
  socket.on('error', () => {});
  const timer = setTimeout(() => leave(socket), LEAVE_WITHIN);
  timer.unref();
  socket.once('end', () => leave(socket));
  socket.once('close', () => clearTimeout(timer));
  if (socket.readableEnded) leave(socket);
  else socket.resume();
}
