// The smart host behind a server that is asked what it reads: it takes everything, sends nothing on, and keeps of each recipient
// the very octets. (sink.ts keeps messages.)

import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** So long nothing comes out: all is out. */
const QUIET_MS = 2500;
const LOOK_MS = 50;

/** Takes everything, and keeps the sender and each recipient as it was said. No DSN: an ORCPT would stand behind the path. */
export class SmartHost {
  readonly recipients: { readonly sender: string; readonly recipient: string }[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
    server.on('connection', (socket) => this.#serve(socket));
  }

  static async listen(): Promise<SmartHost> {
    const server = createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new SmartHost(server);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Until as many came as were taken; a server may merge those that it takes for one, so or until no more come. */
  async quiet(wanted: number): Promise<void> {
    let before = -1;
    for (let still = 0; still < QUIET_MS && this.recipients.length < wanted; still += LOOK_MS) {
      if (this.recipients.length !== before) still = 0;
      before = this.recipients.length;
      await sleep(LOOK_MS);
    }
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #serve(socket: Socket): void {
    let unread = '';
    let inData = false;
    let sender = '';
    this.#sockets.add(socket);
    socket.on('error', () => {}).on('close', () => this.#sockets.delete(socket));
    socket.setEncoding('latin1').write('220 sink.example ESMTP\r\n');
    socket.on('data', (text: string) => {
      unread += text;
      for (let end = unread.indexOf('\r\n'); end >= 0; end = unread.indexOf('\r\n')) {
        const line = unread.slice(0, end);
        unread = unread.slice(end + 2);
        if (inData) {
          inData = line !== '.';
          if (!inData) socket.write('250 kept\r\n');
          continue;
        }
        const verb = line.slice(0, 4).toUpperCase();
        if (verb === 'MAIL') sender = pathIn(line);
        if (verb === 'RCPT') this.recipients.push({ sender, recipient: pathIn(line) });
        inData = verb === 'DATA';
        socket.write(REPLIES[verb] ?? '250 ok\r\n');
      }
    });
  }
}

const REPLIES: Readonly<Record<string, string>> = {
  EHLO: '250-sink.example\r\n250-PIPELINING\r\n250-SIZE\r\n250-8BITMIME\r\n250 SMTPUTF8\r\n',
  DATA: '354 go on\r\n',
  QUIT: '221 bye\r\n',
};

/** Up to the last bracket: a quoted local part may hold one. */
function pathIn(line: string): string {
  return line.slice(line.indexOf('<') + 1, line.lastIndexOf('>'));
}
