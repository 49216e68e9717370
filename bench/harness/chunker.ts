// A client that sends messages by BDAT, in a process of its own.
//
//   node bench/harness/chunker.ts PORT SESSIONS MESSAGES CHUNKS CHUNK_OCTETS
//
// MESSAGES in all, over SESSIONS kept sessions; each is MAIL, RCPT and CHUNKS chunks, the last of them LAST, pipelined in
// one go as RFC 3030 allows, and the next begins when all are answered. Anything but 2yz ends it with an error.

import { connect } from 'node:net';

const [port = 0, sessions = 0, messages = 0, chunks = 0, octets = 0] = process.argv.slice(2).map(Number);
const body = Buffer.alloc(octets, 'A line of text that says nothing, 76 octets of it with the end of the line.\r\n');
const parts: Buffer[] = [Buffer.from('MAIL FROM:<a@sender.example>\r\nRCPT TO:<b@local.example>\r\n')];
for (let number = 1; number <= chunks; number++) {
  parts.push(Buffer.from(`BDAT ${octets}${number === chunks ? ' LAST' : ''}\r\n`), body);
}
const message = Buffer.concat(parts);
const replies = chunks + 2;
let left = messages;

function session(): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    let awaited = -1; // the greeting, then the EHLO reply
    let unread = '';
    const advance = (): void => {
      if (left-- <= 0) {
        socket.end('QUIT\r\n');
        awaited = Number.POSITIVE_INFINITY;
        return;
      }
      awaited = replies;
      socket.write(message);
    };
    socket.on('data', (chunk: Buffer) => {
      const lines = (unread + chunk.toString('latin1')).split('\r\n');
      unread = lines.pop() ?? '';
      for (const line of lines) {
        if (!line.startsWith('2')) return reject(new Error(line));
        if (line[3] === '-') continue;
        if (awaited === -1) {
          awaited = 0;
          socket.write('EHLO client.example\r\n');
        } else if (awaited === 0 || --awaited === 0) advance();
      }
    });
    socket.on('error', reject);
    socket.on('close', () => resolve());
  });
}

await Promise.all(Array.from({ length: sessions }, session));
if (left > 0) throw new Error(`${left} messages were not sent`);
