// Stands for a Redis in this process: it takes connections as one does, and what the scripts ask is answered by the test. So a
// test says what Redis found, when it is late, and when it is gone.

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { Question, RedisAddress } from '../../src/limits/redis-client.ts';
import { SCRIPTS } from '../../src/limits/redis-scripts.ts';

export interface Heard {
  readonly question: Question;
  readonly keys: readonly string[];
  readonly args: readonly string[];
}

/** An Error is an error reply; a promise is waited for, as is all that was asked behind it. */
export type Found = null | number | string | Error | readonly Found[];

/** By a script and by its digest: it is said whole when it is said first. */
const NAMES = new Map(
  Object.entries(SCRIPTS).flatMap(([name, lua]) =>
    [lua, createHash('sha1').update(lua).digest('hex')].map((said) => [said, name as Question]),
  ),
);

export class RedisStandIn {
  /** What the scripts were asked, oldest first. */
  readonly heard: Heard[] = [];
  /** All other commands, `select 3`, but for those by which ioredis sees whether a server is ready. */
  readonly said: string[] = [];
  /** The first octet that it heard of anybody. */
  first: number | null = null;
  /** How many connections were taken, and how many ended. */
  taken = 0;
  ended = 0;
  answer: (heard: Heard) => Found | Promise<Found> = plainly;
  /** Whether it says anything at all. */
  isFrozen = false;
  port = 0;
  /** The port of the master that it names, as a Sentinel. */
  master: number | null = null;
  #server: Server | null = null;
  readonly #sockets = new Set<Socket>();

  static async open(): Promise<RedisStandIn> {
    const redis = new RedisStandIn();
    await redis.listen();
    return redis;
  }

  get address(): RedisAddress {
    const hosts = [{ host: '127.0.0.1', port: this.port }];
    return { kind: 'single', hosts, name: '', database: 0, user: null, tls: false };
  }

  /** What it was asked by this script. */
  heardOf(question: Question): Heard[] {
    return this.heard.filter((one) => one.question === question);
  }

  /** On the port that it had before. */
  async listen(): Promise<void> {
    const server = createServer((socket) => this.#take(socket)).listen(this.port, '127.0.0.1');
    this.#server = server;
    await once(server, 'listening');
    this.port = (server.address() as AddressInfo).port;
  }

  /** Hangs up on everybody. */
  hangUp(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Gone: nobody listens any more. */
  close(): void {
    this.#server?.close();
    this.hangUp();
  }

  #take(socket: Socket): void {
    this.taken++;
    this.#sockets.add(socket);
    let text = '';
    let before: Promise<unknown> = Promise.resolve();
    socket.setEncoding('latin1').on('data', (piece: string) => {
      this.first ??= piece.charCodeAt(0);
      text += piece;
      for (let words = wordsOf(text); words !== null; words = wordsOf(text)) {
        text = text.slice(words.end);
        const found = this.#found(words.words);
        before = before.then(async () => {
          const answer = await found;
          if (!socket.destroyed && answer !== undefined) socket.write(replyOf(answer), 'latin1');
        });
      }
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.ended++;
      this.#sockets.delete(socket);
    });
  }

  #found(words: readonly string[]): Found | undefined | Promise<Found> {
    const [command = '', ...args] = words;
    if (this.isFrozen) return undefined;
    const question = NAMES.get(args[0] ?? '');
    if (/^eval(sha)?$/i.test(command) && question !== undefined) {
      const keys = Number(args[1]);
      const heard = { question, keys: args.slice(2, 2 + keys), args: args.slice(2 + keys) };
      this.heard.push(heard);
      return this.answer(heard);
    }
    if (/^info$/i.test(command)) return 'redis_version:7.0.0\r\n';
    this.said.push(words.join(' '));
    if (command === 'sentinel' && this.master !== null)
      return args[0] === 'get-master-addr-by-name' ? ['127.0.0.1', `${this.master}`] : [];
    return 'OK';
  }
}

/** As one that holds nothing, has room for all, and has heard of no bans. */
export function plainly({ question, args }: Heard): Found {
  if (question === 'beat') return [1, ''];
  if (question === 'take') return [-1, 0, ...roomsOf(args)];
  if (question === 'enter') return ['', 0, ...roomsOf(args.slice(5))];
  if (question === 'look') return args.slice(1).map(() => '0');
  return 1;
}

/** Room in each bucket behind this question, had nobody asked before. */
function roomsOf([count, ...charges]: readonly string[]): number[] {
  return Array.from({ length: Number(count) }, (_, at) => Number(charges[3 * at]) - Number(charges[3 * at + 2]));
}

/** The first command of a text in Redis' protocol, and where it ends; null where there is no whole one. */
function wordsOf(text: string): { words: string[]; end: number } | null {
  const head = /^\*(\d+)\r\n/.exec(text);
  if (head === null) return null;
  const words: string[] = [];
  let at = head[0].length;
  for (let left = Number(head[1]); left > 0; left--) {
    const length = /^\$(\d+)\r\n/.exec(text.slice(at, at + 20));
    if (length === null) return null;
    const begin = at + length[0].length;
    at = begin + Number(length[1]) + 2;
    if (at > text.length) return null;
    words.push(text.slice(begin, at - 2));
  }
  return { words, end: at };
}

function replyOf(found: Found): string {
  if (found === null) return '$-1\r\n';
  if (typeof found === 'number') return `:${found}\r\n`;
  if (typeof found === 'string') return `$${Buffer.byteLength(found, 'latin1')}\r\n${found}\r\n`;
  if (found instanceof Error) return `-${found.message}\r\n`;
  return `*${found.length}\r\n${found.map(replyOf).join('')}`;
}
