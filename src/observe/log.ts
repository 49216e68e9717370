// The log: pino, one JSON object a line on standard output, and the one place where peer strings are made harmless.
//
// Invariant: whatever a peer calls itself, a log line is one line of JSON without control characters, and no field of
// it is longer than 256 characters. Writing never blocks the relay and never ends it: lines wait in memory while the
// reader is slow, and when 16 MiB wait, later ones are dropped and counted.
// Not here: which events there are (events.ts). Not pino's own destination: its synchronous form stops the event loop
// behind a slow pipe, and its flush at exit tries for ever on a pipe without a reader.

import { isUtf8 } from 'node:buffer';
import { write, writeSync } from 'node:fs';
import { type Logger, pino } from 'pino';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** Where finished lines go. A test hands in its own. */
export interface LogSink {
  /** One line; `lines`: or so many of them, whole. */
  write(text: string, lines?: number): void;
  /** Resolves when all that was written before is out, or was given up after a second. */
  flush(): Promise<void>;
  /** Lines given up since the start. */
  readonly lost: number;
}

const FIELD_CHARACTERS = 256;
const PLAIN = /^[ -~]*$/;
// Controls, format characters (bidi, zero width, soft hyphen), lone surrogates, unassigned, and every blank but the space.
const HARMFUL = /(?! )[\p{C}\p{Z}]/gu;

/** A string that a peer chose, fit for a log field: latin-1 octets (shown as UTF-8 where they are UTF-8) or text, with
 * what could move a cursor, break a line or turn the reading direction written as `\x1b` or `\u{202e}`. A backslash
 * stays as it is: CORP\alice must be found by grep. */
export function harmless(peer: string): string {
  if (peer.length <= FIELD_CHARACTERS && PLAIN.test(peer)) return peer;
  const escaped = asText(peer).replace(HARMFUL, escapeCharacter);
  if (escaped.length <= FIELD_CHARACTERS) return escaped;
  return `${escaped.slice(0, FIELD_CHARACTERS - 1).replace(/[\ud800-\udbff]$/, '')}…`;
}

/** Octets whose line ends matter: as `harmless`, with `\r` and `\n` as one writes them. */
export function visible(octets: string): string {
  return harmless(octets).replaceAll('\\x0d', '\\r').replaceAll('\\x0a', '\\n');
}

function asText(peer: string): string {
  const octets = Buffer.from(peer, 'latin1');
  return octets.toString('latin1') === peer && isUtf8(octets) ? octets.toString('utf8') : peer;
}

function escapeCharacter(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`;
}

/** `pretty`: readable lines for a terminal instead of JSON. `worker`: its number, where there are several. */
export function createLogger(level: LogLevel, pretty: boolean, sink: LogSink, worker: number | null = null): Logger {
  return pino(
    {
      level,
      base: worker === null ? null : { worker },
      timestamp: createTimestamp(),
      formatters: { level: (label) => ({ level: label }) },
    },
    pretty ? { write: (line) => sink.write(formatPretty(line)) } : sink,
  );
}

// Many lines share a millisecond; pino's own isoTime formats each anew, which is a third of a line's cost (1.7 → 1.1 µs).
function createTimestamp(): () => string {
  let at = 0;
  let text = '';
  return () => {
    const now = Date.now();
    if (now !== at) text = `,"time":"${new Date(now).toISOString()}"`;
    at = now;
    return text;
  };
}

function formatPretty(line: string): string {
  const { time, level, msg, ...fields } = JSON.parse(line) as Record<string, unknown>;
  let text = `${String(time).slice(11, 23)} ${String(level).padEnd(5)} ${msg}`;
  for (const [name, value] of Object.entries(fields)) {
    const plain = typeof value === 'string' && /^[^\s"]+$/.test(value);
    text += ` ${name}=${plain ? value : JSON.stringify(value)}`;
  }
  return `${text}\n`;
}

const WRITE_AT_CHARACTERS = 65536; // every write wakes a thread, which costs more than the lines in it
const WRITE_AFTER_MS = 100;
const WAITING_CHARACTERS = 16 * 1024 * 1024;
const RETRY_MS = 50;
const FLUSH_MS = 1000;

/** Whole lines on their way: `done` is called once, with how many of them were lost. */
export type Put = (text: string, lines: number, done: (lost: number) => void) => void;

/** Lines leave in their order, many to a write: when 64 KiB wait, or after 100 ms, and one write at a time. */
export class BatchingSink implements LogSink {
  lost = 0;
  readonly #put: Put;
  #waiting: string[] = [];
  #waitingLines = 0;
  #waitingCharacters = 0;
  #writing = false;
  #timer: NodeJS.Timeout | null = null;
  #whenIdle: (() => void)[] = [];

  constructor(put: Put) {
    this.#put = put;
  }

  write(text: string, lines = 1): void {
    if (this.#waitingCharacters + text.length > WAITING_CHARACTERS) {
      this.lost += lines;
      return;
    }
    this.#waiting.push(text);
    this.#waitingLines += lines;
    this.#waitingCharacters += text.length;
    if (this.#waitingCharacters >= WRITE_AT_CHARACTERS) this.#writeOut();
    else this.#timer ??= setTimeout(() => this.#writeOut(), WRITE_AFTER_MS).unref();
  }

  flush(): Promise<void> {
    this.#writeOut();
    if (!this.#writing) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, FLUSH_MS); // it keeps the process: there may be nothing else that does
      this.#whenIdle.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /** Takes out what never left, for one last try when the event loop is gone. */
  takeRest(): { readonly text: string; readonly lines: number } {
    const rest = { text: this.#waiting.join(''), lines: this.#waitingLines };
    this.#waiting = [];
    this.#waitingLines = 0;
    this.#waitingCharacters = 0;
    return rest;
  }

  #writeOut(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#writing) return;
    if (this.#waiting.length === 0) {
      for (const resolve of this.#whenIdle.splice(0)) resolve();
      return;
    }
    this.#writing = true;
    const { text, lines } = this.takeRest();
    this.#put(text, lines, (lost) => {
      this.lost += lost;
      this.#writing = false;
      this.#writeOut();
    });
  }
}

/** A sink over an open file descriptor. */
export class DescriptorSink extends BatchingSink {
  constructor(descriptor: number) {
    super((text, lines, done) => writeWhole(descriptor, Buffer.from(text), (whole) => done(whole ? 0 : lines)));
    // The way of a crash.
    process.once('exit', () => {
      const { text, lines } = this.takeRest();
      try {
        writeSync(descriptor, text);
      } catch {
        this.lost += lines;
      }
    });
  }
}

function writeWhole(descriptor: number, octets: Buffer, done: (whole: boolean) => void): void {
  write(descriptor, octets, (error, written) => {
    if (error?.code === 'EAGAIN') setTimeout(() => writeWhole(descriptor, octets, done), RETRY_MS).unref();
    else if (error === null && written < octets.length) writeWhole(descriptor, octets.subarray(written), done);
    else done(error === null);
  });
}
