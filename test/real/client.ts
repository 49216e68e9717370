// A client that says exactly what a test tells it to, and no more.
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** Longer than any reply of a healthy server here; a hang fails the test instead of stopping it. */
const REPLY_WITHIN_MS = 20_000;

export class Client {
  readonly #socket: Socket;
  #unread = '';
  #closed = false;
  #wake = () => {};

  private constructor(socket: Socket) {
    this.#socket = socket;
    const closed = () => {
      this.#closed = true;
      this.#wake();
    };
    socket.on('data', (chunk) => {
      this.#unread += chunk.toString('latin1');
      this.#wake();
    });
    socket.on('end', closed);
    socket.on('close', closed);
    socket.on('error', closed);
  }

  static async connect(port: number): Promise<Client> {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    return new Client(socket);
  }

  /** Latin-1: a code point is an octet. */
  write(text: string): void {
    if (!this.#closed) this.#socket.write(text, 'latin1');
  }

  /** The next whole reply with its CRLFs, or '' when the connection has closed. */
  async reply(): Promise<string> {
    const late = setTimeout(() => this.#socket.destroy(new Error('no reply')), REPLY_WITHIN_MS);
    try {
      for (;;) {
        const whole = /^(?:\d{3}-[^\n]*\n)*\d{3}(?: [^\n]*)?\r?\n/.exec(this.#unread)?.[0];
        if (whole !== undefined) {
          this.#unread = this.#unread.slice(whole.length);
          return whole;
        }
        if (this.#closed) return '';
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    } finally {
      clearTimeout(late);
    }
  }

  async say(line: string): Promise<string> {
    this.write(`${line}\r\n`);
    return this.reply();
  }

  close(): void {
    this.#socket.destroy();
  }
}
