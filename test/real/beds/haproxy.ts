// HAProxy as the balancer in front of Postern: what comes in at one port goes on with a PROXY header. Its health check
// is a short SMTP dialogue of its own, with a header that names no client (LOCAL in version 2) or HAProxy itself (version 1).
import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { startServer } from '../children.ts';
import { missing } from '../tools.ts';
import { type Bed, bed, makeFolder } from './bed.ts';

export const missingHaproxy = missing(['haproxy']);

export interface Balancer extends Bed {
  /** What its first health checks found: L7OK when Postern greeted and took EHLO. */
  checked(): Promise<string>;
  /** What the last check of each backend found. */
  statuses(): Promise<string[]>;
}

export interface BalancerOptions {
  /** How each backend is sent to: words of a `server` line. All go to the same Postern. */
  readonly sends: readonly string[];
  readonly inter: string;
}

export async function startHaproxy(
  port: number,
  upstream: number,
  { sends, inter }: BalancerOptions,
): Promise<Balancer> {
  const folder = makeFolder();
  const config = join(folder, 'haproxy.cfg');
  const control = join(folder, 'control');
  writeFileSync(
    config,
    `global
  nbthread 1
  maxconn 100
  stats socket ${control}
defaults
  mode tcp
  timeout connect 5s
  timeout check 5s
  timeout client 1m
  timeout server 1m
frontend smtp
  bind 127.0.0.1:${port}
  default_backend b0
${sends
  .map(
    (send, at) => `backend b${at}
  option smtpchk EHLO check.example
  server postern 127.0.0.1:${upstream} ${send} check inter ${inter}
`,
  )
  .join('')}`,
  );
  const running = bed(port, await startServer(port, 'haproxy', ['-db', '-f', config]), folder);
  return {
    ...running,
    async checked() {
      for (let tries = 0; tries < 250; tries += 1) {
        // Its port is there a moment before this socket is.
        const [status = 'INI'] = await checkStatuses(control).catch(() => []);
        if (status !== 'INI') return status;
        await delay(20);
      }
      throw new Error(`HAProxy checked nothing:\n${running.log()}`);
    },
    statuses: () => checkStatuses(control),
  };
}

const SHIPPED = join(import.meta.dirname, '../../../deploy/haproxy/haproxy.cfg');

/** deploy/haproxy/haproxy.cfg with the addresses of this machine in it, and nothing else changed. */
export async function startShipped(port: number, nodes: readonly { port: number; admin: number }[]): Promise<Bed> {
  const folder = makeFolder();
  const config = join(folder, 'haproxy.cfg');
  let node = 0;
  const text = readFileSync(SHIPPED, 'utf8')
    .replace('bind :25', `bind 127.0.0.1:${port}`)
    .replace(/^(\s+server \w+) [\d.]+:\d+ (.*) port \d+$/gm, (line, name, how) => {
      const at = nodes[node++];
      return at === undefined ? line : `${name} 127.0.0.1:${at.port} ${how} port ${at.admin}`;
    });
  if (node !== nodes.length) throw new Error(`the shipped file names ${node} servers, and not ${nodes.length}`);
  writeFileSync(config, text);
  return bed(port, await startServer(port, 'haproxy', ['-db', '-f', config]), folder);
}

/** The field check_status of `show stat`, of each backend; a leading star is a check that still runs. */
async function checkStatuses(control: string): Promise<string[]> {
  const socket = connect(control);
  socket.write('show stat\n');
  const rows = (await text(socket)).split('\n').map((row) => row.split(','));
  const column = rows[0]?.indexOf('check_status') ?? -1;
  return rows.filter((row) => row[1] === 'postern').map((row) => row[column]?.replace('* ', '') ?? '');
}
