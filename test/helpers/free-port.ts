// A TCP port for a server that a test starts, below those that the kernel gives to outgoing connections: one of these could
// take it between the look and the server's own bind. So could another test, hence a name for each that is given out, in
// Linux' abstract namespace: whoever holds it has the port to himself until his process ends.
import { once } from 'node:events';
import { createServer, type ListenOptions, type Server } from 'node:net';

const LOWEST = 10_000;
const PORTS = 22_000;

/** A port of the loopback that nothing listens at now, and that no other test is given. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = LOWEST + Math.floor(Math.random() * PORTS);
    const name = await listening({ path: `\0postern-test-port-${port}` });
    if (name === null) continue; // given out
    name.unref();
    const server = await listening({ port, host: '127.0.0.1' });
    if (server === null) continue; // taken
    server.close();
    await once(server, 'close');
    return port;
  }
}

/** Null: somebody else does. */
async function listening(where: ListenOptions): Promise<Server | null> {
  const server = createServer().listen(where);
  try {
    await once(server, 'listening');
    return server;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    return null;
  }
}
