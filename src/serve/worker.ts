// The life of a worker thread: opens its listeners when the main thread says so, and does what that asks (worker-pool.ts).
//
// It has no signals, no admin port and no descriptor of its own: log lines go to the main thread, so that lines of two
// workers never mix. A fault that nothing catches is a defect like any other: counted, logged, and the thread lives on.

import { parentPort } from 'node:worker_threads';
import { type Loaded, loadInSlices } from '../config/load.ts';
import { RemoteStore } from '../limits/remote-store.ts';
import type { Observer } from '../observe/events.ts';
import { BatchingSink } from '../observe/log-sink.ts';
import { RemoteSlots } from '../proxy/remote-slots.ts';
import { NameResolver } from '../proxy/resolver.ts';
import { Limiter } from './limiter.ts';
import { observerFor, openListeners, type Shared } from './listeners.ts';
import type { Listeners, LoadOrder, PoolCalls, Start, WorkerCalls } from './threads.ts';
import { WorkerChannel } from './worker-channel.ts';

interface Open {
  readonly observer: Observer;
  readonly listeners: Listeners;
}

type Sound = { readonly [Part in 'config' | 'policy']: NonNullable<Loaded[Part]> };

const TELL_AGAIN_MS = 1_000;
const TELL_TOGETHER_MS = 100;

if (parentPort === null) throw new Error('this file is the entry of a worker thread');

const resolver = new NameResolver();
let opened: Promise<Open> = Promise.reject(new Error('the listeners were not opened'));
opened.catch(() => {});

const channel: WorkerChannel<PoolCalls> = new WorkerChannel<PoolCalls>(parentPort, {
  open: async (start) => {
    opened = open(start);
    return (await opened).listeners.addresses;
  },
  measured: async () => (await opened).observer.measured(),
  greets: async () => (await opened).listeners.greets(),
  servers: async () => (await opened).listeners.servers(),
  reports: async () => (await opened).listeners.reports(),
  drainServer: async (server, draining) => (await opened).listeners.drainServer(server, draining),
  sessions: async (asked) => (await opened).listeners.sessions(asked),
  refusals: async () => (await opened).listeners.refusals(),
  endSession: async (worker, session) => (await opened).listeners.endSession(worker, session),
  serving: async (server) => (await opened).listeners.serving(server),
  names: (address) => resolver.known(address),
  lives: () => true,
  putInForce: async (order, credentials) => {
    const { listeners } = await opened;
    await listeners.putInForce({ ...(await soundFrom(order)), credentials }, order);
    return true;
  },
  stopListening: async () => (await opened).listeners.stopListening(),
  drain: async (patience) => {
    const { listeners, observer } = await opened;
    const cut = await listeners.drain(patience);
    await observer.flush();
    return cut;
  },
  endSessions: async (ban) => (await opened).listeners.endSessions(ban),
  cutOff: async () => (await opened).listeners.cutOff(),
} satisfies WorkerCalls);

const sink = sinkTo('log');
const relayed = sinkTo('relayed');
process.once('exit', () => channel.flush());

/** Lines that the main thread writes: of the log, of the file for relayed mail. */
function sinkTo(call: 'log' | 'relayed'): BatchingSink {
  const lineSink = new BatchingSink((text, lines, done) => {
    channel.call(call, text, lines).then(
      () => done(0),
      () => done(lines),
    );
  });
  process.once('exit', () => {
    const { text, lines } = lineSink.takeRest();
    if (lines > 0) channel.tell(call, text, lines);
  });
  return lineSink;
}

async function open({ number, config, order, credentials, ticketKeys, opened, drained }: Start): Promise<Open> {
  const { policy } = await soundFrom(order);
  const settings = {
    file: order.file,
    credentials,
    order,
    sink,
    ...(config.log.relayed_file === null ? {} : { relayed }),
    names: (address: string) => resolver.known(address),
    resolve: (address: string) => resolver.names(address),
    endNames: () => resolver.close(),
    shared: {
      ...{ number, opened },
      slots: new RemoteSlots(channel),
      ticketKeys,
      upstreamUp: tellingChanges(),
      upstreamSilent: (server: string, greeted: boolean) => channel.tell('upstreamSilent', server, greeted),
      upstreamFull: (server: string, sessions: number, why: string) =>
        channel.tell('upstreamFull', server, sessions, why),
      servedElsewhere: (server: string) => channel.call('serves', server),
      broughtMail: tellingWhoBroughtMail(),
    },
  };
  const observer = observerFor(config, policy, settings);
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error) => observer.defect(error, 'nothing that is known'));
  }
  const limiter = new Limiter(new RemoteStore(channel), {
    limited: (kind, key) => observer.limited(kind, key),
    banned: (ban) => channel.tell('banned', ban),
  });
  const listeners = await openListeners(config, policy, observer, limiter, settings);
  for (const server of drained) listeners.drainServer(server, true);
  return { observer, listeners };
}

/** The main thread has found it sound, and the texts are the ones that it read. */
async function soundFrom({ file, values, world }: LoadOrder): Promise<Sound> {
  const options = {
    ...world,
    onLostAddress: (address: string) => channel.tell('lostAddress', address),
    resolve: (address: string) => resolver.names(address),
  };
  const { config, policy } = await loadInSlices(file, values, process.env, options);
  if (config === null || policy === null)
    throw new Error('a configuration that the main thread had found sound was faulty here');
  return { config, policy };
}

/** Every session tells how dialling went; the main thread wants the changes, and to hear now and then that all is well. */
function tellingChanges(): Shared['upstreamUp'] {
  const told = new Map<string, { up: boolean; at: number }>();
  return (server, up, why, nextProbe) => {
    const last = told.get(server);
    const now = performance.now();
    if (last?.up === up && now - last.at < TELL_AGAIN_MS) return;
    told.set(server, { up, at: now });
    channel.tell('upstreamUp', server, up, why, nextProbe);
  };
}

/** Many at once, since each message wakes the main thread. */
function tellingWhoBroughtMail(): Shared['broughtMail'] {
  let addresses: string[] = [];
  return ({ clientAddress }) => {
    if (addresses.length === 0)
      setTimeout(() => {
        channel.tell('broughtMail', addresses);
        addresses = [];
      }, TELL_TOGETHER_MS).unref();
    addresses.push(clientAddress);
  };
}
