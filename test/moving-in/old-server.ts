// An old server that takes everything from everybody, and writes the receive log of Exchange about it.
//
// Where it is `proxied` it reads a PROXY header first, so that clients may come from anywhere; only such sessions are in the log.

import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import type { Pair } from '../helpers/certificates.ts';

export class OldServer {
  readonly lines: string[] = [
    '#Software: Microsoft Exchange Server',
    '#Version: 14.0.0.0',
    '#Log-type: SMTP Receive Protocol Log',
    '#Date: 2026-11-01T00:00:00.000Z',
    '#Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context',
  ];
  #sessions = 0;
  readonly #server: Server;
  readonly #proxied: boolean;
  readonly #certificate: Pair | null;

  private constructor(server: Server, proxied: boolean, certificate: Pair | null) {
    this.#server = server;
    this.#proxied = proxied;
    this.#certificate = certificate;
    server.on('connection', (socket) => this.#serve(socket));
  }

  /** With a certificate it offers STARTTLS. */
  static async listen(proxied: boolean, certificate: Pair | null = null): Promise<OldServer> {
    const server = createServer({ noDelay: true });
    const old = new OldServer(server, proxied, certificate);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return old;
  }

  /** How many there were. */
  get sessions(): number {
    return this.#sessions;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  close(): Promise<void> {
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  #serve(socket: Socket): void {
    const id = (0x08d0_0000 + this.#sessions++).toString(16).padStart(16, '0').toUpperCase();
    let ends: string | null = null;
    let sequence = 0;
    let state: 'commands' | 'login' | 'data' = 'commands';
    let rest = '';
    let stream: Socket = socket;
    const log = (event: string, data = '', context = ''): void => {
      if (ends === null) return;
      const field = /[",]/.test(data) ? `"${data.replaceAll('"', '""')}"` : data;
      this.lines.push(`2026-11-01T00:00:00.000Z,OLD\\Default,${id},${sequence++},${ends},${event},${field},${context}`);
    };
    const say = (text: string) => {
      log('>', text.trimEnd().replaceAll('\r\n', ' '));
      stream.write(text);
    };
    const login = (response: string) => {
      const name = Buffer.from(response, 'base64').toString().split('\0')[1] ?? '';
      log('*', name, 'authenticated');
      state = 'commands';
      say('235 2.7.0 Authentication successful\r\n');
    };
    const command = (line: string) => {
      if (state === 'login') return login(line);
      if (state === 'data') {
        if (line !== '.') return;
        state = 'commands';
        return say('250 2.6.0 Queued mail for delivery\r\n');
      }
      log('<', line.replace(/^(AUTH PLAIN) .*/i, '$1'));
      const verb = line.slice(0, 4).toUpperCase();
      if (verb === 'EHLO') return say('250-old.example.com\r\n250-PIPELINING\r\n250-AUTH PLAIN\r\n250 SMTPUTF8\r\n');
      if (verb === 'AUTH') {
        const response = line.split(' ')[2];
        if (response !== undefined) return login(response);
        state = 'login';
        return say('334 \r\n');
      }
      if (verb === 'DATA') {
        state = 'data';
        return say('354 Start mail input\r\n');
      }
      if (verb === 'QUIT') {
        say('221 2.0.0 Bye\r\n');
        stream.end();
        return;
      }
      if (verb === 'STAR' && this.#certificate !== null) {
        say('220 2.0.0 SMTP server ready\r\n');
        socket.removeAllListeners('data');
        stream = new TLSSocket(socket, { isServer: true, key: this.#certificate.key, cert: this.#certificate.cert });
        listen();
        return;
      }
      say(
        verb === 'MAIL'
          ? '250 2.1.0 Sender OK\r\n'
          : verb === 'RCPT'
            ? '250 2.1.5 Recipient OK\r\n'
            : '250 2.0.0 OK\r\n',
      );
    };
    const greet = (): void => {
      log('+');
      say('220 old.example.com Microsoft ESMTP MAIL Service\r\n');
    };
    if (!this.#proxied) greet();
    const take = (octets: Buffer): void => {
      rest += octets.toString();
      for (let end = rest.indexOf('\r\n'); end !== -1; end = rest.indexOf('\r\n')) {
        const line = rest.slice(0, end);
        rest = rest.slice(end + 2);
        const [, from, to, port, toPort] = /^PROXY TCP\d (\S+) (\S+) (\d+) (\d+)$/.exec(line) ?? [];
        if (from === undefined) command(line);
        else {
          const local = to?.includes(':') ? `[${to}]:${toPort}` : `${to}:${toPort}`;
          ends = `${local},${from.includes(':') ? `[${from}]` : from}:${port}`;
          greet();
        }
      }
    };
    const listen = (): void => {
      stream.on('data', take);
      stream.on('error', () => {});
    };
    listen();
    socket.on('end', () => log('-', '', 'Remote'));
  }
}
