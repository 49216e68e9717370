// Postern as an administrator starts it: a process of its own, `run` with flags or with a file, in front of a server.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { freePort } from '../helpers/free-port.ts';
import { MAIN } from '../helpers/main.ts';
import { makeFolder } from './beds/bed.ts';
import { type Child, startServer } from './children.ts';

export const ACCEPTED_DOMAIN = 'local.example';

const LOGGED_WITHIN_MS = 5_000;

export interface Postern extends Child {
  readonly port: number;
}

/** `upstream` is a port on 127.0.0.1. */
export async function startPostern(upstream: number): Promise<Postern> {
  const port = await freePort();
  const admin = await freePort();
  const flags = ['--listen', `127.0.0.1:${port}`, '--upstream', `127.0.0.1:${upstream}`];
  flags.push('--accepted-domain', ACCEPTED_DOMAIN, '--admin', `127.0.0.1:${admin}`);
  const child = await startServer(port, process.execPath, [MAIN, 'run', ...flags]);
  return { ...child, port };
}

export type LogLine = Readonly<Record<string, unknown>>;

/** What a test sets. */
export interface Configuration {
  /** The first is the one of `port`; every one is given an address of its own. */
  readonly listeners?: readonly object[];
  readonly upstream: object;
  /** Beside version and accepted domain; without connectors everybody may send to local.example and nowhere else. */
  readonly policy?: object;
  /** Other keys at the top. */
  readonly others?: object;
}

export interface ConfiguredPostern extends Postern {
  /** One for each listener, in their order. */
  readonly ports: readonly number[];
  readonly admin: number;
  /** The log so far. */
  lines(): LogLine[];
  /** The next line, behind the one that was found last, that says this with these fields; waits for it. */
  logged(message: string | RegExp, fields?: LogLine): Promise<LogLine>;
  /** SIGHUP, and the line that says that it was done. */
  reload(): Promise<void>;
  /** The body of an answer of the admin listener. */
  ask(path: '/metrics' | '/readyz'): Promise<string>;
}

export async function startConfigured(configuration: Configuration): Promise<ConfiguredPostern> {
  const listeners = configuration.listeners ?? [{}];
  const ports = await Promise.all(listeners.map(() => freePort()));
  const admin = await freePort();
  const file = join(makeFolder(), 'postern.yaml');
  // JSON is YAML.
  const text = JSON.stringify({
    listeners: listeners.map((listener, at) => ({ bind: [`127.0.0.1:${ports[at]}`], ...listener })),
    upstream: configuration.upstream,
    lost_address_guard: 'warn',
    admin: { listen: `127.0.0.1:${admin}` },
    policy: {
      version: 1,
      accepted_domains: [ACCEPTED_DOMAIN],
      connectors: [{ name: 'internet', remote_ip_ranges: ['any'] }],
      ...configuration.policy,
    },
    ...configuration.others,
  });
  writeFileSync(file, text);
  const port = ports[0] as number;
  // The admin port is opened last: when it accepts, every listener does.
  const child = await startServer(admin, process.execPath, [MAIN, 'run', '--config', file]);
  const lines = () =>
    child
      .output()
      .split('\n')
      .filter((line) => line.startsWith('{') && line.endsWith('}'))
      .map((line) => JSON.parse(Buffer.from(line, 'latin1').toString()) as LogLine);
  let read = 0;
  const logged = async (message: string | RegExp, fields: LogLine = {}) => {
    const wanted = Object.entries(fields);
    const says = ({ msg }: LogLine) => (typeof message === 'string' ? msg === message : message.test(String(msg)));
    for (const deadline = Date.now() + LOGGED_WITHIN_MS; Date.now() < deadline; await delay(20)) {
      const written = lines();
      const at = written.findIndex(
        (line, number) =>
          number >= read && says(line) && wanted.every(([name, value]) => isDeepStrictEqual(line[name], value)),
      );
      if (at === -1) continue;
      read = at + 1;
      return written[at] as LogLine;
    }
    throw new Error(`the log does not say ${message} ${JSON.stringify(fields)}:\n${child.output()}`);
  };
  return {
    ...child,
    port,
    ports,
    admin,
    lines,
    logged,
    async reload() {
      process.kill(child.pid, 'SIGHUP');
      await logged('reloaded');
    },
    ask: async (path) => (await fetch(`http://127.0.0.1:${admin}${path}`)).text(),
  };
}
