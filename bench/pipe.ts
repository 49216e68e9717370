// The floor in Node: a TCP proxy that pipes both ways and parses nothing. `node bench/pipe.ts LISTEN UPSTREAM` (ports).
//
// A peer to measure against, never a fallback of the firewall.

import { connect, createServer } from 'node:net';

const [listen, upstream] = process.argv.slice(2).map(Number);

createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
  const server = connect({ port: upstream ?? 0, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
  client.pipe(server);
  server.pipe(client);
  client.on('error', () => server.destroy());
  server.on('error', () => client.destroy());
}).listen(listen, '127.0.0.1', 4096);
