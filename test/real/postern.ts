// Postern as an administrator starts it: a process of its own, `run` with flags, in front of one server.
import { join } from 'node:path';
import { type Child, freePort, startServer } from './children.ts';

export const ACCEPTED_DOMAIN = 'local.example';

export interface Postern extends Child {
  readonly port: number;
}

/** `upstream` is a port on 127.0.0.1. */
export async function startPostern(upstream: number): Promise<Postern> {
  const port = await freePort();
  const admin = await freePort();
  const main = join(import.meta.dirname, '../../src/main.ts');
  const flags = ['--listen', `127.0.0.1:${port}`, '--upstream', `127.0.0.1:${upstream}`];
  flags.push('--accepted-domain', ACCEPTED_DOMAIN, '--admin', `127.0.0.1:${admin}`);
  const child = await startServer(port, process.execPath, [main, 'run', ...flags]);
  return { ...child, port };
}
