// The mail server behind, in a process of its own: it takes everything quickly and counts what it took.
//
//   fork('server.ts', [PORT])     hears 'stall', 'stall no more' and 'go on', answers 'count' with Taken
//
// Stalled it reads nothing behind its 354; 'stall no more' is for those who come from then on, 'go on' for all.
//
// It keeps no mail. Whoever wants it away kills it: that is part of the soak.

import { createServer, type Socket } from 'node:net';

export interface Taken {
  /** Messages, by the first word of their reverse-path: each kind of client says its own. */
  readonly messages: Record<string, number>;
  readonly connections: number;
}

const taken = { messages: {} as Record<string, number>, connections: 0 };
let stalls = false;
const stalled = new Set<Socket>();

const EHLO =
  '250-mail.local.example\r\n250-PIPELINING\r\n250-SIZE 100000000\r\n250-8BITMIME\r\n250-CHUNKING\r\n250 ENHANCEDSTATUSCODES\r\n';

function serve(socket: Socket): void {
  taken.connections++;
  let rest = '';
  let sender = '';
  let recipients = 0;
  let inData = false;
  let chunk = 0; // octets of BDAT that are still to come
  let isLast = false;
  const done = (): string => {
    taken.messages[sender] = (taken.messages[sender] ?? 0) + 1;
    recipients = 0;
    return '250 2.6.0 taken\r\n';
  };
  const execute = (line: string): string => {
    const verb = line.slice(0, 4).toUpperCase();
    if (verb === 'EHLO') return EHLO;
    if (verb === 'MAIL') {
      sender = /<(\w*)/.exec(line)?.[1] ?? '';
      return '250 2.1.0 ok\r\n';
    }
    if (verb === 'RCPT') {
      if (line.includes('nobody@')) return '550 5.1.1 no such user\r\n';
      recipients++;
      return '250 2.1.5 ok\r\n';
    }
    if (verb === 'DATA') {
      if (recipients === 0) return '503 5.5.1 no recipients\r\n';
      inData = true;
      rest = `\r\n${rest}`; // the first line may be the last
      if (stalls) {
        stalled.add(socket);
        socket.pause();
      }
      return '354 go ahead\r\n';
    }
    if (verb === 'BDAT') {
      chunk = Number(line.split(' ')[1]);
      isLast = /LAST/i.test(line);
      return chunk > 0 ? '' : isLast ? done() : '250 2.0.0 more\r\n';
    }
    if (verb === 'RSET') recipients = 0;
    if (verb === 'QUIT') {
      socket.end('221 2.0.0 bye\r\n');
      return '';
    }
    return '250 2.0.0 ok\r\n';
  };
  socket.setEncoding('latin1');
  socket.on('data', (text: string) => {
    rest += text;
    let said = '';
    for (;;) {
      if (inData) {
        const end = rest.indexOf('\r\n.\r\n');
        if (end < 0) {
          rest = rest.slice(-4);
          break;
        }
        rest = rest.slice(end + 5);
        inData = false;
        said += done();
      } else if (chunk > 0) {
        const size = Math.min(chunk, rest.length);
        chunk -= size;
        rest = rest.slice(size);
        if (chunk > 0) break;
        said += isLast ? done() : '250 2.0.0 more\r\n';
      } else {
        const end = rest.indexOf('\r\n');
        if (end < 0) break;
        const line = rest.slice(0, end);
        rest = rest.slice(end + 2);
        said += execute(line);
      }
    }
    if (said !== '' && socket.writable) socket.write(said);
  });
  socket.on('error', () => {});
  socket.on('close', () => stalled.delete(socket));
  socket.write('220 mail.local.example ESMTP\r\n');
}

const server = createServer({ noDelay: true }, serve);
server.listen({ port: Number(process.argv[2]), host: '127.0.0.1', backlog: 4096 }, () => process.send?.('listening'));
process.on('message', (word) => {
  if (word === 'count') process.send?.(taken);
  if (word === 'stall') stalls = true;
  if (word === 'stall no more' || word === 'go on') stalls = false;
  if (word === 'go on') {
    for (const socket of stalled) socket.resume();
  }
});
process.on('disconnect', () => process.exit());
