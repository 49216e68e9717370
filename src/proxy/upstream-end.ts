// The end of a connection to a server, so that it costs us no port.
//
// Who says FIN first keeps the port for a minute (TIME_WAIT), and there are some 28 000 of them to one server: clients that
// connect and hang up would use them up. So a server that has not ended a connection is reset (`reset` of a stream); and after
// QUIT it is given a moment to end it, as RFC 5321 §4.1.1.10 says it does. A reset in the middle of mail data says that there is
// no end of it.

import { type ByteStream, NOBODY } from './byte-stream.ts';

const LEAVE_WITHIN = 500; // ms

/** Behind QUIT: when the server has ended it, or soon. */
export function leaveBehindQuit(stream: ByteStream): void {
  if (stream.isEnded) {
    stream.reset();
    return;
  }
  const leave = (): void => {
    clearTimeout(timer);
    stream.reset();
  };
  const timer = setTimeout(leave, LEAVE_WITHIN);
  timer.unref();
  stream.owner = { ...NOBODY, ended: leave, lost: () => clearTimeout(timer) };
  stream.reads = 'to forget';
  stream.resume();
}
