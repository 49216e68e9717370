// Clients in a process of their own: honest ones, whose every message must arrive or be put off, and faulty ones of each kind.
//
//   fork('clients.ts')     hears { port, honest, faulty, seconds, seed }, answers with Counts when all are gone
//
// Each session comes from an address of its own (127.10… honest, 127.20… faulty), since the log tells only so much of one
// source. An honest one that is told 4yz or is cut off tries again with the next session; a 5yz where none is due is `wrong`.

import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { numbers } from '../helpers/numbers.ts';

export interface Load {
  readonly port: number;
  readonly honest: number;
  readonly faulty: number;
  readonly seconds: number;
  readonly seed: number;
}

export interface Counts {
  readonly sessions: number;
  /** Honest ones that were greeted with 220. */
  readonly greeted: number;
  /** Messages that honest clients were told are taken. */
  readonly accepted: number;
  /** Recipients of honest clients that were refused, as they should be. */
  readonly refused: number;
  readonly putOff: number;
  readonly cutOff: number;
  readonly wrong: string[];
}

const counts = { sessions: 0, greeted: 0, accepted: 0, refused: 0, putOff: 0, cutOff: 0, wrong: [] as string[] };
let below: (bound: number) => number;
let until = 0;

const address = (block: number): string => `127.${block + below(4)}.${below(250) + 1}.${below(250) + 1}`;

class Line {
  readonly socket: Socket;
  heard = '';
  over = false;
  #wake: () => void = () => {};

  constructor(port: number, localAddress: string) {
    counts.sessions++;
    this.socket = connect({ port, host: '127.0.0.1', localAddress, noDelay: true });
    this.socket.setEncoding('latin1');
    this.socket.on('data', (text: string) => {
      this.heard = (this.heard + text).slice(-100_000);
      this.#wake();
    });
    this.socket.on('error', () => {});
    this.socket.on('close', () => {
      this.over = true;
      this.#wake();
    });
  }

  /** The code of the next reply; '' when the connection is over. */
  async reply(): Promise<string> {
    for (;;) {
      const found = /^(?:\d{3}-.*\r\n)*(\d{3}) .*\r\n/.exec(this.heard);
      if (found !== null) {
        this.heard = this.heard.slice(found[0].length);
        return found[1] as string;
      }
      if (this.over) return '';
      await this.#change();
    }
  }

  say(text: string): void {
    if (!this.over) this.socket.write(text, 'latin1');
  }

  ask(line: string): Promise<string> {
    this.say(`${line}\r\n`);
    return this.reply();
  }

