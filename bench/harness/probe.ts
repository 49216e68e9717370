// A client that says one command at a time and measures how long each reply takes.

import { connect, type Socket } from 'node:net';
import type { Running } from './proxies.ts';

const RECIPIENTS = 18;

/** One transaction, again and again. */
export const script = [
  'MAIL FROM:<a@sender.example>\r\n',
  ...Array.from({ length: RECIPIENTS }, (_, number) => `RCPT TO:<user${number}@local.example>\r\n`),
  'RSET\r\n',
].map((line) => Buffer.from(line));

export class Probe {
  readonly name: string;
  readonly greeted: Promise<void>;
  readonly #socket: Socket;
  #answered: () => void = () => {};
  #failed: (error: Error) => void = () => {};

  constructor({ name, port }: Running) {
    this.name = name;
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.#socket.on('data', (chunk: Buffer) => {
      if (/^\d{3} [^\n]*\n$/m.test(chunk.toString('latin1'))) this.#answered();
    });
    this.#socket.on('error', (error) => this.#failed(error));
    this.#socket.on('close', () => this.#failed(new Error(`${name} closed`)));
    this.greeted = this.#reply();
  }

  /** Milliseconds until the reply. */
  async ask(command: Buffer): Promise<number> {
    const begin = performance.now();
    const reply = this.#reply();
    this.#socket.write(command);
    await reply;
    return performance.now() - begin;
  }

  #reply(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#answered = resolve;
      this.#failed = reject;
    });
  }

  end(): void {
    this.#socket.destroy();
  }
}
