// The tests' own client in text: lines and replies as strings, latin-1, so that a dialogue reads as one.
import { SmtpClient } from '../helpers/smtp-client.ts';

export class Client {
  readonly #client: SmtpClient;

  /** `from` is an address of the loopback, 127.0.0.1 when left out. */
  constructor(port: number, from?: string) {
    this.#client = new SmtpClient(port, from === undefined ? {} : { localAddress: from });
  }

  write(text: string): void {
    void this.#client.write(Buffer.from(text, 'latin1'));
  }

  /** The next whole reply with its CRLFs; '' when the connection is over. */
  async reply(): Promise<string> {
    return (await this.#client.reply())?.text ?? '';
  }

  async say(line: string): Promise<string> {
    this.write(`${line}\r\n`);
    return this.reply();
  }

  /** What is said and heard from here on goes through TLS. */
  shakeHands(): Promise<void> {
    return this.#client.shakeHands();
  }

  /** All replies up to the end that the other side makes. */
  async rest(): Promise<string[]> {
    const replies: string[] = [];
    for (let reply = await this.reply(); reply !== ''; reply = await this.reply()) replies.push(reply);
    return replies;
  }

  reset(): void {
    this.#client.reset();
  }

  close(): void {
    this.#client.destroy();
  }
}
