// The life of a worker thread: opens its doors when the main thread says so, and does what that asks (crew.ts).
//
// It has no signals, no admin port and no descriptor of its own: log lines go to the main thread, so that lines of two
// workers never mix. A fault that nothing catches is a defect like any other: counted, logged, and the thread lives on.

import { parentPort } from 'node:worker_threads';
import { loadInSlices } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { RemoteStore } from '../limits/remote-store.ts';
import type { Ban } from '../limits/store.ts';
import type { Observer } from '../observe/events.ts';
import { BatchingSink } from '../observe/log-sink.ts';
import type { Measured } from '../observe/measured.ts';
import type { Policy } from '../policy/policy.ts';
import type { Endpoint } from '../proxy/address.ts';
import type { Credentials } from '../proxy/client-tls.ts';
import { RemotePlaces } from '../proxy/remote-places.ts';
import { NameResolver } from '../proxy/resolver.ts';
import type { ServerState } from '../proxy/upstream.ts';
import type { Door } from '../smtp/types.ts';
import type { CrewCalls, LoadOrder } from './crew.ts';
import { type Doors, observerFor, openDoors, type Shared } from './doors.ts';
import { Limiter } from './limits/limiter.ts';
import { Line } from './line.ts';

/** What a worker begins with. */
export interface Start {
  readonly number: number;
  /** With the ports as bound by the first. */
  readonly config: Config;
  readonly order: LoadOrder;
  readonly credentials: readonly Credentials[];
  readonly ticketKeys: Uint8Array;
}

/** What the main thread may call. */
export type WorkerCalls = {
  /** First. The addresses as bound; rejects with a sentence that names the one that cannot be. */
  open(start: Start): Promise<readonly Endpoint[]>;
  measured(): Promise<Measured[]>;
  greets(): Promise<boolean>;
  servers(): Promise<readonly ServerState[]>;
  serving(server: string): Promise<number>;
  names(address: string): readonly string[] | null;
  /** Whether its event loop turns. */
  lives(): true;
  putInForce(order: LoadOrder, credentials: readonly Credentials[] | null): Promise<true>;
  stopListening(): Promise<number>;
  drain(patience: number): Promise<number>;
  endSessions(ban: Ban): Promise<void>;
  cutOff(): Promise<void>;
};

interface Open {
  readonly observer: Observer;
  readonly doors: Doors;
}

const TELL_AGAIN_MS = 1_000;

if (parentPort === null) throw new Error('this file is the entry of a worker thread');

const resolver = new NameResolver();
let opened: Promise<Open> = Promise.reject(new Error('the doors were not opened'));
opened.catch(() => {});

const line: Line<CrewCalls> = new Line<CrewCalls>(parentPort, {
  open: async (start) => {
    opened = open(start);
    return (await opened).doors.addresses;
  },
  measured: async () => (await opened).observer.measured(),
  greets: async () => (await opened).doors.greets(),
  servers: async () => (await opened).doors.servers(),
  serving: async (server) => (await opened).doors.serving(server),
  names: (address) => resolver.known(address),
  lives: () => true,
  putInForce: async (order, credentials) => {
    const { doors } = await opened;
    await doors.putInForce({ policy: await policyFrom(order), credentials }, order);
    return true;
  },
  stopListening: async () => (await opened).doors.stopListening(),
  drain: async (patience) => {
    const { doors, observer } = await opened;
    const cut = await doors.drain(patience);
    await observer.flush();
    return cut;
  },
  endSessions: async (ban) => (await opened).doors.endSessions(ban),
  cutOff: async () => (await opened).doors.cutOff(),
} satisfies WorkerCalls);

const sink = new BatchingSink((text, lines, done) => {
  line.call('log', text, lines).then(
    () => done(0),
    () => done(lines),
  );
});
process.once('exit', () => {
  const { text, lines } = sink.takeRest();
  if (lines > 0) line.tell('log', text, lines);
  line.flush();
});

async function open({ number, config, order, credentials, ticketKeys }: Start): Promise<Open> {
  const policy = await policyFrom(order);
  const settings = {
    file: order.file,
    credentials,
    order,
    sink,
    names: (address: string) => resolver.known(address),
    resolve: (address: string) => resolver.names(address),
    endNames: () => resolver.close(),
    shared: {
      number,
      places: new RemotePlaces(line),
      ticketKeys,
      upstreamUp: tellingChanges(),
      upstreamSilent: (server: string, greeted: boolean) => line.tell('upstreamSilent', server, greeted),
      upstreamFull: (server: string, sessions: number, why: string) => line.tell('upstreamFull', server, sessions, why),
      servedElsewhere: (server: string) => line.call('serves', server),
      broughtMail: (door: Door) => line.tell('broughtMail', door),
    },
  };
  const observer = observerFor(config, policy, settings);
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error) => observer.defect(error, 'nothing that is known'));
  }
  const limiter = new Limiter(new RemoteStore(line), {
    limited: (kind, key) => observer.limited(kind, key),
    banned: (ban) => line.tell('banned', ban),
  });
  return { observer, doors: await openDoors(config, policy, observer, limiter, settings) };
}

/** The main thread has found it sound, and the texts are the ones that it read. */
async function policyFrom({ file, values, world }: LoadOrder): Promise<Policy> {
  const options = {
    ...world,
    onLostAddress: (address: string) => line.tell('lostAddress', address),
    resolve: (address: string) => resolver.names(address),
  };
  const { policy } = await loadInSlices(file, values, process.env, options);
  if (policy === null) throw new Error('a configuration that the main thread had found sound was faulty here');
  return policy;
}

/** Every session tells how dialling went; the main thread wants the changes, and to hear now and then that all is well. */
function tellingChanges(): Shared['upstreamUp'] {
  const told = new Map<string, { up: boolean; at: number }>();
  return (server, up, why, nextProbe) => {
    const last = told.get(server);
    const now = performance.now();
    if (last?.up === up && now - last.at < TELL_AGAIN_MS) return;
    told.set(server, { up, at: now });
    line.tell('upstreamUp', server, up, why, nextProbe);
  };
}
