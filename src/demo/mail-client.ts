// A small mail client, as a printer has one: one letter, one session, and what came of it.
//
// It names its own address in a PROXY header, so that one machine can play a whole network. It waits for each reply; with
// LOGIN it logs in. Where a recipient is refused it does what its sender does: gives up, or goes on with the others.

import { connect, type Socket } from 'node:net';
import { ACCOUNTS, type Letter, SERVER, type Sender } from './office.ts';

export interface Delivery {
  readonly letter: Letter;
  /** The server took the message, and each recipient of it. */
  readonly whole: boolean;
  /** Recipients of the message that the server took; none where it took none. */
  readonly taken: readonly string[];
  /** The first reply that was a no. */
  readonly refusal: string | null;
}

/** A server: its port on this machine, and where in the office's network whoever logs in comes to. */
export interface Destination {
  readonly port: number;
  readonly clientPort: number;
}

export type Send = (letter: Letter, to: Destination) => Promise<Delivery>;

let lastPort = 49_152;

/** What a connection says first: where it comes from, and whereto. */
export function headerFor({ address, isRoaming }: Sender, { clientPort }: Destination): string {
  lastPort = lastPort === 65_535 ? 49_152 : lastPort + 1;
  return `PROXY TCP4 ${address} ${SERVER} ${lastPort} ${isRoaming ? clientPort : 25}\r\n`;
}

export const send: Send = async (letter, to) => {
  const { from, sender, recipients } = letter;
  const socket = connect(to.port, '127.0.0.1');
  const line = new Conversation(socket);
  socket.write(headerFor(from, to));
  const taken: string[] = [];
  let refusal: string | null = null;
  const say = async (text: string): Promise<boolean> => {
    const reply = await line.say(text);
    if (/^[23]/.test(reply)) return true;
    refusal ??= reply;
    return false;
  };
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  const transaction = async (): Promise<boolean> => {
    if (!(await say(`${from.login === null ? 'HELO' : 'EHLO'} ${from.heloName}`))) return false;
    if (from.login !== null) {
      const password = ACCOUNTS.get(from.login) ?? '';
      for (const text of ['AUTH LOGIN', base64(from.login), base64(password)]) if (!(await say(text))) return false;
    }
    if (!(await say(`MAIL FROM:<${sender}>`))) return false;
    for (const recipient of recipients) {
      if (await say(`RCPT TO:<${recipient}>`)) taken.push(recipient);
      else if (from.givesUp) return false;
    }
    if (taken.length === 0 || !(await say('DATA'))) return false;
    return say(`From: <${sender}>\r\nSubject: ${from.name}\r\n\r\nhello\r\n.`);
  };
  const greeting = await line.reply();
  if (!greeting.startsWith('220')) refusal = greeting;
  const delivered = refusal === null && (await transaction());
  await line.say('QUIT');
  socket.destroy();
  return { letter, whole: delivered && taken.length === recipients.length, taken: delivered ? taken : [], refusal };
};

/** Replies as they come; '' when the server has hung up. */
class Conversation {
  readonly #socket: Socket;
  #heard = '';
  #ended = false;
  #waiting: (() => void) | null = null;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (octets) => {
      this.#heard += octets.toString('latin1');
      this.#waiting?.();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#ended = true;
      this.#waiting?.();
    });
  }

  say(text: string): Promise<string> {
    if (!this.#ended) this.#socket.write(`${text}\r\n`, 'latin1');
    return this.reply();
  }

  async reply(): Promise<string> {
    for (;;) {
      const whole = /^(?:\d{3}-.*\r\n)*(\d{3}(?: .*)?)\r\n/.exec(this.#heard);
      if (whole !== null) {
        this.#heard = this.#heard.slice(whole[0].length);
        return whole[1] as string;
      }
      if (this.#ended) return '';
      await new Promise<void>((resolve) => {
        this.#waiting = resolve;
      });
    }
  }
}
