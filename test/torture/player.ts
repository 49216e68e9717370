// Plays a golden dialogue between two sockets, up to a place where something else happens.
//
// First as it is (`recordGolden`), which says what both ears hear behind each turn; then with one side that goes, or with a call of
// the product that fails. What may be heard then is a piece of the golden dialogue from its beginning, and behind that at
// most one reply of 4yz or 5yz: whoever hears anything else was told what is not so.

import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { compare } from '../helpers/play.ts';
import type { Transcript, Turn } from '../helpers/transcripts.ts';

/** What each ear had heard behind a turn, from the beginning. */
export interface Heard {
  readonly client: string;
  readonly upstream: string;
}

export interface Outcome {
  readonly client: string;
  readonly upstream: string;
  /** The client's connection is over; or the dialogue was played to its end. */
  readonly isOver: boolean;
  /** How many turns were played whole. */
  readonly turns: number;
}

/** What one side does at a turn instead of its words. */
export interface Twist {
  readonly turn: number;
  readonly who: 'client' | 'upstream';
  readonly does: 'closes' | 'resets' | 'stalls' | 'says and closes';
  /** Half of what it would say goes before. */
  readonly half: boolean;
}

const SETTLED_WITHIN = 5_000;

/** One end of a connection. */
class Ear {
  socket: Socket;
  heard = '';
  isOver = false;
  #beneath: Socket | null = null;
  #wake: () => void = () => {};

  constructor(socket: Socket, heard = '') {
    this.socket = socket;
    this.heard = heard;
    this.#listen();
  }

  #listen(): void {
    this.socket.on('data', (chunk: Buffer) => {
      this.heard += chunk.toString('latin1');
      this.#wake();
    });
    this.socket.on('error', () => {});
    for (const event of ['end', 'close'] as const) {
      this.socket.on(event, () => {
        this.isOver = true;
        this.#wake();
      });
    }
  }

  /** Also beneath TLS, which itself has no reset. */
  reset(): void {
    (this.#beneath ?? this.socket).resetAndDestroy();
  }

  /** False when it comes to nothing. */
  async shakeHands(): Promise<boolean> {
    const beneath = this.socket;
    this.#beneath = beneath;
    beneath.removeAllListeners();
    beneath.on('error', () => {});
    const socket = connectTls({ socket: beneath, rejectUnauthorized: false });
    this.socket = socket;
    this.#listen();
    const gone = new Promise<false>((resolve) => {
      socket.once('close', () => resolve(false));
      beneath.once('close', () => resolve(false));
    });
    return Promise.race([
      once(socket, 'secureConnect').then(
        () => true,
        () => false,
      ),
      gone,
    ]);
  }

  say(octets: string): void {
    if (octets !== '' && this.socket.writable) this.socket.write(octets, 'latin1');
  }

  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

/** The server side, and the clients that come to the product. The product says with PROXY headers whose connection is whose. */
export class Stage {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** By the client's port. */
  readonly #arrived = new Map<number, Ear>();
  #queue: Promise<unknown> = Promise.resolve();
  port = 0; // of the product

  private constructor(server: Server) {
    this.#server = server;
    server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => this.#sockets.delete(socket));
      socket.once('data', (chunk: Buffer) => {
        const [header, said] = chunk.toString('latin1').split(/(?<=^PROXY .*\r\n)/);
        if (header?.startsWith('PROXY UNKNOWN')) socket.end('220 for a probe\r\n');
        else this.#arrived.set(Number(header?.split(' ')[4]), new Ear(socket, said));
      });
    });
  }

  static async open(): Promise<Stage> {
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new Stage(server);
  }

  get serverPort(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  /** The dialogue as it is written; an error shows the turn that went otherwise. */
  async recordGolden(transcript: Transcript): Promise<Heard[]> {
    const heard: Heard[] = [];
    await this.#between(transcript, async (client, upstream) => {
      let before = { client: '', upstream: '' };
      for (const turn of transcript.turns) {
        await speak(turn, client, upstream);
        const wrong = (): string | null => asWritten(turn, client, upstream, before);
        await until(() => wrong() === null, client, upstream, SETTLED_WITHIN);
        const left = wrong();
        if (left !== null) throw new Error(`${turn.where}: ${left}`);
        before = { client: client.heard, upstream: upstream.heard };
        heard.push(before);
      }
      return true;
    });
    return heard;
  }

  /** With a twist, or with none where a call fails. `patience`: ms in which the product must have ended what does not go on. */
  play(transcript: Transcript, golden: readonly Heard[], twist: Twist | null, patience: number): Promise<Outcome> {
    let turns = 0;
    return this.#between(transcript, async (client, upstream, greeted) => {
      for (const [at, turn] of transcript.turns.entries()) {
        if (client.isOver && turn.who !== 'upstream') break;
        if (twist?.turn === at) {
          await act(twist, turn, client, upstream);
          break;
        }
        if (!(await speak(turn, client, upstream))) break;
        const due = golden[at] as Heard;
        const isDue = (): boolean =>
          client.heard.length >= due.client.length && upstream.heard.length >= due.upstream.length;
        await until(() => isDue() || client.isOver || upstream.isOver, client, upstream, patience);
        if (!isDue()) break;
        turns++;
        if (client.heard !== '') greeted();
      }
      if (turns === transcript.turns.length) return true;
      if (twist?.who === 'client' && twist.does === 'resets') return true;
      await until(() => client.isOver, client, upstream, patience);
      return client.isOver;
    }).then(({ client, upstream, result }) => ({ client, upstream, isOver: result, turns }));
  }

  /** The client connects and its connection to the server is found. One at a time up to the greeting: while a server is taken for
   * dead only one session may try it. */
  async #between(transcript: Transcript, play: (client: Ear, upstream: Ear, greeted: () => void) => Promise<boolean>) {
    let greeted = (): void => {};
    const before = this.#queue;
    this.#queue = new Promise<void>((resolve) => {
      greeted = resolve;
    });
    await before;
    const client = new Ear(connect({ port: this.port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true }));
    await once(client.socket, 'connect');
    const { localPort = 0 } = client.socket;
    let upstream: Ear | undefined;
    try {
      const isSecure = !transcript.tls || (await client.shakeHands());
      const deadline = performance.now() + SETTLED_WITHIN;
      while (isSecure && upstream === undefined && !client.isOver && performance.now() < deadline) {
        await new Promise((resolve) => setTimeout(resolve, 2));
        upstream = this.#arrived.get(localPort);
      }
      // Where no server was called the client must be told.
      if (upstream === undefined) await until(() => client.isOver, client, client, SETTLED_WITHIN);
      const result = upstream === undefined ? client.isOver : await play(client, upstream, greeted);
      return { client: client.heard, upstream: upstream?.heard ?? '', result };
    } finally {
      greeted();
      this.#arrived.delete(localPort);
      client.socket.destroy();
      upstream?.socket.destroy();
    }
  }
}

