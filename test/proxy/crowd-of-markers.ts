// A crowd of sessions each of which has a number that stands in all that it says and in its address, and a server that has it stand in
// all its replies: so each octet shows whose it is, wherever it comes out.
//
// Clients that are to go do so several in one turn of the event loop, by FIN and by reset, beside a reload: what meets there seldom
// meets elsewhere. Nothing is asserted here: whatever does not belong together is a line of `faults`.

import { createServer, type Server, type Socket } from 'node:net';
import { createSecureContext, TLSSocket } from 'node:tls';
import type { Pair } from '../helpers/certificates.ts';
import { Peer } from './peer.ts';

export const NUMBERS = 3_000; // then they begin anew
export const BY_NAME = 4; //     every fourth has a name in DNS, by which it may relay
export const BY_LOGIN = 5; //    every fifth a login
export const BY_CERTIFICATE = 3;

export function addressOf(number: number): string {
  return `10.1.${number >> 8}.${number & 255}`;
}

export function numberOf(address: string): number {
  const [, , high, low] = address.split('.').map(Number);
  return (high ?? 0) * 256 + (low ?? 0);
}

/** As it stands in names. */
export function markOf(number: number): string {
  return `x${number}x`;
}

/** Whether no other session's number stands in it. */
export function isOf(number: number, text: string): boolean {
  return [...text.matchAll(/x(\d+)x/g)].every(([, found]) => Number(found) === number);
}

type Below = (bound: number) => number;

/** The server behind: it is told by a PROXY header who its client is, and holds all that it hears against that. */
export class MarkedServer {
  readonly faults: string[] = [];
  messages = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Numbers of sessions whose client showed its certificate. */
  readonly shown = new Set<number>();

