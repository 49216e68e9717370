// A redis-server of the test's own: on a free port of the loopback, with nothing written to disk, gone when the test is over.
//
// Debian's redis-server is a link to the one program of redis-tools, which goes by its name: so it is linked here.
import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../helpers/free-port.ts';
import { type Child, startServer } from './children.ts';
import { missing, needUnpacked } from './tools.ts';

/** The reason why there is none, else false. */
export const noRedis = missing([], ['redis-tools']);

export interface RedisServer {
  readonly port: number;
  readonly pid: number;
  /** What it answers to one command, as text. */
  ask(...words: string[]): Promise<string>;
  freeze(): void;
  thaw(): void;
  /** As if its power were cut. */
  kill(): Promise<void>;
  /** Anew, on the same port, knowing nothing. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export async function startRedis(
  options: readonly string[] = [],
  as = 'redis-server',
  chosenPort?: number,
): Promise<RedisServer> {
  const folder = mkdtempSync(join(tmpdir(), 'postern-redis-'));
  const program = join(folder, as);
  symlinkSync(needUnpacked('redis-tools', 'usr/bin/redis-check-rdb'), program);
  const port = chosenPort ?? (await freePort());
  const plain = ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', folder];
  const args = options[0]?.startsWith('/') ? [...options] : [...plain, '--save', '', '--appendonly', 'no', ...options];
  let child: Child = await startServer(port, program, args);
  const signal = (name: NodeJS.Signals): void => {
    process.kill(child.pid, name);
  };
  const stop = async (): Promise<void> => {
    await child.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  return {
    port,
    get pid() {
      return child.pid;
    },
    ask: (...words) => ask(port, words),
    freeze: () => signal('SIGSTOP'),
    thaw: () => signal('SIGCONT'),
    kill: async () => {
      signal('SIGKILL');
      await child.ended;
    },
    restart: async () => {
      child = await startServer(port, program, args);
    },
    stop,
  };
}

// A Sentinel does not know QUIT, and stays.
const LAST = /(?:\+OK|-ERR unknown command 'QUIT'.*)\r\n$/;

/** One command over a connection of its own. */
function ask(port: number, words: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => {
      const parts = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
      socket.write(`*${words.length}\r\n${parts.join('')}*1\r\n$4\r\nQUIT\r\n`);
    });
    let heard = '';
    socket.setEncoding('utf8').on('data', (text: string) => {
      heard += text;
      if (LAST.test(heard)) socket.end();
    });
    socket.on('close', () => resolve(heard.replace(LAST, '').trim()));
    socket.on('error', reject);
  });
}