/** False where a handshake came to nothing. */
async function speak(turn: Turn, client: Ear, upstream: Ear): Promise<boolean> {
  const speaker = turn.who === 'client' ? client : upstream;
  speaker.say(turn.says);
  if (turn.ends) speaker.socket.end();
  return turn.who === 'handshake' ? client.shakeHands() : true;
}

async function act({ who, does, half }: Twist, turn: Turn, client: Ear, upstream: Ear): Promise<void> {
  const side = who === 'client' ? client : upstream;
  const isItsTurn = turn.who === who;
  if (half && isItsTurn) side.say(turn.says.slice(0, turn.says.length / 2));
  if (does === 'says and closes' && isItsTurn) side.say(turn.says);
  if (does === 'closes' || does === 'says and closes') side.socket.end();
  if (does === 'resets') {
    await new Promise((resolve) => setImmediate(resolve));
    side.reset();
  }
}

async function until(isSo: () => boolean, client: Ear, upstream: Ear, within: number): Promise<void> {
  const deadline = performance.now() + within;
  while (!isSo() && performance.now() < deadline) {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise((resolve) => {
      timer = setTimeout(resolve, Math.max(1, deadline - performance.now()));
    });
    await Promise.race([client.next(), upstream.next(), late]);
    clearTimeout(timer);
  }
}

function asWritten(turn: Turn, client: Ear, upstream: Ear, before: Heard): string | null {
  const [byClient, byUpstream] = [
    client.heard.slice(before.client.length),
    upstream.heard.slice(before.upstream.length),
  ];
  if (turn.closed === null) return compare(turn, byUpstream, byClient);
  if (!client.isOver || !upstream.isOver) return 'should be closed';
  const all = turn.upstreamHears.map(({ text }) => text).join('');
  return compare(turn, all.startsWith(byUpstream) ? all : byUpstream, byClient); // the last octets may be gone with a reset
}

/** What is wrong with what a client heard; null: nothing. `least`: what it must have heard in any case. */
export function wrongWith(heard: string, golden: string, least: string): string | null {
  const lines = linesOf(heard);
  const due = linesOf(golden);
  let same = 0;
  while (same < lines.length && lines[same] === due[same]) same++;
  const rest = lines.slice(same);
  const wanted = due[same] ?? '';
  const isCut = wanted.startsWith(rest.join('')); // nothing more, or the beginning of the next
  const isRefusal = rest.every((line, at) => /^[45]\d\d/.test(line) && (at === rest.length - 1 || line[3] === '-'));
  const said = JSON.stringify(rest.join(''));
  if (!isCut && !isRefusal) return `heard ${said} where ${JSON.stringify(wanted)} or a refusal was due`;
  // A fault of this machine, or a peer that went, is nothing for good.
  if (!isCut && rest[0]?.startsWith('5') && /^[23]/.test(wanted))
    return `heard ${said} where ${JSON.stringify(wanted)} was due`;
  const length = isCut ? heard.length : lines.slice(0, same).join('').length;
  if (length < least.length)
    return `did not hear all of ${JSON.stringify(least.slice(-200))}, but ${JSON.stringify(heard.slice(-200))}`;
  return null;
}

function linesOf(text: string): string[] {
  return text === '' ? [] : text.split(/(?<=\n)/);
}
