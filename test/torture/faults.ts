// Calls of Node's own that fail when they are told to: what the product asks of sockets, files, DNS, timers and Redis.
//
// Loaded before the product, in the process in which it runs; the product has no hook and knows nothing of it. The seams are where
// the product leaves JavaScript: the prototype of Node's TCP handles (which TLS, HTTP and ioredis use as well), node:fs and its
// promises, node:dns, setTimeout. A socket call that fails returns what libuv would; a file call throws, calls back or rejects;
// a name does not resolve; a timer rings at once, or never.
//
// curl's way: `arm(null)` counts the calls of a dialogue, `arm(n)` lets the nth of them fail and every other do its work.

import dns from 'node:dns/promises';
import fs from 'node:fs';
import fsPromises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';

let armed = false;
let calls: string[] = [];
let failing = -1;
let timersRing: 'at once' | 'never' = 'at once';
/** Only these seams count; null: all. */
let only: RegExp | null = null;

export interface Arming {
  /** Which call fails, from 0; null: none, they are counted. */
  readonly nth: number | null;
  /** Of the names of calls, as a regular expression. */
  readonly seams?: string;
  readonly timers?: 'at once' | 'never';
}

export function arm({ nth, seams, timers = 'at once' }: Arming): void {
  calls = [];
  failing = nth ?? -1;
  only = seams === undefined ? null : new RegExp(seams);
  timersRing = timers;
  armed = true;
}

/** The names of the calls since it was armed. */
export function disarm(): readonly string[] {
  armed = false;
  return calls;
}

/** Whether this call is the one that fails. */
function isDue(name: string): boolean {
  if (!armed || (only !== null && !only.test(name))) return false;
  calls.push(name);
  return calls.length - 1 === failing;
}

/** Node's own loader reads files too. */
function isOurs(): boolean {
  return armed && /[\\/]src[\\/]/.test(new Error().stack ?? '');
}

function fault(code: string, errno: number): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: made to fail`), { code, errno, syscall: 'torture' });
}

// --- sockets: negative numbers, as libuv has them

const ECONNRESET = -104;
const ENOTCONN = -107;
const EMFILE = -24;
const ENOBUFS = -105;
const FAILS: Readonly<Record<string, number>> = {
  connect: EMFILE,
  connect6: EMFILE,
  writeBuffer: ECONNRESET,
  writev: ECONNRESET,
  writeLatin1String: ECONNRESET,
  writeUtf8String: ECONNRESET,
  shutdown: ENOTCONN,
  readStart: ENOTCONN,
  readStop: ENOTCONN,
  setNoDelay: ENOBUFS,
  getpeername: ENOTCONN,
  getsockname: ENOTCONN,
  reset: ENOTCONN,
  bind: ENOBUFS,
  bind6: ENOBUFS,
  listen: ENOBUFS,
};

type Method = (this: object, ...args: unknown[]) => unknown;

const { binding } = process as unknown as { binding(name: string): Record<string, unknown> };
const { TCP } = binding.call(process, 'tcp_wrap') as { TCP: { prototype: Record<string, Method> } };
for (const [name, status] of Object.entries(FAILS)) {
  const usual = TCP.prototype[name];
  if (usual === undefined) throw new Error(`Node's TCP handles have no ${name}`);
  TCP.prototype[name] = function failOrDo(...args) {
    return isDue(`socket.${name}`) ? status : usual.apply(this, args);
  };
}

// --- files

type AnyFunction = (...args: never[]) => unknown;

function replace<Module extends object>(module: Module, name: string, by: (usual: Method) => Method): void {
  const members = module as Record<string, AnyFunction>;
  members[name] = by(members[name] as unknown as Method) as unknown as AnyFunction;
}

for (const name of ['readFileSync', 'openSync', 'readSync', 'fstatSync', 'writeSync', 'watch']) {
  replace(
    fs,
    name,
    (usual) =>
      function failOrDo(this: object, ...args) {
        if (isOurs() && isDue(`file.${name}`)) throw fault('EIO', -5);
        return usual.apply(this, args);
      },
  );
}
for (const name of ['write', 'open', 'close']) {
  replace(
    fs,
    name,
    (usual) =>
      function failOrDo(this: object, ...args) {
        const then = args.at(-1);
        if (typeof then !== 'function' || !isOurs() || !isDue(`file.${name}`)) return usual.apply(this, args);
        return setImmediate(then as (error: Error) => void, fault(name === 'write' ? 'ENOSPC' : 'EMFILE', -28));
      },
  );
}
for (const name of ['readFile', 'stat', 'open']) {
  replace(
    fsPromises,
    name,
    (usual) =>
      function failOrDo(this: object, ...args) {
        return isOurs() && isDue(`file.promises.${name}`) ? Promise.reject(fault('EIO', -5)) : usual.apply(this, args);
      },
  );
}

// --- names: nobody is asked, and one answer fits all

const NAME = 'pc.friend.example';
const ANSWERS: Readonly<Record<string, readonly string[]>> = {
  resolvePtr: [NAME],
  resolve4: ['192.0.2.9'],
  resolve6: [],
};
for (const [name, answer] of Object.entries(ANSWERS)) {
  replace(dns.Resolver.prototype, name, () => async () => {
    if (isDue(`dns.${name}`)) throw fault('ESERVFAIL', -1);
    return answer;
  });
}

// --- timers

const usualTimeout = globalThis.setTimeout;
const timeout = ((ring: (...args: unknown[]) => void, ms?: number, ...args: unknown[]) => {
  if (!isOurs() || !isDue('timer')) return usualTimeout(ring, ms, ...args);
  return usualTimeout(timersRing === 'never' ? () => {} : ring, 1, ...args);
}) as typeof setTimeout;
globalThis.setTimeout = Object.assign(timeout, usualTimeout);

// --- Redis: what its client is asked to send

export async function failRedisToo(): Promise<void> {
  const { Redis } = await import('ioredis');
  replace(
    Redis.prototype,
    'sendCommand',
    (usual) =>
      function failOrDo(this: object, ...args) {
        if (!isDue('redis.command')) return usual.apply(this, args);
        const [command] = args as [{ reject(error: Error): void; promise: Promise<unknown> }];
        command.reject(new Error('READONLY made to fail'));
        return command.promise;
      },
  );
}

syncBuiltinESMExports();
