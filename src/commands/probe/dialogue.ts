// One SMTP connection as a client: say a line, hear a reply.
//
// Invariant: nothing throws and nothing waits for ever. A connection that ended, a silence longer than the time-out and
// bytes that are no SMTP reply all come back as a Reply with code 0 whose text says so, and every later command gets the
// same. It deliberately knows no verbs, no TLS (`reach` may bring it) and no pipelining: one command, one reply.

import { connect, type Socket } from 'node:net';

/** `code` 0 = there was no reply, and `text` is our sentence about it. A reply of several lines is joined by LF. */
export interface Reply {
  readonly code: number;
  readonly text: string;
}

export interface Destination {
  readonly host: string;
  readonly port: number;
  /** The local address to speak from; null lets the system choose. */
  readonly source: string | null;
  /** What is said before all else, and before the greeting: a PROXY header. */
  readonly header?: (socket: Socket) => Buffer;
  /** Makes the connection in another way than a plain one: what the server has said so far comes with it, and a string is
   * the reason why there is none. */
  readonly reach?: () => Promise<{ readonly socket: Socket; readonly heard: Buffer } | string>;
}

/** Milliseconds. */
export interface ProbeTimeouts {
  readonly connect: number;
  readonly greeting: number;
  readonly reply: number;
}

// RFC 5321 §4.5.3.2 asks a client that has mail to deliver for five minutes; somebody is waiting for this one.
export const PROBE_TIMEOUTS: ProbeTimeouts = { connect: 10_000, greeting: 30_000, reply: 30_000 };

const LONGEST_REPLY = 65_536;
const REPLY_LINE = /^([2-5][0-9][0-9])(?:([ -])(.*))?$/s;

export class Dialogue {
  readonly greeting: Reply;
  readonly #socket: Socket;
  readonly #replies: ReplyReader;
  readonly #patience: number;

  private constructor(socket: Socket, replies: ReplyReader, greeting: Reply, patience: number) {
    this.#socket = socket;
    this.#replies = replies;
    this.greeting = greeting;
    this.#patience = patience;
  }

  /** Connects and reads the greeting; a string is the reason why there is no connection. */
  static async open(to: Destination, patience: ProbeTimeouts = PROBE_TIMEOUTS): Promise<Dialogue | string> {
    if (to.reach !== undefined) {
      const reached = await to.reach();
      if (typeof reached === 'string') return reached;
      const replies = new ReplyReader(reached.socket, reached.heard);
      return new Dialogue(reached.socket, replies, await replies.next(patience.greeting), patience.reply);
    }
    const socket = connect({
      host: to.host,
      port: to.port,
      ...(to.source === null ? {} : { localAddress: to.source }),
    });
    const failure = await connected(socket, patience.connect);
    if (failure !== null) {
      socket.destroy();
      return failure;
    }
    socket.setNoDelay(true);
    if (to.header !== undefined) socket.write(to.header(socket));
    const replies = new ReplyReader(socket);
    const greeting = await replies.next(patience.greeting);
    return new Dialogue(socket, replies, greeting, patience.reply);
  }

  /** The connection was given up because a reply did not come in time. */
  get silent(): boolean {
    return this.#replies.silent;
  }

  /** The server's address without an IPv6 zone; '' once the connection is gone. */
  get serverAddress(): string {
    return plainAddress(this.#socket.remoteAddress);
  }

  get ownAddress(): string {
    return plainAddress(this.#socket.localAddress);
  }

  /** Sends one command, in latin-1, and returns the reply to it. */
  async say(command: string): Promise<Reply> {
    if (!this.#replies.ended) this.#socket.write(`${command}\r\n`, 'latin1');
    return await this.#replies.next(this.#patience);
  }

  close(): void {
    this.#socket.destroy();
  }
}

function plainAddress(address: string | undefined): string {
  return (address ?? '').replace(/%.*$/, '').replace(/^::ffff:(?=\d+\.)/, '');
}

/** Resolves with null, or with the reason why not. */
function connected(socket: Socket, patience: number): Promise<string | null> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(`no connection within ${patience / 1000} s`), patience);
    socket.once('connect', () => {
      clearTimeout(timer);
      resolve(null);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      clearTimeout(timer);
      resolve(connectFailure(error));
    });
  });
}

function connectFailure(error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case 'ECONNREFUSED':
      return 'nothing listens there (connection refused)';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'the host name cannot be resolved';
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return 'there is no route to it';
    case 'ETIMEDOUT':
      return 'it does not answer';
    case 'EADDRNOTAVAIL':
      return 'the source address does not belong to this machine';
    case 'EINVAL':
      return 'it cannot be reached from this source address';
    default:
      return error.message || 'the connection failed';
  }
}

/** Cuts what the server says into replies and hands them out in order. */
class ReplyReader {
  ended = false;
  silent = false;
  #text = '';
  #lines: string[] = [];
  #lost: Reply | null = null;
  readonly #ready: Reply[] = [];
  #waiting: ((reply: Reply) => void) | null = null;

  /** `heard`: what came before and is read first. */
  constructor(socket: Socket, heard: Buffer = Buffer.alloc(0)) {
    this.#fromServer(heard.toString('latin1'));
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => this.#fromServer(text));
    socket.on('error', () => this.#end('the connection was lost'));
    socket.on('close', () => this.#end('the connection was lost'));
    socket.on('end', () => this.#end('the server closed the connection'));
  }

  next(patience: number): Promise<Reply> {
    const reply = this.#ready.shift() ?? this.#lost;
    if (reply !== null) return Promise.resolve(reply);
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.silent = true;
        this.#end(`no reply within ${patience / 1000} s`);
      }, patience);
      this.#waiting = (answer) => {
        clearTimeout(timer);
        resolve(answer);
      };
    });
  }

  #fromServer(text: string): void {
    if (this.ended) return;
    this.#text += text;
    let start = 0;
    for (;;) {
      const end = this.#text.indexOf('\n', start);
      if (end === -1) break;
      this.#line(this.#text.slice(start, this.#text[end - 1] === '\r' ? end - 1 : end));
      start = end + 1;
    }
    this.#text = this.#text.slice(start);
    if (this.#text.length > LONGEST_REPLY) this.#end('the server sent a reply without an end');
  }

  // RFC 5321 §4.2.1: every line but the last has a hyphen after the code.
  #line(line: string): void {
    if (this.ended) return;
    const found = REPLY_LINE.exec(line);
    if (found === null) {
      this.#end('what the server sent is not an SMTP reply');
      return;
    }
    this.#lines.push(line.slice(4));
    if (this.#lines.length * 4 > LONGEST_REPLY) this.#end('the server sent a reply without an end');
    if (found[2] === '-') return;
    const reply = { code: Number(found[1]), text: this.#lines.join('\n') };
    this.#lines = [];
    this.#hand(reply);
  }

  #hand(reply: Reply): void {
    const waiting = this.#waiting;
    this.#waiting = null;
    if (waiting === null) this.#ready.push(reply);
    else waiting(reply);
  }

  #end(why: string): void {
    if (this.ended) return;
    this.ended = true;
    this.#lost = { code: 0, text: why };
    const waiting = this.#waiting;
    this.#waiting = null;
    waiting?.(this.#lost);
  }
}
