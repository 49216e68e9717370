// Several Posterns as processes of their own, and clients that go on and on: what limits do under load.
import { setTimeout as delay } from 'node:timers/promises';
import { type RunningPostern, startPostern } from '../helpers/postern.ts';
import { SmtpClient } from '../helpers/smtp-client.ts';

export interface NodeOptions {
  readonly upstream: number;
  readonly limits: object;
  /** As in the configuration. */
  readonly state?: string;
  readonly more?: object;
}

export function startNode({ upstream, limits, state = 'memory', more = {} }: NodeOptions): Promise<RunningPostern> {
  return startPostern({
    listeners: [{ bind: ['127.0.0.1:0'] }],
    upstream: { servers: [`127.0.0.1:${upstream}`] },
    policy: {
      version: 1,
      accepted_domains: ['local.example'],
      connectors: [{ name: 'all', remote_ip_ranges: ['any'] }],
    },
    limits: { session: { errors: 'unlimited', junk_commands: 'unlimited' }, ...limits },
    state,
    ...more,
  });
}

/** One client that says MAIL and RSET, and RCPT to a foreign domain in between, for ever. */
export class Flooder {
  passed = 0;
  refused = 0;
  /** Replies other than those that a limit or the policy gives. */
  readonly odd: string[] = [];
  /** Milliseconds of the slowest reply. */
  slowest = 0;
  readonly #client: SmtpClient;
  #stopped = false;
  readonly #done: Promise<void>;

  constructor(port: number, localAddress = '127.0.0.1') {
    this.#client = new SmtpClient(port, { localAddress });
    this.#done = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
    this.#client.destroy();
  }

  async #run(): Promise<void> {
    await this.#client.reply();
    await this.#say('EHLO flood.example');
    while (!this.#stopped) {
      const mail = await this.#say('MAIL FROM:<flood@sender.example>');
      if (mail.startsWith('250')) {
        this.passed++;
        const foreign = await this.#say('RCPT TO:<x@foreign.example>');
        if (!foreign.startsWith('554')) this.odd.push(foreign);
        await this.#say('RSET');
      } else if (mail.startsWith('450')) {
        this.refused++;
        await delay(1);
      } else {
        this.odd.push(mail);
        return;
      }
    }
  }

  async #say(line: string): Promise<string> {
    const before = performance.now();
    await this.#client.write(Buffer.from(`${line}\r\n`));
    const reply = (await this.#client.reply())?.text ?? 'nothing';
    this.slowest = Math.max(this.slowest, performance.now() - before);
    return reply;
  }
}

export function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
}
