// A server that stalls at every octet: it takes so many, and then none until it is told. Whatever the sizes in which a client speaks
// and a server takes, and whoever waits for his turn, the server reads what the client said without what was refused, and the
// client hears each reply in its order; and where one of them goes, or the operator ends it, the server has heard the beginning of
// that and no end. What was read is written over as soon as nobody may have it (poison.ts). Half of the clients speak TLS.
// POSTERN_STALLS_SEED plays one run again.

import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { FairQueue } from '../../../src/proxy/fair-queue.ts';
import { HandleStream } from '../../../src/proxy/handle-stream.ts';
import type { Judge } from '../../../src/smtp/types.ts';
import { judgeBy } from '../../helpers/harness.ts';
import { numbers } from '../../helpers/numbers.ts';
import { poisoned } from '../../helpers/poison.ts';
import { settled } from '../peer.ts';
import { ECONNRESET, FakeHandle } from './fake-handle.ts';
import { type Part, scriptOf } from './script.ts';
import { type Between, sessionBetween } from './session-between.ts';
import { type ServerWithoutKernel, serverInTls, serverOverHandle, serverOverSocket } from './without-kernel.ts';

const SESSIONS = 12;
const MESSAGES = 6; // of a session
const IDLE = 20_000; // turns in which all must be over

type Below = (bound: number) => number;

/** Often nobody has a turn at once. */
class BusyQueue extends FairQueue {
  readonly #below: Below;

  constructor(below: Below) {
    super();
    this.#below = below;
  }

  override get isFree(): boolean {
    return this.#below(4) > 0 && super.isFree;
  }

  /** Time does not count, so that a seed plays the same again. */
  override spent(): void {}
}

/** One octet, a few, many. */
function some(below: Below): number {
  return 1 + below([1, 10, 40_000, 100_000][below(4)] as number);
}

/** A client with its script, and the server. */
class Play {
  readonly #parts: readonly Part[];
  readonly #expected: Buffer;
  readonly #server: ServerWithoutKernel;
  readonly #client: FakeHandle;
  readonly #between: Between;
  readonly #below: Below;
  #at = 0; //    in the parts
  #owed = 1; //  replies, so far
  #saying = Buffer.alloc(0) as Buffer;
  #line = ''; // of a reply, unfinished
  readonly #codes: string[] = []; // heard
  wasCutShort = false;

  constructor(name: string, server: ServerWithoutKernel, queue: FairQueue, judge: Judge, below: Below) {
    this.#parts = scriptOf(name, MESSAGES, below);
    this.#expected = Buffer.concat(this.#parts.filter(({ isHeard }) => isHeard).map(({ said }) => said));
    this.#server = server;
    this.#below = below;
    server.takes(0);
    const isTls = below(2) === 0;
    this.#client = new FakeHandle((octets) => this.#hears(octets), isTls);
    this.#between = sessionBetween(new HandleStream(this.#client, isTls), server.stream, { queue, judge });
  }

  /** Somebody goes, or the operator ends it. */
  cutShort(): void {
    const how = this.#below(7);
    this.wasCutShort = true;
    if (how === 0) this.#client.ends();
    else if (how === 1) this.#client.ends(ECONNRESET);
    else if (how === 2) this.#client.breaks();
    else if (how === 3) this.#server.ends();
    else if (how === 4) this.#server.breaks();
    else if (how === 5) this.#between.connection.drain();
    else this.#between.connection.shutDown();
  }

  get hasEnded(): boolean {
    return this.#between.reason !== null;
  }

  /** The client was sent a FIN, which stands behind the last reply, and the server has all. */
  get isOver(): boolean {
    return this.#client.isShutDown && this.#server.server.octets >= this.#expected.length;
  }

  #hears(octets: Buffer): void {
    const lines = (this.#line + octets.toString('latin1')).split('\r\n');
    this.#line = lines.pop() as string;
    for (const line of lines) if (line[3] === ' ') this.#codes.push(line.slice(0, 3));
  }

  /** One of the four does something. */
  goOn(): void {
    const below = this.#below;
    const octets = some(below);
    const who = below(4);
    if (who === 0) this.#says(octets);
    else if (who === 1) this.#client.takes(octets);
    else if (who === 2) this.#server.takes(octets);
    else this.#server.says(octets);
  }

