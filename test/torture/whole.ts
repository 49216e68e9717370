// The whole program from its start to its end, with names in DNS, counters in Redis, list files, a file for relayed mail and a
// reload; and every call on the way fails once: of files, names, timers, sockets and Redis.
//
// What must hold: it starts, or says in a sentence why not, with an exit code of its own; a client hears what is due, or 4yz, or
// the end; a reload is taken or refused; it ends with 0; nothing is thrown that nobody catches.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '../helpers/free-port.ts';
import { SmtpClient } from '../helpers/smtp-client.ts';
import { UpstreamStandIn } from '../helpers/upstream-stand-in.ts';
import { noRedis, startRedis } from '../real/redis-server.ts';
import type { Choice } from './dialogues.ts';
import type { Arming } from './faults.ts';

const ROOT = join(import.meta.dirname, '../..');
const PATIENCE = 60_000; // ms: the machine may be busy
const AT_ONCE = 2;
const REFUSES_TO_START = [1, 78];

interface Lived {
  readonly calls: readonly string[];
  readonly wrong: readonly string[];
}

/** What a client may hear at each step, beside 4yz and the end. `foreign`: by a rule that asks DNS. */
const DIALOGUE = [
  ['PROXY TCP4 192.0.2.9 203.0.113.5 40000 25', '220'],
  ['EHLO pc.friend.example', '250'],
  ['MAIL FROM:<s@friend.example>', '250'],
  ['RCPT TO:<user@local.example>', '250'],
  ['RCPT TO:<x@foreign.example>', '250'],
  ['DATA', '354'],
  ['text\r\n.', '250'],
  ['QUIT', '221'],
] as const;

async function talk(port: number, wrong: string[]): Promise<void> {
  const client = new SmtpClient(port);
  const late = setTimeout(() => {
    wrong.push('a client hears nothing, and is not let go');
    client.destroy();
  }, PATIENCE);
  for (const [line, due] of DIALOGUE) {
    await client.write(Buffer.from(`${line}\r\n`));
    const reply = await client.reply();
    if (reply === null) break;
    const { code } = reply;
    if (code !== due && !code.startsWith('4')) wrong.push(`${line}: ${reply.text.trim()}`);
    if (code !== due && line !== 'RCPT TO:<x@foreign.example>') break;
  }
  client.destroy();
  clearTimeout(late);
}

