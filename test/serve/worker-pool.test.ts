// What the main thread does for its workers: one that dies is replaced, one that hangs is counted out, and nothing that only
// grows falls.

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import { type Loaded, loadFlags } from '../../src/config/load.ts';
import type { Config } from '../../src/config/schema.ts';
import { MemoryStore } from '../../src/limits/memory-store.ts';
import { formatMeasured } from '../../src/observe/measured.ts';
import type { Policy } from '../../src/policy/policy.ts';
import { Limiter } from '../../src/serve/limiter.ts';
import { observerFor } from '../../src/serve/listeners.ts';
import { WorkerPool } from '../../src/serve/worker-pool.ts';
import { SmtpClient } from '../helpers/smtp-client.ts';
import { UpstreamStandIn } from '../helpers/upstream-stand-in.ts';
import { parseSamples } from '../observe/watched.ts';
import { settled } from '../proxy/peer.ts';

const WORKER = new URL('./hanging-worker.ts', import.meta.url);

interface Setting {
  readonly pool: WorkerPool;
  readonly port: number;
  readonly upstream: UpstreamStandIn;
  /** Every thread so far, in the order of their start. */
  readonly threads: Worker[];
  /** Connections that are counted. */
  counted(): number;
  /** Stops the event loop of the thread started so long ago, until what it returns is called. */
  hang(thread: number): () => void;
  /** The line of that number with this message, now or later. */
  logged(message: string, number?: number): Promise<Record<string, unknown>>;
  samples(): Promise<Map<string, number>>;
}

interface Sound extends Loaded {
  readonly config: Config;
  readonly policy: Policy;
}

function load(values: Parameters<typeof loadFlags>[0]): Sound {
  const loaded = loadFlags(values, {});
  const { config, policy, findings } = loaded;
  if (config === null || policy === null) throw new Error(JSON.stringify(findings));
  return { ...loaded, config, policy };
}

