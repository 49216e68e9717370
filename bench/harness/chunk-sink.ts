// A mail server that takes BDAT, which smtp-sink does not, and keeps nothing. `node bench/harness/chunk-sink.ts PORT`
//
// Every command has a 250, every chunk as well; the octets of a chunk are counted and not looked at. No DATA.

import { createServer, type Socket } from 'node:net';

const EHLO = '250-sink.example\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 8BITMIME\r\n';

function serve(socket: Socket): void {
  let inChunk = 0; // octets of a chunk that are to come
  let line = '';
  socket.write('220 sink.example ESMTP\r\n');
  socket.on('data', (octets: Buffer) => {
    let replies = '';
    let at = 0;
    while (at < octets.length) {
      if (inChunk > 0) {
        const taken = Math.min(inChunk, octets.length - at);
        at += taken;
        inChunk -= taken;
        if (inChunk === 0) replies += '250 2.0.0 chunk\r\n';
        continue;
      }
      const end = octets.indexOf(0x0a, at);
      line += octets.toString('latin1', at, end === -1 ? octets.length : end + 1);
      if (end === -1) break;
      at = end + 1;
      const command = line.toUpperCase();
      line = '';
      const chunk = /^BDAT (\d+)/.exec(command);
      if (chunk !== null) {
        inChunk = Number(chunk[1]);
        if (inChunk === 0) replies += '250 2.0.0 chunk\r\n';
      } else if (command.startsWith('QUIT')) {
        socket.end(`${replies}221 2.0.0 bye\r\n`);
        return;
      } else replies += command.startsWith('EHLO') ? EHLO : '250 2.0.0 ok\r\n';
    }
    if (replies !== '') socket.write(replies);
  });
  socket.on('error', () => {});
}

createServer({ noDelay: true }, serve).listen({ port: Number(process.argv[2]), host: '127.0.0.1', backlog: 4096 });