  /** `tls`: implicit, where given. */
  constructor(below: Below, tls: Pair | null) {
    const context = tls === null ? null : createSecureContext({ cert: tls.cert, key: tls.key });
    this.#server = createServer({ noDelay: true }, (socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => this.#sockets.delete(socket));
      let head = Buffer.alloc(0);
      const read = (chunk: Buffer): void => {
        head = Buffer.concat([head, chunk]);
        const end = head.indexOf('\r\n');
        if (end === -1) return;
        socket.off('data', read);
        socket.pause();
        const number = numberOf(head.toString('latin1', 0, end).split(' ')[2] ?? '');
        const rest = head.subarray(end + 2);
        if (rest.length > 0) socket.unshift(rest);
        const inside = context === null ? socket : new TLSSocket(socket, { isServer: true, secureContext: context });
        inside.on('error', () => {});
        new MarkedSession(this, socket, inside, number, below);
      };
      socket.on('data', read);
    });
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return (this.#server.address() as { port: number }).port;
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

class MarkedSession {
  readonly #of: MarkedServer;
  readonly #plain: Socket;
  readonly #socket: Socket;
  readonly #number: number;
  readonly #below: Below;
  #text = '';
  #inData = false;
  #chunk = 0; // octets of BDAT to come
  #login = '';

  constructor(of: MarkedServer, plain: Socket, socket: Socket, number: number, below: Below) {
    this.#of = of;
    this.#plain = plain;
    this.#socket = socket;
    this.#number = number;
    this.#below = below;
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => this.#read(text));
    this.#say('220');
    socket.resume();
  }

  #say(code: string, text = 'ok'): void {
    const reply = `${code} ${markOf(this.#number)} ${text}\r\n`;
    const cut = this.#below(6) === 0 ? this.#below(reply.length) : 0;
    if (cut > 0) this.#socket.write(reply.slice(0, cut), 'latin1');
    this.#socket.write(reply.slice(cut), 'latin1');
  }

  #read(text: string): void {
    this.#text += text;
    // A slow server now and then, so that we are owed what the kernel does not take.
    if (this.#below(20) === 0) {
      this.#socket.pause();
      setTimeout(() => this.#socket.resume(), this.#below(15));
    }
    for (;;) {
      const end = this.#text.indexOf('\r\n');
      if (end === -1) return;
      const line = this.#text.slice(0, end);
      this.#text = this.#text.slice(end + 2);
      if (this.#inData || this.#chunk > 0) this.#data(line);
      else this.#command(line);
    }
  }

  #fault(line: string): void {
    this.#of.faults.push(`server, session ${this.#number}: ${line.slice(0, 200)}`);
    this.#plain.destroy(); // or both would wait for what went astray
  }

  #data(line: string): void {
    if (this.#chunk > 0) {
      this.#chunk -= line.length + 2;
      if (this.#chunk === 0) this.#taken();
    } else if (line === '.') {
      this.#inData = false;
      this.#taken();
      return;
    }
    if (!/^(x\d+x )+x*$/.test(line) || !isOf(this.#number, line)) this.#fault(line);
  }

  #taken(): void {
    this.#of.messages++;
    this.#say('250');
  }

  #command(line: string): void {
    const number = this.#number;
    if (!isOf(number, line)) this.#fault(line);
    if (this.#below(150) === 0) {
      if (this.#below(2) === 0) this.#plain.resetAndDestroy();
      else this.#socket.end(`421 ${markOf(number)} going\r\n`);
      return;
    }
    const [verb = ''] = line.split(/[ :]/, 1);
    if (verb === 'EHLO') {
      this.#socket.write(
        `250-${markOf(number)}\r\n250-PIPELINING\r\n250-AUTH PLAIN\r\n250-CHUNKING\r\n250 8BITMIME\r\n`,
      );
    } else if (verb === 'AUTH') {
      this.#login =
        Buffer.from(line.split(' ')[2] ?? '', 'base64')
          .toString('latin1')
          .split('\0')[1] ?? '';
      if (!isOf(number, this.#login)) this.#fault(`${line} = ${this.#login}`);
      this.#say('235');
    } else if (verb === 'RCPT') {
      const may = {
        'name.example': number % BY_NAME === 0,
        'login.example': number % BY_LOGIN === 0 && this.#login !== '',
        'certificate.example': this.#of.shown.has(number),
        'local.example': true,
      }[/@([^>]*)>/.exec(line)?.[1] ?? ''];
      if (may !== true) this.#fault(`may not: ${line}`);
      this.#say('250');
    } else if (verb === 'DATA') {
      this.#inData = true;
      this.#say('354');
    } else if (verb === 'BDAT') {
      this.#chunk = Number(line.split(' ')[1]);
    } else if (verb === 'QUIT') {
      this.#say('221');
      this.#socket.end();
    } else this.#say('250');
  }
}

/** The clients, and what they find that is not theirs. */
export class MarkedCrowd {
  readonly faults: string[] = [];
  /** Sessions that came to QUIT; those that were given a right that they have. */
  whole = 0;
  granted = 0;
  readonly #port: number;
  readonly #below: Below;
  readonly #server: MarkedServer;
  readonly #certificate: Pair;
  readonly #reload: () => Promise<void>;
  readonly #plain = new Map<Peer, Socket>();
  readonly #doomed: Peer[] = [];
  #next = 0;

  constructor(port: number, below: Below, server: MarkedServer, certificate: Pair, reload: () => Promise<void>) {
    this.#port = port;
    this.#below = below;
    this.#server = server;
    this.#certificate = certificate;
    this.#reload = reload;
  }

  /** So many sessions, so many of them at a time. */
  async play(sessions: number, atOnce: number): Promise<void> {
    const end = this.#next + sessions;
    const one = async (): Promise<void> => {
      while (this.#next < end) await this.#session(this.#next++ % NUMBERS);
    };
    await Promise.all(Array.from({ length: atOnce }, one));
    this.#goTogether();
  }

  async #session(number: number): Promise<void> {
    this.#server.shown.delete(number);
    const peer = await Peer.connect(this.#port);
    this.#plain.set(peer, peer.socket);
    peer.socket.on('error', () => {});
    try {
      await this.#play(peer, number);
      this.whole++;
    } catch {
      // it was to go, or the server went
    }
    const rest = peer.heard;
    if (!isOf(number, rest)) this.faults.push(`client ${number}: ${rest.slice(0, 200)}`);
    if (this.#doomed.includes(peer)) return;
    peer.socket.destroy();
    this.#plain.delete(peer);
  }

  /** Now and then it stays as it is, until some go together. */
  #mayEnd(peer: Peer): void {
    if (this.#below(22) > 0) return;
    this.#doomed.push(peer);
    if (this.#doomed.length > this.#below(7)) this.#goTogether();
    throw new Error('it is to go');
  }

  #goTogether(): void {
    const going = this.#doomed
      .splice(0)
      .map((peer) => ({ peer, plain: this.#plain.get(peer), resets: this.#below(4) > 0 }));
    if (this.#below(2) === 0) void this.#reload();
    // Not at once: we may be within OpenSSL, which Node.js frees when what lies beneath is reset there (tls-stream.ts).
    setImmediate(() => {
      for (const { peer, plain, resets } of going) {
        this.#plain.delete(peer);
        if (resets) plain?.resetAndDestroy();
        else plain?.destroy();
      }
    });
  }

  async #play(peer: Peer, number: number): Promise<void> {
    const mark = markOf(number);
    const below = this.#below;
    const replies = async (count: number): Promise<string[]> => {
      const found: string[] = [];
      for (let i = 0; i < count; i++) {
        const reply = await peer.reply();
        if (!isOf(number, reply)) this.faults.push(`client ${number}: ${reply}`);
        found.push(reply);
      }
      return found;
    };
    const header = `PROXY TCP4 ${addressOf(number)} 192.0.2.1 ${1024 + number} 25\r\n`;
    const cut = below(header.length);
    peer.say(header.slice(0, cut));
    if (below(3) === 0) await new Promise((resolve) => setImmediate(resolve));
    peer.say(header.slice(cut));
    await replies(1);
    this.#mayEnd(peer);
    const hello = `EHLO ${mark}.example\r\n`;
    peer.say(hello);
    const [list = ''] = await replies(1);
    if (below(2) === 0 && list.includes('STARTTLS')) {
      peer.say('STARTTLS\r\n');
      if (below(8) === 0) this.#mayEnd(peer);
      const [ready = ''] = await replies(1);
      if (!ready.startsWith('220')) throw new Error(ready);
      this.#mayEnd(peer);
      const shows = number % BY_CERTIFICATE === 0;
      if (shows) this.#server.shown.add(number);
      const shake = peer.shakeHands(shows ? { cert: this.#certificate.cert, key: this.#certificate.key } : {});
      shake.catch(() => {});
      if (below(4) === 0) this.#mayEnd(peer);
      await shake;
      peer.socket.on('error', () => {});
      this.#mayEnd(peer);
      peer.say(hello);
      await replies(1);
    }
    if (below(2) === 0) {
      peer.say(`AUTH PLAIN ${Buffer.from(`\0u${mark}\0secret`).toString('base64')}\r\n`);
      await replies(1);
      this.#mayEnd(peer);
    }
    for (let messages = 1 + below(2); messages > 0; messages--) await this.#message(peer, mark, replies);
    peer.say('QUIT\r\n');
    await replies(1);
  }

  async #message(peer: Peer, mark: string, replies: (count: number) => Promise<string[]>): Promise<void> {
    const below = this.#below;
    const domains = ['local', 'name', 'login', 'certificate', 'local'];
    const rcpts = domains.map((domain, i) => `RCPT TO:<r${i}${mark}@${domain}.example>\r\n`);
    const mail = [`MAIL FROM:<s${mark}@sender.example>\r\n`, ...rcpts];
    if (below(2) === 0) {
      peer.say(mail.join(''));
      if (below(3) === 0) this.#mayEnd(peer);
    } else for (const line of mail) peer.say(line);
    const answers = await replies(mail.length);
    this.granted += answers.slice(2, 5).filter((answer) => answer.startsWith('250')).length;
    this.#mayEnd(peer);
    const text = `${`${mark} `.repeat(12)}\r\n`.repeat(below(4) === 0 ? below(2_000) : below(20) + 1);
    if (below(3) === 0) {
      peer.say(`BDAT ${text.length} LAST\r\n${text}`);
      if (below(4) === 0) this.#mayEnd(peer);
      await replies(1);
      return;
    }
    peer.say('DATA\r\n');
    const [go = ''] = await replies(1);
    if (!go.startsWith('354')) return;
    const at = below(text.length);
    peer.say(text.slice(0, at));
    this.#mayEnd(peer);
    if (below(2) === 0) await new Promise((resolve) => setImmediate(resolve));
    peer.say(`${text.slice(at)}.\r\n`);
    if (below(4) === 0) this.#mayEnd(peer);
    await replies(1);
  }
}
