// Runs inside the network namespace of ports.test.ts: a server that ends no connection but behind QUIT, Postern before it, and
// clients that end theirs in every way. Prints how many were greeted with 220, and what the others heard.
//
//   node test/real/beds/hang-ups.ts SESSIONS none|implicit
import { readFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { Authority } from '../certificates.ts';
import { Client } from '../client.ts';
import { startConfigured } from '../postern.ts';

const AT_ONCE = 8;
const SERVER_PORT = 10025;

const [count, mode] = process.argv.slice(2);
const { cert, key } = new Authority().issue(['mail.local.example']);

const serve = (socket: Socket): void => {
  socket.on('error', () => {});
  socket.on('end', () => socket.destroy()); // without close_notify, which would meet a closed socket and be answered by RST
  socket.write('220 mail.local.example ESMTP\r\n');
  socket.on('data', (chunk) => {
    const text = chunk.toString('latin1');
    if (text.startsWith('QUIT')) socket.end('221 bye\r\n');
    else socket.write(text.startsWith('DATA') ? '354 go\r\n' : '250 ok\r\n');
  });
};
const server =
  mode === 'implicit'
    ? createTlsServer({ cert: readFileSync(cert), key: readFileSync(key), allowHalfOpen: true }, serve)
    : createServer({ allowHalfOpen: true }, serve);
server.listen(SERVER_PORT, '127.0.0.1');
await new Promise((resolve) => server.once('listening', resolve));
const postern = await startConfigured({
  upstream: { servers: [`127.0.0.1:${SERVER_PORT}`], tls: mode === 'implicit' ? { mode, verify: false } : { mode } },
});

const MAIL = ['EHLO c.example', 'MAIL FROM:<a@sender.example>', 'RCPT TO:<b@local.example>', 'DATA'];
const WAYS: readonly ((client: Client) => Promise<void>)[] = [
  async () => {},
  async (client) => void (await client.say('EHLO c.example')),
  async (client) => {
    for (const line of MAIL) await client.say(line);
    client.write('half a message\r\n');
  },
  async (client) => {
    await client.say('EHLO c.example');
    client.write('QUIT\r\n');
  },
  async (client) => void (await client.say('QUIT')),
];

let served = 0;
const refused: string[] = [];
let next = 0;
const sessions = Number(count);

async function clients(): Promise<void> {
  while (next < sessions) {
    const way = WAYS[next++ % WAYS.length] as (client: Client) => Promise<void>;
    const client = new Client(postern.port);
    const greeting = await client.reply();
    if (greeting.startsWith('220')) served++;
    else refused.push(greeting);
    await way(client);
    client.reset();
  }
}

await Promise.all(Array.from({ length: AT_ONCE }, clients));
await postern.stop();
console.log(JSON.stringify({ served, refused }));
process.exit();
