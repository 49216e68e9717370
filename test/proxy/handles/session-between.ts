// One session of the proxy between two streams of the test, and a mail server that reads what was taken.
//
// The mail server believes what it reads: it is a plain server, and would take a recipient that came by a way that nobody
// approved. Nothing here is sent over a network.

import type { ByteStream } from '../../../src/proxy/byte-stream.ts';
import { ClientTls, NO_CREDENTIALS } from '../../../src/proxy/client-tls.ts';
import { Connection } from '../../../src/proxy/connection.ts';
import { FairQueue } from '../../../src/proxy/fair-queue.ts';
import type { Upstream } from '../../../src/proxy/upstream.ts';
import type { CloseReason, Judge, Profile } from '../../../src/smtp/types.ts';
import { DEFAULT_LIMITS, DEFAULT_PROFILE, judgeBy } from '../../helpers/harness.ts';
import { PATIENT } from '../rig.ts';

export interface SessionOptions {
  readonly queue?: FairQueue;
  readonly judge?: Judge;
  readonly profile?: Partial<Profile>;
}

export interface Between {
  readonly connection: Connection;
  /** Why it ended; null while it goes on. */
  readonly reason: CloseReason | null;
  /** Errors of ours. */
  readonly defects: readonly unknown[];
}

const UNLIMITED = { errors: 1e9, junkCommands: 1e9, recipientsPerMessage: 1e9, messages: 1e9 };
const JUDGE = judgeBy({ accepted: ['local.example'] });

/** The server has greeted. */
export function sessionBetween(client: ByteStream, upstream: ByteStream, options: SessionOptions = {}): Between {
  const { queue = new FairQueue(), judge = JUDGE, profile } = options;
  const defects: unknown[] = [];
  let reason: CloseReason | null = null;
  const answer = { stream: upstream, greeting: Buffer.from('220 mail.example\r\n'), forwarding: null, list: null };
  const servers = {
    dial: (_caller: unknown, done: Parameters<Upstream['dial']>[1]) => {
      done({ ...answer, server: 'mail.example:25', ended: () => {} }, null);
      return () => {};
    },
  } as unknown as Upstream;
  const whole = { ...DEFAULT_PROFILE, limits: { ...DEFAULT_LIMITS, ...UNLIMITED }, ...profile };
  const connection = new Connection({
    client,
    handshake: null,
    tls: new ClientTls(NO_CREDENTIALS, 1),
    early: null,
    ends: { clientAddress: '192.0.2.1', clientPort: 1, localAddress: '192.0.2.2', localPort: 25 },
    profile: whole,
    admitted: { admitted: true, profile: whole, judge, release() {} },
    upstream: servers,
    identify: () => Promise.reject(new Error('nobody asks')),
    timeouts: PATIENT,
    queue,
    watcher: {
      number: 1,
      octetsFromClient: 0,
      octetsFromUpstream: 0,
      heloName: '',
      server: '',
      event: () => {},
      handshake: () => {},
      delay: () => {},
      closed: (why) => {
        reason = why;
      },
    },
    defect: (error) => void defects.push(error),
    ended: () => {},
  });
  connection.start();
  return {
    connection,
    get reason() {
      return reason;
    },
    defects,
  };
}

const END = Buffer.from('\r\n.\r\n');

/** What a mail server makes of the octets that it reads. `says` is called with each reply. */
export class MailServer {
  readonly #says: (reply: string) => void;
  readonly #heard: Buffer[] = [];
  #line = ''; //          unfinished
  #inMailData = false;
  #tail = ''; //          the end of the mail data so far
  #counted = 0; //        octets of a BDAT to come
  recipients: string[] = [];

  constructor(says: (reply: string) => void) {
    this.#says = says;
  }

  get heard(): Buffer {
    return Buffer.concat(this.#heard);
  }

  reads(octets: Buffer): void {
    this.#heard.push(octets);
    for (let at = 0; at < octets.length; ) {
      if (this.#inMailData) at = this.#readMailData(octets, at);
      else if (this.#counted > 0) at = this.#readCounted(octets, at);
      else at = this.#readLine(octets, at);
    }
  }

  #readMailData(octets: Buffer, at: number): number {
    // The end may stand across the octets that came before and these.
    const seam = this.#tail + octets.toString('latin1', at, at + END.length);
    const inSeam = seam.indexOf(END.toString());
    const found = inSeam === -1 ? octets.indexOf(END, at) : at + inSeam - this.#tail.length;
    if (found === -1) {
      this.#tail = (this.#tail + octets.toString('latin1', Math.max(at, octets.length - END.length))).slice(
        1 - END.length,
      );
      return octets.length;
    }
    this.#inMailData = false;
    this.#says('250 2.0.0 queued\r\n');
    return found + END.length;
  }

  #readCounted(octets: Buffer, at: number): number {
    const end = Math.min(octets.length, at + this.#counted);
    this.#counted -= end - at;
    if (this.#counted === 0) this.#says('250 2.0.0 so many octets\r\n');
    return end;
  }

  #readLine(octets: Buffer, at: number): number {
    const lineFeed = octets.indexOf('\n', at);
    const end = lineFeed === -1 ? octets.length : lineFeed + 1;
    this.#line += octets.toString('latin1', at, end);
    if (lineFeed !== -1) {
      const line = this.#line;
      this.#line = '';
      this.#take(line);
    }
    return end;
  }

  #take(line: string): void {
    const [verb = '', size] = line.trimEnd().split(' ');
    if (verb === 'EHLO') this.#says('250-mail.example\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 CHUNKING\r\n');
    else if (verb === 'DATA') {
      this.#says('354 go ahead\r\n');
      this.#inMailData = true;
      this.#tail = '\r\n';
    } else if (verb === 'BDAT') {
      this.#counted = Number(size);
      if (this.#counted === 0) this.#says('250 2.0.0 no octets\r\n');
    } else if (verb === 'QUIT') this.#says('221 2.0.0 bye\r\n');
    else {
      if (verb === 'RCPT') this.recipients.push(line);
      this.#says('250 2.0.0 ok\r\n');
    }
  }
}
