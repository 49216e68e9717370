// A client that speaks TLS at once, which smtp-source does not: a process of its own, so that its CPU is not the proxy's.
//
//   node bench/harness/tls-client.ts PORT CA KIND COUNT SESSIONS      prints {"sessions", "octets", "seconds"}
//
// KIND new: COUNT sessions, SESSIONS of them at a time, each a full handshake, greeting and QUIT. resumed: the same with a
// ticket of the session before. mail: SESSIONS sessions at a time send COUNT messages of 10 MB, one a session.
// It verifies the certificate, as a client does that cares; the name is local.example. It offers one group for the key
// exchange, or Postern's newer OpenSSL would take a post-quantum one that HAProxy's does not know.

import { readFileSync } from 'node:fs';
import { connect, type TLSSocket } from 'node:tls';

const MESSAGE_OCTETS = 10_000_000;
const CHUNK = Buffer.from(
  'A line of text that says nothing, 76 octets of it with the end of the line.\r\n'.repeat(850),
);

const [port, ca = '', kind, count, sessions] = process.argv.slice(2);
const trusted = readFileSync(ca);
let octets = 0;

/** Greeting, then `talk` until QUIT is answered; gives a ticket for the next one. */
function session(ticket: Buffer | undefined, talk: (socket: TLSSocket, reply: () => Promise<string>) => Promise<void>) {
  return new Promise<Buffer | undefined>((resolve, reject) => {
    let given = ticket;
    const socket = connect({
      port: Number(port),
      host: '127.0.0.1',
      servername: 'local.example',
      ca: trusted,
      ecdhCurve: 'X25519',
      ...(ticket === undefined ? {} : { session: ticket }),
    });
    socket.on('session', (next: Buffer) => {
      given = next;
    });
    let unread = '';
    let waiting: ((line: string) => void) | null = null;
    const give = (): void => {
      // The last line of a reply has a blank behind its code.
      const found = /^(?:\d{3}-.*\r\n)*\d{3} .*\r\n/.exec(unread);
      if (found === null || waiting === null) return;
      const resolveReply = waiting;
      waiting = null;
      unread = unread.slice(found[0].length);
      resolveReply(found[0]);
    };
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      unread += text;
      give();
    });
    socket.on('error', reject);
    const reply = () =>
      new Promise<string>((got) => {
        waiting = got;
        give();
      });
    const run = async (): Promise<void> => {
      await reply();
      if (ticket !== undefined && !socket.isSessionReused()) throw new Error('not resumed');
      await talk(socket, reply);
      socket.end('QUIT\r\n');
      await reply();
      socket.on('close', () => resolve(given));
    };
    run().catch(reject);
  });
}

async function sendMail(socket: TLSSocket, reply: () => Promise<string>): Promise<void> {
  const say = async (line: string, code: string): Promise<void> => {
    socket.write(`${line}\r\n`);
    const answer = await reply();
    if (!answer.startsWith(code)) throw new Error(`${line}: ${answer}`);
  };
  await say('EHLO client.example', '250');
  await say('MAIL FROM:<a@sender.example>', '250');
  await say('RCPT TO:<b@local.example>', '250');
  await say('DATA', '354');
  for (let sent = 0; sent < MESSAGE_OCTETS; sent += CHUNK.length) {
    if (!socket.write(CHUNK)) await new Promise<void>((resolve) => socket.once('drain', resolve));
    octets += CHUNK.length;
  }
  await say('.', '250');
}

let left = Number(count);
async function work(): Promise<void> {
  let ticket = kind === 'resumed' ? await session(undefined, async () => {}) : undefined;
  while (left > 0) {
    left -= 1;
    const next = await session(ticket, kind === 'mail' ? sendMail : async () => {});
    if (kind === 'resumed') ticket = next;
  }
}

const begin = performance.now();
await Promise.all(Array.from({ length: Number(sessions) }, work));
const seconds = (performance.now() - begin) / 1000;
console.log(JSON.stringify({ sessions: Number(count), octets, seconds }));
