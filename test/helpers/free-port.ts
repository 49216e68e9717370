// A TCP port for a server that a test starts, below those that the kernel gives to outgoing connections: one of these could
// take it between the look and the server's own bind.
import { once } from 'node:events';
import { createServer } from 'node:net';

const LOWEST = 10_000;
const PORTS = 22_000;

/** A port of the loopback that nothing listens at now. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = LOWEST + Math.floor(Math.random() * PORTS);
    const server = createServer().listen(port, '127.0.0.1');
    try {
      await once(server, 'listening');
    } catch {
      continue; // taken
    }
    server.close();
    await once(server, 'close');
    return port;
  }
}
