// Worker threads, as the main thread keeps them: started, told, asked, replaced when they end.
//
// Each worker has an event loop, sockets and sessions of its own and the policy compiled from the very texts that the main
// thread read, so that no two decide differently. They bind the same ports with SO_REUSEPORT and the kernel gives each
// connection to one of them. What is one for the whole process lives here: the counts of limits, the places at the upstream,
// the log's descriptor, what is known of the servers, the sum of the metrics. A worker that ends by itself takes its sessions
// with it and is started anew.
// Not chosen: `cluster`, whose processes cost memory each and a hand-over for each connection. It would save the
// connections that wait in a listener's queue when its worker dies, and those are as lost as that worker's sessions.

import type { Worker } from 'node:worker_threads';
import type { Config } from '../config/schema.ts';
import { type StoreCalls, StoreServer } from '../limits/remote-store.ts';
import type { Ban } from '../limits/store.ts';
import type { Observer } from '../observe/events.ts';
import { countersOf, type Measured, sumOf } from '../observe/measured.ts';
import type { Endpoint } from '../proxy/address.ts';
import { type Credentials, newTicketKeys } from '../proxy/client-tls.ts';
import { requireFree } from '../proxy/listener.ts';
import { type SlotCalls, SlotServer } from '../proxy/remote-slots.ts';
import { mergeReports, mergeStates, type ServerReport, type ServerState } from '../proxy/server-reports.ts';
import { AllSlots } from '../proxy/upstream-slots.ts';
import { addRefusals, type Refusals } from '../status/refusals.ts';
import { threadIsHeld } from './held-threads.ts';
import type { Limiter } from './limiter.ts';
import { mergeFound, type SessionQuestion, type SessionsFound } from './live-sessions.ts';
import { startWorker } from './program-files.ts';
import type { InForce, Listeners, LoadOrder, PoolCalls, WorkerCalls } from './threads.ts';
import { serversOf, slotSettings } from './upstream-settings.ts';
import { WorkerChannel } from './worker-channel.ts';

const ANSWER_MS = 1_000;
const GREETS_MS = 30_000;
const SLOW_MS = 30_000; // a worker with a new policy; with none of whose answers for so long it does not live
const DRAINED_MS = 3_000; // beyond the patience: last words, and the rest of the log
const RESTART_MS = 100; // doubled with each death in a row
const RESTART_MOST_MS = 10_000;
const LIVED_MS = 60_000; // who lived so long did not die of its start

/** One worker thread from its start to its end. */
class PoolWorker {
  readonly number: number;
  readonly channel: WorkerChannel<WorkerCalls>;
  /** Resolves with why it ended. */
  readonly ended: Promise<string>;
  readonly startedAt = performance.now();
  isOpen = false;
  /** As it was last told. */
  measured: readonly Measured[] = [];
  readonly #worker: Worker;

  constructor(
    number: number,
    worker: Worker,
    { store, now }: Limiter,
    slots: AllSlots,
    calls: Omit<PoolCalls, keyof StoreCalls | keyof SlotCalls>,
  ) {
    this.number = number;
    this.#worker = worker;
    const storeServer = new StoreServer(store, now);
    const slotServer = new SlotServer(slots);
    this.channel = new WorkerChannel<WorkerCalls>(this.#worker, {
      ...storeServer.calls,
      ...slotServer.calls,
      ...calls,
    });
    let why: string | null = null;
    this.#worker.on('error', (error: Error) => {
      why = error.message;
    });
    this.ended = new Promise((resolve) => {
      this.#worker.on('exit', (code) => {
        this.isOpen = false;
        storeServer.end();
        slotServer.end();
        why ??= `exit code ${code}`;
        this.channel.end(`worker ${number} ended: ${why}`);
        resolve(why);
      });
    });
  }

  async terminate(): Promise<void> {
    await this.#worker.terminate();
  }
}

