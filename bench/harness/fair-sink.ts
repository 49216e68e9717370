// A mail server that takes all and keeps nothing, and that nobody can keep from serving the others.
//
//   node bench/harness/fair-sink.ts PORT
//
// smtp-sink writes as long as the peer does not read, and reads one connection as long as it has something: behind a proxy that
// hands every flood on, an honest client would measure that. This one reads a buffer of each in turn and waits for nobody.

import { createServer, type Socket } from 'node:net';

const port = Number(process.argv[2]);
const EHLO = '250-sink.example\r\n250-PIPELINING\r\n250 8BITMIME\r\n';
const END = Buffer.from('\r\n.\r\n');

function serve(socket: Socket): void {
  let inMailData = false;
  let line = '';
  let tail = Buffer.alloc(0);
  socket.write('220 sink.example ESMTP\r\n');
  const readMailData = (chunk: Buffer): Buffer => {
    const seen = Buffer.concat([tail, chunk.length > 4 * END.length ? chunk.subarray(0, END.length) : chunk]);
    const early = seen.indexOf(END);
    const at = early !== -1 ? early - tail.length : chunk.lastIndexOf(END); // what floods has none, or one at its end
    if (at === -1 && early === -1) {
      tail = Buffer.from(Buffer.concat([tail, chunk.subarray(-END.length)]).subarray(1 - END.length));
      return Buffer.alloc(0);
    }
    inMailData = false;
    socket.write('250 2.0.0 taken\r\n');
    return chunk.subarray(at + END.length);
  };
  socket.on('data', (chunk: Buffer) => {
    socket.pause(); // else 32 buffers of it before anybody else
    setImmediate(() => !socket.writableNeedDrain && socket.resume());
    const text = inMailData ? readMailData(chunk) : chunk;
    const lines = (line + text.toString('latin1')).split('\r\n');
    line = (lines.pop() ?? '').slice(-1000);
    let replies = '';
    for (const command of lines) {
      const verb = command.slice(0, 4).toUpperCase();
      if (verb === 'DATA') {
        replies += '354 go ahead\r\n';
        inMailData = true;
        tail = Buffer.from('\r\n');
        break; // nobody here says more before the 354
      }
      if (verb === 'QUIT') {
        socket.end(`${replies}221 2.0.0 bye\r\n`);
        return;
      }
      replies += verb === 'EHLO' ? EHLO : '250 2.0.0 ok\r\n';
    }
    if (replies !== '') socket.write(replies);
  });
  socket.on('drain', () => socket.resume());
  socket.on('error', () => {});
}

createServer({ noDelay: true }, serve).listen({ port, host: '127.0.0.1', backlog: 4096 });