async function started(t: TestContext, count: number): Promise<Setting> {
  const upstream = await UpstreamStandIn.listen({ dialect: 'strict' });
  const values = {
    listen: ['127.0.0.1:0'],
    upstream: [`127.0.0.1:${upstream.port}`],
    acceptedDomain: ['local.example'],
    logLevel: 'info',
  };
  const { config, policy, world } = load(values);
  const lines: string[] = [];
  let wake = (): void => {};
  const write = (text: string): void => {
    lines.push(...text.split('\n').slice(0, -1));
    wake();
  };
  const observer = observerFor(config, policy, { sink: { write, flush: async () => {}, lost: 0 } });
  const threads: Worker[] = [];
  const words: MessagePort[] = [];
  const startWorker = (number: number): Worker => {
    const { port1, port2 } = new MessageChannel();
    const thread = new Worker(WORKER, { name: `worker ${number}`, workerData: port2, transferList: [port2] });
    threads.push(thread);
    words.push(port1);
    return thread;
  };
  const hang = (thread: number) => {
    const word = new Int32Array(new SharedArrayBuffer(4));
    words[thread]?.postMessage(word);
    return () => {
      Atomics.store(word, 0, 1);
      Atomics.notify(word, 0);
    };
  };
  const store = new MemoryStore();
  const counted = () => [...store.seats()].reduce((sum, { open }) => sum + open, 0);
  const limiter = new Limiter(store, { limited: () => {}, banned: () => {} });
  const order = { file: null, values, world };
  const pool = await WorkerPool.start({ count, config, order, observer, limiter, startWorker });
  t.after(async () => {
    await pool.drain(0);
    await upstream.close();
  });
  const entries = () => lines.map((channel) => JSON.parse(channel) as Record<string, unknown>);
  const logged = async (message: string, number = 1) => {
    for (;;) {
      const found = entries().filter(({ msg }) => msg === message)[number - 1];
      if (found !== undefined) return found;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  const samples = async () => parseSamples(await formatMeasured(await pool.measured()));
  return { pool, port: pool.addresses[0]?.port ?? 0, upstream, threads, counted, hang, logged, samples };
}

async function say(client: SmtpClient, channel: string): Promise<string> {
  await client.write(Buffer.from(channel === '' ? '' : `${channel}\r\n`));
  return (await client.reply())?.text ?? 'closed';
}

async function greeted(port: number): Promise<SmtpClient> {
  const client = new SmtpClient(port);
  assert.match(await say(client, ''), /^220/);
  return client;
}

async function deliver(client: SmtpClient): Promise<void> {
  for (const channel of [
    'EHLO c.example',
    'MAIL FROM:<a@b.example>',
    'RCPT TO:<x@local.example>',
    'DATA',
    'hello\r\n.',
  ])
    assert.match(await say(client, channel), /^[23]/);
}

function many(port: number, count = 24): Promise<SmtpClient[]> {
  return Promise.all(Array.from({ length: count }, () => greeted(port)));
}

test('a worker that dies takes its own sessions along and uncounts them, is named, and is started anew on the same port', async (t) => {
  const { pool, port, threads, counted, logged } = await started(t, 2);
  const clients = await many(port);
  assert.equal(counted(), clients.length);
  await threads[0]?.terminate();
  assert.equal(pool.isOpen, false);
  const died = await logged('worker ended, its sessions are lost');
  assert.deepEqual([died.worker, died.level, died.next_start_ms], [1, 'error', 100]);

  const answers = await Promise.all(clients.map((client) => say(client, 'NOOP')));
  const [dead, alive] = [answers.filter((answer) => answer === 'closed'), answers.filter((a) => a.startsWith('250'))];
  assert.ok(dead.length > 0 && alive.length > 0);
  assert.equal(dead.length + alive.length, clients.length);
  assert.equal(counted(), alive.length);

  await logged('worker started anew');
  assert.equal(pool.isOpen, true);
  assert.equal(threads.length, 3);
  await Promise.all((await many(port)).map(deliver));
  for (const client of clients) client.destroy();
});

test('no session has the number of one of a worker that died: who is ended by it is the one that was meant', async (t) => {
  const { pool, port, threads, logged } = await started(t, 2);
  const question = { network: null, connector: null, server: null, phase: null, most: 100 };
  const numbers = async () =>
    (await pool.sessions(question)).sessions.filter(({ worker }) => worker === 1).map(({ number }) => number);
  const clients = await many(port);
  const before = await numbers();
  assert.ok(before.length > 0);
  await threads[0]?.terminate();
  await logged('worker started anew');
  const later = await many(port);
  const after = await numbers();
  assert.ok(after.length > 0);
  assert.deepEqual(
    after.filter((number) => before.includes(number)),
    [],
  );
  assert.equal(await pool.endSession(1, before[0] as number), false);
  assert.equal(await pool.endSession(1, after[0] as number), true);
  for (const client of [...clients, ...later]) client.destroy();
});

test('one that dies again and again is started ever more slowly', async (t) => {
  const { threads, logged } = await started(t, 2);
  for (const [deaths, wait] of [100, 200, 400].entries()) {
    await threads.at(-1)?.terminate();
    const died = await logged('worker ended, its sessions are lost', deaths + 1);
    assert.deepEqual([died.worker, died.next_start_ms], [2, wait]);
    await logged('worker started anew', deaths + 1);
  }
});

test('what a dead worker had counted when it was last asked stays in the sum', async (t) => {
  const { port, threads, samples, logged } = await started(t, 2);
  const clients = await many(port);
  await Promise.all(clients.map(deliver));
  const messages = 'postern_messages_total{connector="default"}';
  const before = await samples();
  assert.equal(before.get(messages), clients.length);
  assert.equal(before.get('postern_sessions'), clients.length);
  for (const thread of threads.slice(0, 2)) await thread.terminate();
  await logged('worker started anew', 2);
  const after = await samples();
  assert.equal(after.get(messages), clients.length);
  assert.equal(after.get('postern_sessions'), 0);
  assert.equal(after.get('postern_worker_deaths_total'), 2);
  assert.equal(after.get('postern_workers'), 2);
  for (const client of clients) client.destroy();
});

test('a worker that hangs is left out of the metrics after a second, and the answer says so', async (t) => {
  const { port, hang, samples } = await started(t, 2);
  await Promise.all((await many(port)).map(deliver));
  const before = await samples();
  const goOn = hang(1);
  const found = await samples();
  assert.deepEqual([found.get('postern_workers'), found.get('postern_workers_missing')], [1, 1]);
  const messages = 'postern_messages_total{connector="default"}';
  assert.equal(found.get(messages), before.get(messages));
  assert.ok((found.get('postern_sessions') ?? 0) < (before.get('postern_sessions') ?? 0));
  goOn();
  assert.equal((await samples()).get('postern_workers'), 2);
});

test('a worker that dies behind its answer, while another is waited for, is counted once', async (t) => {
  const { pool, port, threads, hang, samples, logged } = await started(t, 2);
  const clients = await many(port);
  await Promise.all(clients.map(deliver));
  await samples();
  const goOn = hang(0);
  const waiting = samples();
  for (let asked = 0; asked < 20; asked++) await pool.endSession(2, 0); // so it has answered what was asked before
  await threads[1]?.terminate();
  await logged('worker started anew');
  const messages = 'postern_messages_total{connector="default"}';
  assert.equal((await waiting).get(messages), clients.length);
  goOn();
  assert.equal((await samples()).get(messages), clients.length);
  for (const client of clients) client.destroy();
});

test('a worker that hangs does not hold up the end', async (t) => {
  const { pool, threads, hang } = await started(t, 2);
  hang(1);
  await pool.drain(0);
  assert.equal(threads.length, 2); // none was started anew
  assert.ok(threads.every(({ threadId }) => threadId === -1));
});

test('a new worker begins with the policy in force, not with what the files say now', async (t) => {
  const { pool, port, threads, logged, upstream } = await started(t, 2);
  const values = { upstream: [`127.0.0.1:${upstream.port}`], acceptedDomain: ['new.example'] };
  const { config, policy, world } = load(values);
  await pool.putInForce({ config, policy, credentials: null }, { file: null, values, world });
  for (const thread of threads.slice(0, 2)) await thread.terminate();
  await logged('worker started anew', 2);
  for (const client of await many(port, 12)) {
    await say(client, 'EHLO c.example');
    await say(client, 'MAIL FROM:<a@b.example>');
    assert.match(await say(client, 'RCPT TO:<x@local.example>'), /^554/);
    assert.match(await say(client, 'RCPT TO:<x@new.example>'), /^250/);
    client.destroy();
  }
});

test('a worker that dies under load takes no message along that was confirmed, and no count is left behind', async (t) => {
  const { port, threads, counted, logged, upstream } = await started(t, 3);
  let confirmed = 0;
  let lost = 0;
  let going = true;
  const play = async (): Promise<void> => {
    while (going) {
      const client = new SmtpClient(port);
      const words = [
        '',
        'EHLO c.example',
        'MAIL FROM:<a@b.example>',
        'RCPT TO:<x@local.example>',
        'DATA',
        'hello\r\n.',
      ];
      let answer = '';
      for (const channel of words) {
        answer = await say(client, channel);
        if (!/^[23]/.test(answer)) break;
      }
      if (answer.startsWith('250')) confirmed++;
      else lost++;
      if (answer !== 'closed') await say(client, 'QUIT');
      client.destroy();
    }
  };
  const clients = Array.from({ length: 30 }, play);
  for (let deaths = 1; deaths <= 2; deaths++) {
    const before = confirmed;
    await threads[deaths - 1]?.terminate();
    await logged('worker started anew', deaths);
    while (confirmed < before + 100) await settled(); // the others, and the new one, serve on
  }
  going = false;
  await Promise.all(clients);
  assert.ok(confirmed >= 200);
  const taken = upstream.connections.flatMap(({ server }) => server.messages).length;
  assert.ok(taken >= confirmed && taken <= confirmed + lost, `${taken} taken, ${confirmed} confirmed, ${lost} lost`);
  while (counted() > 0) await settled(); // and it comes to that
  await Promise.all((await many(port)).map(deliver));
});
