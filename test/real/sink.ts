// An SMTP server that keeps what it is given: the far end behind the real servers, and behind Postern in the load test.
// It accepts every sender and recipient, sends nothing on, and undoes dot-stuffing and nothing else: a message here is
// the octets as they crossed the wire.
//
// Deliberately no parser of addresses and no BDAT: those are Postern's and the real servers' business.
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';

export interface Message {
  readonly sender: string;
  readonly recipients: readonly string[];
  /** Latin-1, dots unstuffed, with the CRLF of its last line. */
  readonly content: string;
}

const WITHIN_MS = 20_000;
const END_OF_DATA = '\r\n.\r\n';

export class Sink {
  readonly messages: Message[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #waiting = new Set<() => void>();

  private constructor() {
    this.#server = createServer((socket) => this.#serve(socket));
  }

  static async start(): Promise<Sink> {
    const sink = new Sink();
    sink.#server.listen(0, '127.0.0.1');
    await once(sink.#server, 'listening');
    return sink;
  }

  get port(): number {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('the sink does not listen');
    return address.port;
  }

  /** The first message that holds `mark` once for every recipient in `recipients`; servers may send one copy each. */
  async arrival(mark: string, recipients: readonly string[]): Promise<Message[]> {
    let found: Message[] = [];
    await this.until(`${mark} for ${recipients.join(', ')}`, () => {
      found = this.messages.filter((message) => message.content.includes(mark));
      return recipients.every((recipient) => found.some((message) => message.recipients.includes(recipient)));
    });
    return found;
  }

  /** Waits until `come` holds; asked again at every message. */
  async until(what: string, come: () => boolean): Promise<void> {
    if (come()) return;
    await new Promise<void>((resolve, reject) => {
      const late = setTimeout(() => {
        this.#waiting.delete(look);
        reject(new Error(`did not arrive: ${what}; ${this.messages.length} messages did`));
      }, WITHIN_MS);
      const look = () => {
        if (!come()) return;
        clearTimeout(late);
        this.#waiting.delete(look);
        resolve();
      };
      this.#waiting.add(look);
    });
  }

  async stop(): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await once(this.#server, 'close');
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    socket.setNoDelay();
    let unread = '';
    let inData = false;
    let sender = '';
    let recipients: string[] = [];

    const command = (line: string) => {
      const verb = line.slice(0, 4).toUpperCase();
      if (verb === 'EHLO')
        socket.write('250-sink.example\r\n250-PIPELINING\r\n250-SIZE\r\n250-8BITMIME\r\n250 DSN\r\n');
      else if (verb === 'DATA') {
        inData = true;
        socket.write('354 go on\r\n');
      } else if (verb === 'QUIT') socket.end('221 bye\r\n');
      else {
        if (verb === 'MAIL') [sender, recipients] = [path(line), []];
        if (verb === 'RCPT') recipients.push(path(line));
        socket.write('250 ok\r\n');
      }
    };

    /** Takes one command or one message off `unread`; false when neither is whole. */
    const next = (): boolean => {
      if (!inData) {
        const end = unread.indexOf('\r\n');
        if (end < 0) return false;
        command(unread.slice(0, end));
        unread = unread.slice(end + 2);
        return true;
      }
      const empty = unread.startsWith('.\r\n');
      const end = empty ? 0 : unread.indexOf(END_OF_DATA);
      if (end < 0) return false;
      const content = empty ? '' : unread.slice(0, end + 2);
      unread = unread.slice(empty ? 3 : end + END_OF_DATA.length);
      inData = false;
      this.messages.push({ sender, recipients, content: content.replace(/(^|\r\n)\./g, '$1') });
      socket.write('250 kept\r\n');
      for (const look of this.#waiting) look();
      return true;
    };

    socket.write('220 sink.example ESMTP\r\n');
    socket.on('data', (chunk) => {
      unread += chunk.toString('latin1');
      while (next());
    });
  }
}

function path(line: string): string {
  return line.slice(line.indexOf('<') + 1, line.indexOf('>'));
}
