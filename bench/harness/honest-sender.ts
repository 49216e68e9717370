// One client that sends whole messages, a session each, without a pause between, and remembers which of them were answered with 250.

import { SmtpClient } from '../../test/helpers/smtp-client.ts';

export class HonestSender {
  /** Marks of the messages that were taken: each stands in its message as the subject. */
  readonly accepted: string[] = [];
  /** Replies that were not what an honest client is due. */
  readonly odd: string[] = [];
  /** Milliseconds of the slowest reply. */
  slowest = 0;
  readonly #port: number;
  readonly #localAddress: string;
  #stopped = false;
  readonly #done: Promise<void>;

  constructor(port: number, localAddress: string) {
    this.#port = port;
    this.#localAddress = localAddress;
    this.#done = this.#run();
  }

  /** Resolves when its last message is answered. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
  }

  async #run(): Promise<void> {
    for (let number = 0; !this.#stopped; number++) await this.#session(`${this.#localAddress}/${number}`);
  }

  async #session(mark: string): Promise<void> {
    const client = new SmtpClient(this.#port, { localAddress: this.#localAddress });
    const hear = async (code: string): Promise<boolean> => {
      const before = performance.now();
      const reply = (await client.reply())?.text ?? 'nothing';
      this.slowest = Math.max(this.slowest, performance.now() - before);
      if (reply.startsWith(code)) return true;
      this.odd.push(reply);
      return false;
    };
    const say = async (text: string, code: string): Promise<boolean> => {
      await client.write(Buffer.from(`${text}\r\n`));
      return hear(code);
    };
    const taken =
      (await hear('220')) &&
      (await say('EHLO honest.example', '250')) &&
      (await say('MAIL FROM:<a@sender.example>', '250')) &&
      (await say('RCPT TO:<b@local.example>', '250')) &&
      (await say('DATA', '354')) &&
      (await say(`Subject: ${mark}\r\n\r\nA line of text that says nothing.\r\n.`, '250'));
    if (taken) this.accepted.push(mark);
    client.destroy();
  }
}
