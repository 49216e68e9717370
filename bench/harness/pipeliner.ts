// A client that pipelines, which smtp-source does not: a process of its own, so that its CPU is not the proxy's.
//
//   node bench/harness/pipeliner.ts PORT KIND SESSIONS BATCHES      prints {"recipients", "refused", "seconds"}
//
// KIND mail: every batch is one message of ten recipients, and its terminator, the next MAIL, RCPTs and DATA are one
// write. KIND refused / accepted: every batch is MAIL, 100 RCPTs of that fate, RSET, in one write; with `-slowly` behind
// the kind every command is a write of its own and waits for its reply.
// Replies are counted, not matched: order is the business of the tests.

import { connect, type Socket } from 'node:net';

const LF = 0x0a;
const FIVE = 0x35;
const DASH = 0x2d;
const FLOOD = 100;
const RECIPIENTS = 10;
const BODY = `Subject: bench\r\n\r\n${`${'A line of text that says nothing. '.repeat(2)}\r\n`.repeat(56)}`;

const [port, kind = '', sessions, batches] = process.argv.slice(2);
const slowly = kind.endsWith('-slowly');
const domain = kind.startsWith('refused') ? 'foreign.example' : 'local.example';

let recipients = 0;
let refused = 0;

function commandsOf(count: number): string {
  let text = 'MAIL FROM:<a@sender.example>\r\n';
  for (let number = 0; number < count; number++) text += `RCPT TO:<user${number}@${domain}>\r\n`;
  return text;
}

/** What is written, and how many replies it earns. */
interface Batch {
  readonly bytes: Buffer;
  readonly replies: number;
  readonly recipients: number;
}

const flood: Batch = { bytes: Buffer.from(`${commandsOf(FLOOD)}RSET\r\n`), replies: FLOOD + 2, recipients: FLOOD };
const envelope = `${commandsOf(RECIPIENTS)}DATA\r\n`;
const first: Batch = { bytes: Buffer.from(envelope), replies: RECIPIENTS + 2, recipients: RECIPIENTS };
const next: Batch = {
  bytes: Buffer.from(`${BODY}.\r\n${envelope}`),
  replies: RECIPIENTS + 3,
  recipients: RECIPIENTS,
};
const last: Batch = { bytes: Buffer.from(`${BODY}.\r\n`), replies: 1, recipients: 0 };

const command = (text: string): Batch => ({
  bytes: Buffer.from(text),
  replies: 1,
  recipients: text.startsWith('RCPT') ? 1 : 0,
});
const commands = flood.bytes
  .toString()
  .split(/(?<=\n)/)
  .map(command);

function batchOf(number: number, count: number): Batch {
  if (slowly) return commands[number % commands.length] ?? flood;
  if (kind !== 'mail') return flood;
  if (number === 0) return first;
  return number === count ? last : next;
}

function runSession(count: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket: Socket = connect({ port: Number(port), host: '127.0.0.1', noDelay: true });
    const writes = kind === 'mail' ? count + 1 : slowly ? count * commands.length : count;
    let number = -2; // -2 = the greeting is awaited, -1 = the EHLO reply
    let awaited = 1;
    let start = true; // whether the next octet begins a reply line
    let column = 0;
    let isFinal = true;
    let code = 0;
    const advance = () => {
      number += 1;
      if (number === -1) {
        awaited = 1;
        socket.write('EHLO client.example\r\n');
      } else if (number < writes) {
        const batch = batchOf(number, count);
        awaited = batch.replies;
        recipients += batch.recipients;
        socket.write(batch.bytes);
      } else {
        socket.end('QUIT\r\n');
        awaited = Number.POSITIVE_INFINITY;
      }
    };
    socket.on('data', (chunk: Buffer) => {
      for (const octet of chunk) {
        if (start) {
          start = false;
          column = 0;
          code = octet;
        }
        if (column === 3) isFinal = octet !== DASH;
        column += 1;
        if (octet !== LF) continue;
        start = true;
        if (!isFinal) continue;
        if (code === FIVE) refused += 1;
        awaited -= 1;
        if (awaited === 0) advance();
      }
    });
    socket.on('error', reject);
    socket.on('close', () => (number >= writes ? resolve() : reject(new Error(`closed in batch ${number}`))));
  });
}

const begin = performance.now();
await Promise.all(Array.from({ length: Number(sessions) }, () => runSession(Number(batches))));
const seconds = (performance.now() - begin) / 1000;
console.log(JSON.stringify({ recipients, refused, seconds }));
