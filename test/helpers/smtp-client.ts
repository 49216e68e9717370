// A client that says exactly the octets it is told to, whole or one by one, and reads whole replies.
//
// It knows the frame of a reply (RFC 5321 §4.2.1) and no verb; it never corrects, waits or retries. It has no timeout:
// who uses it gives up by destroying it, and every promise then answers that the connection is over.

import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';

/** `octets`: one octet per write, with a turn of the event loop between, so that each may be read alone. */
export type Mode = 'whole' | 'octets';

export interface Reply {
  /** The code of the last line; '' when that is no reply line at all. */
  readonly code: string;
  /** As received, latin-1, with its line ends. */
  readonly text: string;
}

/** Of a longer write only the two ends go out one octet at a time, what lies between them in odd pieces. */
const SINGLY = 1024;
const ODD_PIECE = 1021;

const LF = 0x0a;

/** Cuts a stream of octets into replies. Any line that is not `ddd-` ends one, whatever it says. */
export class ReplyFramer {
  #partial: Buffer[] = [];
  #lines: string[] = [];

  /** The replies that these octets complete. */
  take(chunk: Buffer): Reply[] {
    const replies: Reply[] = [];
    let at = 0;
    for (let end = chunk.indexOf(LF); end >= 0; end = chunk.indexOf(LF, at)) {
      this.#partial.push(chunk.subarray(at, end + 1));
      at = end + 1;
      const line = Buffer.concat(this.#partial.splice(0)).toString('latin1');
      this.#lines.push(line);
      if (/^\d\d\d-/.test(line)) continue;
      const code = /^\d\d\d(?=[ \r\n])/.exec(line)?.[0] ?? '';
      replies.push({ code, text: this.#lines.splice(0).join('') });
    }
    if (at < chunk.length) this.#partial.push(chunk.subarray(at));
    return replies;
  }
}

export class SmtpClient {
  /** Every reply so far, in order. */
  readonly replies: Reply[] = [];
  /** The other side ended or reset the connection. */
  ended = false;
  /** Called whenever octets come in, and at the end. */
  onActivity: () => void = () => {};
  #socket: Socket;
  readonly #wakers: Array<() => void> = [];
  readonly #received: Buffer[] = [];
  readonly #framer = new ReplyFramer();
  #unread: Reply[] = [];

  constructor(port: number, options: { readonly host?: string; readonly localAddress?: string } = {}) {
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true, ...options });
    this.#listen();
  }

  /** What is said and heard from here on goes through TLS. */
  async shakeHands(options: ConnectionOptions = {}): Promise<void> {
    await new Promise((resolve) => this.#socket.write('', resolve)); // behind what was said in clear text
    this.#socket.removeAllListeners();
    this.#socket = connectTls({ socket: this.#socket, rejectUnauthorized: false, ...options });
    this.#listen();
    await once(this.#socket, 'secureConnect');
  }

  #listen(): void {
    this.#socket.on('data', (chunk) => this.#read(chunk));
    this.#socket.on('end', () => this.#over());
    this.#socket.on('error', () => {}); // 'close' follows
    this.#socket.on('close', () => this.#over());
  }

  /** All octets received, latin-1. */
  get received(): string {
    return Buffer.concat(this.#received).toString('latin1');
  }

  /** Resolves when all of it has gone out, or nothing more can. */
  write(octets: Buffer, mode: Mode = 'whole'): Promise<void> {
    const tail = mode === 'octets' ? Math.max(SINGLY, octets.length - SINGLY) : 0;
    return new Promise((resolve) => {
      this.#socket.once('close', resolve);
      let at = 0;
      const next = (): void => {
        if (at >= octets.length || !this.#socket.writable) {
          this.#socket.off('close', resolve);
          resolve();
          return;
        }
        const alone = at < SINGLY || at >= tail;
        const size = mode === 'whole' ? octets.length : alone ? 1 : Math.min(ODD_PIECE, tail - at);
        const room = this.#socket.write(octets.subarray(at, at + size));
        at += size;
        if (room) setImmediate(next);
        else this.#socket.once('drain', next);
      };
      next();
    });
  }

  /** The next whole reply; null when the connection is over. */
  async reply(): Promise<Reply | null> {
    while (this.#unread.length === 0 && !this.ended) await this.#change();
    return this.#unread.shift() ?? null;
  }

  /** Replies that came in and were not asked for yet. */
  skipReplies(): void {
    this.#unread = [];
  }

  async end(): Promise<void> {
    while (!this.ended) await this.#change();
  }

  /** No more octets from us. */
  finish(): void {
    this.#socket.end();
  }

  stopReading(): void {
    this.#socket.pause();
  }

  readOn(): void {
    this.#socket.resume();
  }

  /** As a client that is killed: RST. */
  reset(): void {
    this.#socket.resetAndDestroy();
    this.#over();
  }

  destroy(): void {
    this.#socket.destroy();
    this.#over();
  }

  #read(chunk: Buffer): void {
    this.#received.push(chunk);
    const replies = this.#framer.take(chunk);
    this.replies.push(...replies);
    this.#unread.push(...replies);
    this.#wake();
  }

  #over(): void {
    if (this.ended) return;
    this.ended = true;
    this.#wake();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => this.#wakers.push(resolve));
  }

  #wake(): void {
    this.onActivity();
    for (const waker of this.#wakers.splice(0)) waker();
  }
}