  #says(octets: number): void {
    while (this.#saying.length < octets && this.#mayGoOn) {
      const { said, code } = this.#parts[this.#at++] as Part;
      this.#saying = Buffer.concat([this.#saying, said]);
      if (code !== null) this.#owed++;
    }
    this.#saying = this.#saying.subarray(this.#client.says(this.#saying.subarray(0, octets)));
  }

  get #mayGoOn(): boolean {
    const next = this.#parts[this.#at];
    return next !== undefined && (!next.waits || this.#codes.length === this.#owed);
  }

  /** The server heard what was said and not refused, or where it was cut short the beginning of it; and so did the client. */
  check(): void {
    assert.deepEqual(this.#between.defects, []);
    const { server } = this.#server;
    const { heard } = server;
    const expected = this.wasCutShort ? this.#expected.subarray(0, heard.length) : this.#expected;
    const at = heard.findIndex((octet, i) => octet !== expected[i]);
    const show = (octets: Buffer): string => JSON.stringify(octets.toString('latin1', Math.max(0, at - 30), at + 60));
    assert.ok(heard.equals(expected), `octet ${at}: heard ${show(heard)}, not ${show(expected)}`);
    for (const recipient of server.recipients) assert.match(recipient, /@local\.example>\r\n$/);
    const codes = ['220', ...this.#parts.flatMap(({ code }) => code ?? [])];
    if (!this.wasCutShort) {
      assert.deepEqual(this.#codes, codes);
      assert.deepEqual(this.#between.reason, { origin: 'client', what: 'quit' });
      return;
    }
    const last = this.#codes.at(-1) ?? '';
    if (last === '421' || last === '451') this.#codes.pop();
    assert.deepEqual(this.#codes, codes.slice(0, this.#codes.length));
    assert.ok(this.#server.stream.isGone || this.#between.reason?.what === 'quit'); // where it is given a moment
  }

  /** For the one who looks why it got stuck. */
  get state(): string {
    const { server } = this.#server;
    return JSON.stringify({
      part: `${this.#at} of ${this.#parts.length}`,
      toSay: this.#saying.length,
      heard: `${server.octets} of ${this.#expected.length}`,
      codes: `${this.#codes.length} of ${this.#owed}`,
      reading: this.#client.isReading,
      unsent: this.#server.stream.unsent,
      reason: this.#between.reason,
    });
  }

  async end(): Promise<void> {
    this.#between.connection.shutDown();
    this.#client.takes(1e9);
    await settled();
    this.#client.ends();
    this.#server.ends();
  }
}

const judge = judgeBy({ accepted: ['local.example'] });

async function playAll(t: TestContext, open: () => ServerWithoutKernel | Promise<ServerWithoutKernel>, isCut: boolean) {
  const seed = Number(process.env.POSTERN_STALLS_SEED ?? randomInt(2 ** 31));
  t.diagnostic(`POSTERN_STALLS_SEED=${seed}`);
  const below = numbers(seed);
  const queue = new BusyQueue(below);
  const later: Judge = (question) => {
    const decision = judge(question);
    return below(4) > 0 ? decision : turn(decision);
  };
  const plays: Play[] = [];
  t.after(() => Promise.all(plays.map((play) => play.end())));
  for (let i = 0; i < SESSIONS; i++) plays.push(new Play(`c${i}`, await open(), queue, later, below));
  let left = [...plays];
  for (let turns = 0; left.length > 0; turns++) {
    assert.ok(turns < IDLE, `stuck: ${left.map(({ state }) => state).join('\n')}`);
    for (let times = 0; times < 20; times++) {
      const play = left[below(left.length)] as Play;
      play.goOn();
      if (isCut && below(300) === 0) play.cutShort();
    }
    if (below(2) === 0) await turn();
    left = left.filter((play) => !(play.wasCutShort ? play.hasEnded : play.isOver));
  }
  await settled();
  for (const play of plays) play.check();
}

for (const [way, open] of [
  ['over a handle', () => serverOverHandle()],
  ['over a handle of TLS', () => serverOverHandle(true)],
  ['over a socket', serverOverSocket],
  ['in TLS over a stream', serverInTls],
] as const) {
  test(`a server ${way} that stalls at every octet hears what was said and not refused`, async (t) => {
    const before = { ...poisoned };
    await playAll(t, open, false);
    assert.ok(poisoned.commands > before.commands && poisoned.mailData > before.mailData, 'nothing was written over');
  });

  test(`a server ${way} that stalls hears the beginning of it where the session is cut short`, (t) =>
    playAll(t, open, true));
}