export interface PoolOptions {
  readonly count: number;
  readonly config: Config;
  readonly order: LoadOrder;
  /** Of each listener, in the order of the configuration; none when left out. */
  readonly credentials?: readonly Credentials[] | undefined;
  readonly observer: Observer;
  /** What workers count, they count here. */
  readonly limiter: Limiter;
  /** Hears of a client whose own address was lost. */
  readonly onLostAddress?: ((address: string) => void) | undefined;
  /** Starts a thread; a test hands in its own, to get hold of it, or to have the one that is built. */
  readonly startWorker?: ((number: number) => Worker) | undefined;
}

export class WorkerPool implements Listeners {
  readonly #options: PoolOptions;
  readonly #observer: Observer;
  readonly #slots: AllSlots;
  readonly #members: PoolWorker[] = [];
  readonly #ticketKeys = newTicketKeys();
  #servers: readonly string[];
  readonly #drained = new Set<string>();
  /** By worker: how many sessions those of this number have opened. */
  readonly #opened: readonly Float64Array[];
  /** With which a worker begins. */
  #config: Config;
  #order: LoadOrder;
  #credentials: readonly Credentials[];
  #addresses: readonly Endpoint[] = [];
  #ofTheDead: readonly Measured[] = [];
  #lostAddressTold = false;
  #ending = false;

  private constructor(options: PoolOptions) {
    this.#options = options;
    this.#observer = options.observer;
    this.#config = options.config;
    this.#servers = serversOf(options.config);
    this.#slots = new AllSlots(slotSettings(options.config));
    const oneNumber = (): Float64Array => new Float64Array(new SharedArrayBuffer(Float64Array.BYTES_PER_ELEMENT));
    this.#opened = Array.from({ length: options.count }, oneNumber);
    this.#order = options.order;
    this.#credentials = options.credentials ?? [];
  }

