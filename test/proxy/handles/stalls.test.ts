// A server that stalls at every octet: it takes so many, and then none until it is told. Whatever the sizes in which a client speaks
// and a server takes, and whoever waits for his turn, the server reads what the client said without what was refused, and the
// client hears each reply in its order. What was read is written over as soon as nobody may have it (poison.ts).
// POSTERN_STALLS_SEED plays one run again.

import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { FairQueue } from '../../../src/proxy/fair-queue.ts';
import { HandleStream } from '../../../src/proxy/handle-stream.ts';
import type { Judge } from '../../../src/smtp/types.ts';
import { judgeBy } from '../../helpers/harness.ts';
import { numbers } from '../../helpers/numbers.ts';
import { poisoned } from '../../helpers/poison.ts';
import { settled } from '../peer.ts';
import { FakeHandle } from './fake-handle.ts';
import { type Part, scriptOf } from './script.ts';
import { type Between, sessionBetween } from './session-between.ts';
import { type ServerWithoutKernel, serverInTls, serverOverHandle, serverOverSocket } from './without-kernel.ts';

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
  return 1 + below([1, 10, 5_000, 100_000][below(4)] as number);
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

  constructor(name: string, server: ServerWithoutKernel, queue: FairQueue, judge: Judge, below: Below) {
    this.#parts = scriptOf(name, MESSAGES, below);
    this.#expected = Buffer.concat(this.#parts.filter(({ isHeard }) => isHeard).map(({ said }) => said));
    this.#server = server;
    this.#below = below;
    server.takes(0);
    this.#client = new FakeHandle((octets) => this.#hears(octets));
    this.#between = sessionBetween(new HandleStream(this.#client), server.stream, { queue, judge });
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

  check(): void {
    assert.deepEqual(this.#between.defects, []);
    const { server } = this.#server;
    const [heard, expected] = [server.heard, this.#expected];
    const at = heard.findIndex((octet, i) => octet !== expected[i]);
    const show = (octets: Buffer): string => octets.toString('latin1', Math.max(0, at - 30), at + 60);
    assert.ok(
      heard.equals(expected),
      `octet ${at}: heard ${JSON.stringify(show(heard))}, not ${JSON.stringify(show(expected))}`,
    );
    assert.deepEqual(this.#codes, ['220', ...this.#parts.flatMap(({ code }) => code ?? [])]);
    assert.deepEqual(this.#between.reason, { origin: 'client', what: 'quit' });
    for (const recipient of server.recipients) assert.match(recipient, /@local\.example>\r\n$/);
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

for (const [way, open, sessions] of [
  ['over a handle', serverOverHandle, 12],
  ['over a socket', serverOverSocket, 6],
  ['in TLS', serverInTls, 6],
] as const) {
  test(`a server ${way} that stalls at every octet hears what was said and not refused`, async (t) => {
    const seed = Number(process.env.POSTERN_STALLS_SEED ?? randomInt(2 ** 31));
    t.diagnostic(`POSTERN_STALLS_SEED=${seed}`);
    const below = numbers(seed);
    const before = { ...poisoned };
    const queue = new BusyQueue(below);
    const later: Judge = (question) => {
      const decision = judge(question);
      return below(4) > 0 ? decision : turn(decision);
    };
    const plays: Play[] = [];
    t.after(() => Promise.all(plays.map((play) => play.end())));
    for (let i = 0; i < sessions; i++) plays.push(new Play(`c${i}`, await open(), queue, later, below));
    const all = [...plays];
    for (let turns = 0; all.length > 0; turns++) {
      assert.ok(turns < IDLE, `stuck: ${all.map(({ state }) => state).join('\n')}`);
      for (let times = 0; times < 20; times++) (all[below(all.length)] as Play).goOn();
      if (below(2) === 0) await turn();
      for (let i = all.length - 1; i >= 0; i--) if (all[i]?.isOver) all.splice(i, 1);
    }
    for (const play of plays) play.check();
    assert.ok(poisoned.commands > before.commands, 'nothing was written over');
    if (way === 'over a handle') assert.ok(poisoned.mailData > before.mailData, 'no mail data was written over');
  });
}