  /** At most so long; then it goes by itself. */
  async end(within: number): Promise<void> {
    const late = setTimeout(() => this.socket.destroy(), within);
    while (!this.over) await this.#change();
    clearTimeout(late);
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}

/** Whether the session goes on: false behind 4yz or an end, which is counted; any other code is wrong. */
function due(code: string, wanted: string, what: string): boolean {
  if (code === wanted) return true;
  if (code === '') counts.cutOff++;
  else if (code.startsWith('4')) counts.putOff++;
  else if (counts.wrong.length < 20) counts.wrong.push(`${what}: ${code} and not ${wanted}`);
  return false;
}

async function honestSession(port: number): Promise<void> {
  const line = new Line(port, address(10));
  try {
    if (!due(await line.reply(), '220', 'greeting')) return;
    counts.greeted++;
    if (!due(await line.ask('EHLO honest.example'), '250', 'EHLO')) return;
    for (let messages = 1 + below(3); messages > 0; messages--) {
      if (!due(await line.ask('MAIL FROM:<honest@sender.example>'), '250', 'MAIL')) return;
      if (!due(await line.ask('RCPT TO:<user@local.example>'), '250', 'RCPT')) return;
      if (below(3) === 0) {
        if (!due(await line.ask('RCPT TO:<victim@foreign.example>'), '554', 'a foreign RCPT')) return;
        counts.refused++;
      }
      const text = 'A line of text.\r\n'.repeat(below(4) === 0 ? 20_000 : 1 + below(200));
      if (below(4) === 0) line.say(`BDAT ${text.length} LAST\r\n${text}`);
      else {
        if (!due(await line.ask('DATA'), '354', 'DATA')) return;
        line.say(`${text}.\r\n`);
      }
      if (!due(await line.reply(), '250', 'the end of the message')) return;
      counts.accepted++;
    }
    await line.ask('QUIT');
  } finally {
    line.socket.end();
    await line.end(2_000);
  }
}

const OPENING = 'EHLO faulty.example\r\nMAIL FROM:<faulty@sender.example>\r\nRCPT TO:<user@local.example>\r\n';
const FLOOD = 'RCPT TO:<victim@foreign.example>\r\n'.repeat(500);

type Fault = (line: Line) => Promise<void> | void;

const FAULTS: readonly Fault[] = [
  (line) => void line.socket.resetAndDestroy(),
  async (line) => {
    await line.reply();
    line.socket.resetAndDestroy();
  },
  async (line) => {
    await line.reply();
    line.say('EHLO faulty.example\r\nMAIL FR');
    await delay(below(300));
    line.socket.resetAndDestroy();
  },
  async (line) => {
    line.say(`${OPENING}DATA\r\nhalf a mess`);
    await delay(below(500));
    line.socket.resetAndDestroy();
  },
  async (line) => {
    line.say(`${OPENING}DATA\r\nhalf a mess`);
    await delay(below(500));
    line.socket.end();
  },
  (line) => line.say(`${OPENING}DATA\r\ntext\n.\r\nMAIL FROM:<x>\r\n`),
  (line) => line.say(`${OPENING}BDAT 100\r\nonly this`),
  (line) => line.say('GET / HTTP/1.1\r\n\r\n'),
  (line) => line.say(Buffer.from(Array.from({ length: 500 }, () => below(256))).toString('latin1')),
  (line) => line.say('x'.repeat(200_000)),
  (line) => line.say('FOO\r\n'.repeat(200)),
  (line) => {
    line.socket.pause(); // deaf
    line.say(`EHLO faulty.example\r\nMAIL FROM:<faulty@sender.example>\r\n${FLOOD}`);
    setTimeout(() => line.socket.resume(), below(3_000));
  },
  (line) => line.say(`EHLO faulty.example\r\nMAIL FROM:<faulty@sender.example>\r\n${FLOOD}`),
  async (line) => {
    line.say('EHLO faulty.example\r\n');
    for (const octet of 'MAIL FROM:<faulty@sender.example>') {
      line.say(octet);
      await delay(20);
    }
  },
  async (line) => {
    await line.reply();
    line.say('EHLO faulty.example\r\nSTARTTLS\r\n');
    await delay(100);
    line.say('\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03');
  },
  (line) => line.say('EHLO faulty.example\r\nSTARTTLS\r\nMAIL FROM:<x@y>\r\n'),
  (line) => line.say('AUTH PLAIN AAAA\r\nAUTH LOGIN\r\n*\r\n'),
  () => {}, // says nothing, until it is told to go
  async (line) => {
    line.say(`${OPENING}DATA\r\n`); // stops in the middle of a message
    await delay(50);
    line.say('text\r\n');
  },
  (line) => line.say(`${OPENING}RSET\r\n${OPENING}QUIT\r\n`),
];

async function faultySession(port: number): Promise<void> {
  const line = new Line(port, address(20));
  const fault = FAULTS[below(FAULTS.length)] as Fault;
  await fault(line);
  await line.end(500 + below(6_000));
}

async function work(port: number, session: (port: number) => Promise<void>): Promise<void> {
  while (performance.now() < until) {
    const before = counts.cutOff + counts.putOff;
    await session(port);
    if (counts.cutOff + counts.putOff > before) await delay(200); // it is not there: no storm against a closed port
  }
}

process.on('message', async ({ port, honest, faulty, seconds, seed }: Load) => {
  below = numbers(seed);
  until = performance.now() + seconds * 1000;
  for (const name of ['sessions', 'greeted', 'accepted', 'refused', 'putOff', 'cutOff'] as const) counts[name] = 0;
  counts.wrong = [];
  const many = (count: number, session: (port: number) => Promise<void>): Promise<void>[] =>
    Array.from({ length: count }, () => work(port, session));
  await Promise.all([...many(honest, honestSession), ...many(faulty, faultySession)]);
  process.send?.(counts);
});
process.on('disconnect', () => process.exit());
