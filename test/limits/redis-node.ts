// One node whose counts are in a Redis that the test plays, with a clock that the test moves.

import type { TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { Question } from '../../src/limits/redis-client.ts';
import { RedisStore } from '../../src/limits/redis-store.ts';
import type { Ban } from '../../src/limits/store.ts';
import { type Found, type Heard, plainly, RedisStandIn } from '../helpers/redis-stand-in.ts';

const PATIENCE = 2_000; // ms that an answer may take: the machine may be busy
const LONGEST = 5_000; // ms
export const SHORT = 300; // where it is not to come in time

export type Answers = { [Name in Question]?: Found | Promise<Found> | ((heard: Heard) => Found | Promise<Found>) };

export const BANS = ['postern:{limits}:bans', 'postern:{limits}:bans:by', 'postern:{limits}:bans:version'];
export const NODES = 'postern:{limits}:nodes';

export class Node {
  readonly store: RedisStore;
  readonly redis: RedisStandIn;
  /** What was told: `up`, `down: WHY`, `full: KIND`. */
  readonly told: string[] = [];
  readonly banned: Ban[] = [];
  now = 1_000_000;

  /** `mostShared`: keys of one kind that this node may have in Redis. */
  constructor(t: TestContext, redis: RedisStandIn, mostShared?: number, patience = PATIENCE) {
    this.redis = redis;
    const events = {
      up: () => void this.told.push('up'),
      down: (why: string) => void this.told.push(`down: ${why}`),
      full: (kind: string) => void this.told.push(`full: ${kind}`),
      banned: (ban: Ban) => void this.banned.push(ban),
    };
    const secrets = { password: null, ca: null };
    this.store = new RedisStore(redis.address, secrets, events, () => this.now, mostShared, patience);
    t.after(async () => {
      await this.store.close();
      redis.close();
    });
  }

  /** Redis is there and has been told what a node says at first; what it heard till then is forgotten. */
  static async open(t: TestContext, answers: Answers = {}, mostShared?: number, patience?: number): Promise<Node> {
    const node = new Node(t, await RedisStandIn.open(), mostShared, patience);
    node.answers(answers);
    await node.isUp();
    return node;
  }

  /** How Redis answers from now on; as one that holds nothing to all that is not named. */
  answers(answers: Answers): void {
    this.redis.answer = (heard) => {
      const answer = answers[heard.question];
      if (answer === undefined) return plainly(heard);
      return typeof answer === 'function' ? answer(heard) : answer;
    };
  }

  /** Redis is there, and knows that this node is: what it has heard is then forgotten. */
  async isUp(longest?: number): Promise<readonly Heard[]> {
    await until(() => this.store.isUp && this.redis.heardOf('beat').length > 0, longest);
    await delay(2); // for what is asked along with it
    return this.redis.heard.splice(0);
  }

  /** Redis goes, and it is seen to have gone. */
  async loses(): Promise<void> {
    this.redis.close();
    await until(() => !this.store.isUp);
  }

  /** Redis is there again; what it hears first. */
  async finds(longest?: number): Promise<readonly Heard[]> {
    this.redis.heard.length = 0;
    await this.redis.listen();
    return this.isUp(longest);
  }

  /** What was asked of Redis, but for what is said each second; it is then forgotten. */
  takeHeard(): Heard[] {
    return this.redis.heard.splice(0).filter(({ question }) => question !== 'beat');
  }

  /** What Redis has heard of one kind, when it has heard it. */
  async heard(question: Question): Promise<Heard> {
    await until(() => this.redis.heardOf(question).length > 0);
    return this.redis.heardOf(question)[0] as Heard;
  }
}

export async function until(isSo: () => boolean, longest = LONGEST): Promise<void> {
  for (const end = performance.now() + longest; !isSo(); await delay(2)) {
    if (performance.now() > end) throw new Error(`not within ${longest} ms`);
  }
}