  /** Resolves when all are open; rejects with a sentence that names the address that cannot be bound. */
  static async start(options: PoolOptions): Promise<WorkerPool> {
    const { count, config } = options;
    for (const endpoint of config.listeners.flatMap((listener) => listener.bind))
      if (endpoint.port !== 0) await requireFree(endpoint);
    const pool = new WorkerPool(options);
    try {
      // The first finds out what port 0 becomes, the others share it.
      pool.#addresses = await pool.#open(1);
      await Promise.all(Array.from({ length: count - 1 }, (_, i) => pool.#open(i + 2)));
    } catch (error) {
      await pool.#terminate();
      throw error;
    }
    for (let number = 1; number <= count; number++) void pool.#keep(number);
    return pool;
  }

  get addresses(): readonly Endpoint[] {
    return this.#addresses;
  }

  get isOpen(): boolean {
    return this.#members.every(({ isOpen }) => isOpen);
  }

  get threads(): { configured: number; open: number } {
    const open = this.#members.filter((member) => member.isOpen).length;
    return { configured: this.#options.count, open };
  }

  async measured(): Promise<(readonly Measured[])[]> {
    const answered = new Set<PoolWorker>();
    // Each answer is its worker's at once: while others are waited for it may end, and another have its number.
    const ask = async (member: PoolWorker): Promise<void> => {
      const answer = await within(ANSWER_MS, member.channel.call('measured'));
      if (answer === null) return;
      member.measured = answer;
      answered.add(member);
    };
    await Promise.all(this.#members.map(ask));
    const missing = this.#members.filter((member) => !answered.has(member)).length;
    this.#observer.workers(this.#members.length - missing, missing);
    const own = await this.#observer.measured();
    const parts = this.#members.map((member) => (answered.has(member) ? member.measured : countersOf(member.measured)));
    return [own, ...parts, this.#ofTheDead];
  }

  async greets(): Promise<boolean> {
    const member = this.#members.find(({ isOpen }) => isOpen);
    return member !== undefined && (await within(GREETS_MS, member.channel.call('greets'))) === true;
  }

  /** As the workers see it: down where one of them has it down. */
  async servers(): Promise<readonly ServerState[]> {
    return mergeStates(present(await this.#askAll(ANSWER_MS, (channel) => channel.call('servers'))).flat());
  }

  async reports(): Promise<readonly ServerReport[]> {
    return mergeReports(present(await this.#askAll(ANSWER_MS, (channel) => channel.call('reports'))).flat());
  }

  /** Workers that start later hear of it as well. */
  async drainServer(server: string, draining: boolean): Promise<boolean> {
    if (!this.#servers.includes(server)) return false;
    if (draining) this.#drained.add(server);
    else this.#drained.delete(server);
    await this.#askAll(ANSWER_MS, (channel) => channel.call('drainServer', server, draining));
    return true;
  }

  get areAllDrained(): boolean {
    return this.#servers.every((server) => this.#drained.has(server));
  }

  async sessions(asked: SessionQuestion): Promise<SessionsFound> {
    const parts = await this.#askAll(ANSWER_MS, (channel) => channel.call('sessions', asked));
    return mergeFound(present(parts), asked.most);
  }

  async refusals(): Promise<Refusals> {
    return addRefusals(present(await this.#askAll(ANSWER_MS, (channel) => channel.call('refusals'))));
  }

  async endSession(worker: number, session: number): Promise<boolean> {
    const member = this.#members[worker - 1];
    return (
      member !== undefined && (await within(ANSWER_MS, member.channel.call('endSession', worker, session))) === true
    );
  }

  async serving(server: string): Promise<number> {
    return sum(await this.#askAll(ANSWER_MS, (channel) => channel.call('serving', server)));
  }

  async names(address: string): Promise<readonly string[] | null> {
    const answers = await this.#askAll(ANSWER_MS, (channel) => channel.call('names', address));
    return answers.find((answer) => answer !== null) ?? null;
  }

  async putInForce({ config, credentials }: InForce, order: LoadOrder = this.#order): Promise<void> {
    this.#order = order;
    const { upstream, upstreams } = config;
    this.#config = { ...this.#config, upstream, upstreams };
    this.#servers = serversOf(config);
    for (const server of this.#drained) if (!this.#servers.includes(server)) this.#drained.delete(server);
    this.#slots.change(slotSettings(config)); // before a worker asks for places that are new
    this.#observer.serversAre(this.#servers);
    this.#credentials = credentials ?? this.#credentials;
    this.#lostAddressTold = false;
    // One after the other: while one of them is slow with it the others are not.
    for (const member of [...this.#members]) {
      // Who cannot follow is replaced by one that begins with the new policy.
      if (!(await this.#follows(member, order, credentials))) await member.terminate();
    }
  }

  /** False when the worker ended, failed, or no longer answers anything. One that is only slow is waited for. */
  async #follows(member: PoolWorker, order: LoadOrder, credentials: InForce['credentials']): Promise<boolean> {
    const followed = member.channel.call('putInForce', order, credentials);
    for (;;) {
      const answer = await within(SLOW_MS, followed, false);
      if (answer !== null) return answer;
      if ((await within(SLOW_MS, member.channel.call('lives'), false)) !== true) return false;
    }
  }

  async stopListening(): Promise<number> {
    this.#ending = true;
    return sum(await this.#askAll(ANSWER_MS, (channel) => channel.call('stopListening')));
  }

  async drain(patience: number): Promise<number> {
    this.#ending = true;
    const cut = sum(await this.#askAll(patience + DRAINED_MS, (channel) => channel.call('drain', patience)));
    // One whose system resolver owes an answer cannot be ended before it has it.
    if ((await within(ANSWER_MS, this.#terminate())) === null) threadIsHeld();
    return cut;
  }

  endSessions(ban: Ban): void {
    for (const { channel } of this.#members) channel.tell('endSessions', ban);
  }

  cutOff(): void {
    for (const { channel } of this.#members) channel.tell('cutOff');
  }

  /** Starts the worker of this number; its addresses as bound. */
  async #open(number: number): Promise<readonly Endpoint[]> {
    const { limiter, startWorker: start = startWorker } = this.#options;
    const member = new PoolWorker(number, start(number), limiter, this.#slots, {
      banned: (ban) => limiter.observer.banned(ban),
      log: (text, lines) => this.#observer.workerLog(text, lines),
      relayed: (text, lines) => this.#observer.workerRelayed(text, lines),
      upstreamUp: (server, up, why, nextProbe) => this.#observer.upstreamUp(server, up, why, nextProbe),
      upstreamSilent: (server, greeted) => this.#observer.upstreamSilent(server, greeted),
      upstreamFull: (server, sessions, why) => this.#observer.upstreamFull(server, sessions, why),
      serves: async (server) => (await this.serving(server)) > 0,
      broughtMail: (addresses) => {
        for (const clientAddress of addresses) this.#observer.broughtMail({ clientAddress });
      },
      lostAddress: (address) => this.#tellLostAddress(address),
    });
    this.#members[number - 1] = member;
    const addresses = await member.channel.call('open', {
      number,
      config: withPorts(this.#config, this.#addresses),
      order: this.#order,
      credentials: this.#credentials,
      ticketKeys: this.#ticketKeys,
      opened: this.#opened[number - 1] as Float64Array,
      drained: [...this.#drained],
    });
    member.isOpen = true;
    return addresses;
  }

  /** Replaces the worker of this number whenever it ends, until all do. */
  async #keep(number: number): Promise<void> {
    for (let deaths = 0; ; deaths++) {
      const member = this.#members[number - 1] as PoolWorker;
      const why = await member.ended;
      if (this.#ending) return;
      this.#ofTheDead = await sumOf([this.#ofTheDead, countersOf(member.measured)]);
      member.measured = [];
      if (performance.now() - member.startedAt > LIVED_MS) deaths = 0;
      const wait = Math.min(RESTART_MOST_MS, RESTART_MS * 2 ** deaths);
      this.#observer.workerDied(number, why, wait);
      await new Promise((resolve) => setTimeout(resolve, wait).unref());
      if (this.#ending) return;
      try {
        await this.#open(number);
        this.#observer.workerStarted(number);
      } catch (error) {
        this.#observer.warn('worker_not_started', { worker: number, why: (error as Error).message });
        await this.#members[number - 1]?.terminate();
      }
    }
  }

  #askAll<T>(ms: number, ask: (channel: WorkerChannel<WorkerCalls>) => Promise<T>): Promise<(T | null)[]> {
    return Promise.all(this.#members.map(({ channel }) => within(ms, ask(channel))));
  }

  #tellLostAddress(address: string): void {
    if (this.#lostAddressTold) return;
    this.#lostAddressTold = true;
    this.#options.onLostAddress?.(address);
  }

  async #terminate(): Promise<true> {
    this.#ending = true;
    await Promise.all(this.#members.map((member) => member.terminate()));
    return true;
  }
}

/** The configuration with the ports that the first worker was given. */
function withPorts(config: Config, addresses: readonly Endpoint[]): Config {
  let next = 0;
  const listeners = config.listeners.map((listener) => ({
    ...listener,
    bind: listener.bind.map((endpoint) => addresses[next++] ?? endpoint),
  }));
  return { ...config, listeners };
}

/** Null when the answer does not come in time; `never` when it never will. */
async function within<T>(ms: number, answer: Promise<T>, never: T | null = null): Promise<T | null> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<null>((resolve) => {
    timer = setTimeout(resolve, ms, null);
  });
  try {
    return await Promise.race([answer, late]);
  } catch {
    return never;
  } finally {
    clearTimeout(timer);
  }
}

function present<T>(answers: readonly (T | null)[]): T[] {
  return answers.filter((answer) => answer !== null);
}

function sum(numbers: readonly (number | null)[]): number {
  return numbers.reduce<number>((all, one) => all + (one ?? 0), 0);
}
