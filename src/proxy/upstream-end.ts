// The end of a connection to a server, so that it costs us no port.
//
// Who says FIN first keeps the port for a minute (TIME_WAIT), and there are some 28 000 of them to one server: clients that
// connect and hang up would use them up. So a server that has not ended a connection is reset; and after QUIT it is given a
// moment to end it, as RFC 5321 §4.1.1.10 says it does. A reset in the middle of mail data says that there is no end of it.
// Of TLS it is what lies beneath that is reset, also where the server has ended TLS: that it has ended TCP as well is not told.

import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';

const LEAVE_WITHIN = 500; // ms

const beneath = new WeakMap<Socket, Socket>();

/** Says what TLS was made of. */
export function liesBeneath(plain: Socket, secure: TLSSocket): void {
  beneath.set(secure, plain);
}

/** Ends it. What the server has ended is closed behind it, and a call that is not connected has no port to lose. */
export function leave(socket: Socket): void {
  const plain = beneath.get(socket);
  if (plain !== undefined) leaveTls(socket, plain);
  else if (socket.connecting || socket.readableEnded) socket.destroy();
  else socket.resetAndDestroy();
}

/** Not at once: we may be called from within OpenSSL, and Node.js (24.21, 26.10) frees it when both sockets end there, which
 * is a segmentation fault. Behind this event it is safe, and TLS ends by itself with what lies beneath. */
function leaveTls(socket: Socket, plain: Socket): void {
  socket.on('error', () => {}); // of what it had still to write
  setImmediate(() => plain.resetAndDestroy());
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