async function live(arming: Arming, upstream: number, redis: number | null): Promise<Lived> {
  const folder = mkdtempSync(join(tmpdir(), 'postern-torture-'));
  const [wrong, adminPort]: [string[], number] = [[], await freePort()];
  const write = (name: string, text: string): void => writeFileSync(join(folder, name), text);
  write('token', 'x'.repeat(32));
  write('users.txt', 'user@local.example\n');
  write(
    'policy.json',
    JSON.stringify({
      version: 1,
      accepted_domains: ['local.example'],
      valid_recipients: { file: 'users.txt' },
      connectors: [
        {
          name: 'all',
          remote_ip_ranges: ['any'],
          rules: [{ name: 'friends', allow: { ptr: ['*.friend.example'] } }],
        },
      ],
    }),
  );
  write(
    'postern.json',
    JSON.stringify({
      listeners: [{ bind: ['127.0.0.1:0'], proxy_protocol: { from: ['127.0.0.1'] } }], // loopback may not relay by its name
      upstream: { servers: [`127.0.0.1:${upstream}`] },
      policy: 'policy.json',
      watch: true,
      lost_address_guard: 'warn',
      limits: { source: { message_rate: '1000/1h' } },
      log: { relayed_file: join(folder, 'relayed.log') },
      admin: { listen: `127.0.0.1:${adminPort}`, token_file: 'token' },
      ...(redis === null ? {} : { state: `redis://127.0.0.1:${redis}/0` }),
    }),
  );
  const args = ['--import', join(import.meta.dirname, 'armed.ts'), join(ROOT, 'src/main.ts'), 'run'];
  const child = spawn(process.execPath, [...args, '--config', join(folder, 'postern.json')], {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    env: { ...process.env, POSTERN_TORTURE: JSON.stringify(arming), NODE_NO_WARNINGS: '1' },
  });
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  const ended = once(child, 'exit') as Promise<[number | null, string | null]>;
  let stderr = '';
  let stdout = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  let calls: readonly string[] = [];
  const port = await waitFor(() => Number(/listening on \S*?:(\d+)\b/.exec(stderr)?.[1] ?? 0) || null, child);
  if (port === null) {
    if (child.exitCode === null || arming.nth === null) wrong.push(`it neither starts nor ends: ${stderr}`);
    else if (!REFUSES_TO_START.includes(child.exitCode)) wrong.push(`it does not start, exit code ${child.exitCode}`);
    else if (stderr.trim() === '') wrong.push('it does not start and says nothing');
  } else {
    await talk(port, wrong);
    write('users.txt', 'user@local.example\nother@local.example\n');
    child.kill('SIGHUP');
    const isRead = (): true | null => (/"msg":"(policy loaded|reload)/.test(stdout.slice(before)) ? true : null);
    const before = stdout.length;
    await waitFor(isRead, child, 3_000);
    await talk(port, wrong);
    const metrics = await fetch(`http://127.0.0.1:${adminPort}/metrics`, { signal: AbortSignal.timeout(5_000) }).then(
      (response) => response.text(),
      () => 'none',
    );
    const left = /^postern_sessions (\d+)$/m.exec(metrics)?.[1];
    if (left !== undefined && left !== '0') wrong.push(`${left} sessions are left`);
    calls = await asked(child);
    child.kill('SIGTERM');
  }
  const code = await Promise.race([ended.then(([code, signal]) => code ?? signal), delay(PATIENCE, 'never')]);
  if (port !== null && code !== 0) wrong.push(`it ends with ${code}`);
  child.kill('SIGKILL');
  await ended;
  process.off('exit', kill);
  const trace = /^.*\n\s+at .*/m.exec(stderr);
  if (trace !== null) wrong.push(`on stderr: ${trace[0]}`);
  const defect = /^.*"msg":"defect".*$/m.exec(stdout);
  if (defect !== null) wrong.push(defect[0].slice(0, 1500));
  rmSync(folder, { recursive: true, force: true });
  return { calls, wrong };
}

/** Null when it has ended, or too late. */
async function waitFor<T>(look: () => T | null, child: ChildProcess, within = PATIENCE): Promise<T | null> {
  const until = performance.now() + within;
  while (performance.now() < until && child.exitCode === null) {
    const found = look();
    if (found !== null) return found;
    await delay(10);
  }
  return look();
}

async function asked(child: ChildProcess): Promise<readonly string[]> {
  if (child.exitCode !== null || !child.connected) return [];
  const answer = once(child, 'message');
  child.send('calls');
  const [calls] = await Promise.race([answer, delay(5_000, [[]])]);
  return calls as readonly string[];
}

/** How many did not hold. */
export async function whole(choice: Choice): Promise<number> {
  const began = performance.now();
  const upstream = await UpstreamStandIn.listen({ dialect: 'lf' });
  const redis = noRedis === false ? await startRedis() : null;
  const redisPort = redis?.port ?? null;
  let failures = 0;
  const tell = (what: string, { wrong }: Lived): void => {
    failures += wrong.length;
    for (const one of wrong) console.log(`FAIL whole: ${what}: ${one}`);
  };
  const first = await live({ nth: null }, upstream.port, redisPort);
  tell('no call', first);
  // A timer that never rings is no fault that this machine has, and whoever only waits for it waits for ever.
  const chosen = choice(first.calls.length).map((nth): Arming => ({ nth }));
  const runs = chosen.length;
  const counted = new Map<string, number>();
  const work = async (): Promise<void> => {
    for (let arming = chosen.shift(); arming !== undefined; arming = chosen.shift()) {
      const name = first.calls[arming.nth ?? 0] ?? '';
      counted.set(name, (counted.get(name) ?? 0) + 1);
      tell(`call ${arming.nth}, ${name}`, await live(arming, upstream.port, redisPort));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  await upstream.close();
  await redis?.stop();
  const seconds = Math.round((performance.now() - began) / 1000);
  console.log(`whole: ${first.calls.length} calls, ${runs} runs, ${failures} failures, ${seconds} s`);
  for (const [call, times] of [...counted].toSorted()) console.log(`  ${call}: ${times}`);
  return failures;
}
