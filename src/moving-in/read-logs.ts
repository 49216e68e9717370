// Reads logs: files, folders, globs and standard input in, one record for each mail transaction out.
//
// Each part is recognised by its content, and a line that its reader does not understand may show that another kind begins there.
// A kind has one reader for all parts, since sessions go on from one file into the next. What no reader understands is counted,
// and the first are kept with file and line. Not here: what any line means.

import { ExchangeLog } from './exchange-log.ts';
import { EximLog } from './exim-log.ts';
import { NcsaLog, W3cLog } from './iis-log.ts';
import { type Found, findFiles, type Part, partsOf, STDIN, whyNotRead } from './inputs.ts';
import { isOtherLogOfExchange, kindOfLine, whatItIs } from './log-kinds.ts';
import type { LoggedMessage, LogKind, LogSink, ReadOptions, ReadReport, UnknownLine } from './logged.ts';
import { PosternLog } from './postern-log.ts';
import { SyslogLog } from './syslog.ts';
import { LONGEST, TextLines } from './text-lines.ts';
import type { Out, Place } from './transaction.ts';

/** A reader of one kind. */
interface LogReader {
  /** False: the line is not understood. */
  line(line: string, place: Place): boolean;
  /** The same of a line within a block of text, where that is quicker. */
  span?(text: string, from: number, to: number, place: Place): boolean;
  /** All has been read: what is open is told. */
  end(): void;
}

const CR = 0x0d;
/** Beside Exim's mainlog: Debian calls them so, and others exim_rejectlog. */
const REPEATS = /(^|[\\/:])(exim_?)?(reject|panic)log[^\\/:]*$/;
const UNKNOWN_KEPT = 20;
const HEAD_LINES = 200; //   of a part, looked at for what it is
const BLOCKS_A_TURN = 64; // then the event loop has its turn: signals, progress

/** Reads `paths` in order. Nothing throws for what stands in a log; an aborted signal ends it with that signal's reason. */
export async function readLogs(paths: readonly string[], options: ReadOptions, sink: LogSink): Promise<ReadReport> {
  return new Reading(options, sink).read(paths);
}

class Reading implements Out {
  readonly #options: ReadOptions;
  readonly #sink: LogSink;
  readonly #readers = new Map<LogKind, LogReader>();
  readonly #place: Place = { file: '', line: 0 };
  readonly #problems: string[] = [];
  readonly #notes = new Map<string, number>();
  readonly #unknownLines: UnknownLine[] = [];
  /** Of the part that is read, in milliseconds: syslog's year. */
  #changed: number;
  #kind: LogKind | null = null;
  #files = 0;
  #lines = 0;
  #octets = 0;
  #messages = 0;
  #outside = 0;
  #undated = 0;
  #unknown = 0;
  #blocks = 0;

  constructor(options: ReadOptions, sink: LogSink) {
    this.#options = options;
    this.#sink = sink;
    this.#changed = options.now ?? Date.now();
  }

  async read(paths: readonly string[]): Promise<ReadReport> {
    const found = findFiles(paths);
    const files = found.filter((one): one is Found => !('problem' in one));
    for (const one of found) if ('problem' in one) this.#problems.push(`${one.path}: ${one.problem}`);
    const total = files.some(({ path }) => path === STDIN) ? null : files.reduce((sum, { octets }) => sum + octets, 0);
    const { stdin: given = process.stdin, signal } = this.#options;
    const stdin = signal === undefined ? given : interruptible(given, signal);
    let done = 0;
    const took = (octets: number): void => {
      done += octets;
      this.#options.progress?.(done, total);
    };
    for (const file of files) {
      try {
        for await (const part of partsOf(file, took, stdin)) await this.#part(part);
      } catch (error) {
        this.#options.signal?.throwIfAborted();
        this.#problems.push(`${file.path}: ${whyNotRead(error as Error)}`);
      }
    }
    for (const reader of this.#readers.values()) reader.end();
    await this.#sink.drain?.();
    return this.#report();
  }

  message(message: LoggedMessage): void {
    const { since, until } = this.#options;
    const { at } = message;
    if (at === null) this.#undated += 1;
    else if ((since !== undefined && at < since) || (until !== undefined && at >= until)) {
      this.#outside += 1;
      return;
    }
    this.#messages += 1;
    this.#sink.message(message);
  }

  note(sentence: string): void {
    this.#notes.set(sentence, (this.#notes.get(sentence) ?? 0) + 1);
  }

  /** Which year a line without one is of: the last at which that day is not in the future of the file. */
  readonly yearOf = (monthAndDay: (year: number) => number): number => {
    const DAY = 86_400_000;
    const year = new Date(this.#changed).getFullYear();
    return monthAndDay(year) > this.#changed + DAY ? year - 1 : year;
  };

  async #part(part: Part): Promise<void> {
    if (!part.named && REPEATS.test(part.name)) {
      this.note(
        `${part.name}: Exim says there again what stands in its mainlog: left out (named by itself it is read)`,
      );
      return;
    }
    this.#place.file = part.name;
    this.#lines += this.#place.line;
    this.#place.line = 0;
    this.#changed = this.#options.now ?? part.changed ?? Date.now();
    this.#kind = this.#options.as ?? null;
    const text = new TextLines();
    let isKnown = this.#kind !== null;
    let head = '';
    const blocks = part.blocks();
    const { signal } = this.#options;
    const cutOff = async function* (report: (why: string) => void): AsyncGenerator<Buffer> {
      try {
        yield* blocks;
      } catch (error) {
        signal?.throwIfAborted();
        report(whyNotRead(error as Error));
      }
    };
    let broken: string | null = null;
    for await (const block of cutOff((why) => (broken = why))) {
      this.#octets += block.length;
      let lines = text.take(block);
      if (!isKnown) {
        head += lines;
        isKnown = this.#recognise(head);
        if (!isKnown && head.length < LONGEST && !this.#isManyLines(head)) continue;
        if (!isKnown) break;
        lines = head;
        head = '';
      }
      this.#cut(lines);
      await this.#turn();
    }
    head += text.end();
    if (isKnown || this.#recognise(head)) {
      this.#files += 1;
      this.#cut(head);
      if (broken !== null)
        this.#problems.push(`${part.name}:${this.#place.line}: ${broken}; what stands before that was read`);
      if (text.isMixed)
        this.note(`${part.name}: some lines are neither UTF-8 nor UTF-16, and are read as Windows-1252`);
    } else this.#notALog(part, head, broken);
  }

  #notALog(part: Part, head: string, broken: string | null): void {
    const lines = head.split(/\r?\n/).slice(0, HEAD_LINES);
    const isEmpty = head.trim() === '';
    const why =
      broken ??
      (isEmpty
        ? 'it is empty'
        : /\r(?!\n)/.test(head) && !head.includes('\n')
          ? 'its lines end with CR alone, as no server writes them: save it with CRLF or LF'
          : (whatItIs(lines) ??
            (isBinary(head) ? 'it is no text' : 'no log that is known: say --as KIND if it is one')));
    if (broken !== null || (part.named && !isEmpty)) this.#problems.push(`${part.name}: ${why}`);
    else this.note(`${part.name}: ${why}: left out`);
  }

  #isManyLines(head: string): boolean {
    let lines = 0;
    for (let at = head.indexOf('\n'); at !== -1; at = head.indexOf('\n', at + 1)) if (++lines > HEAD_LINES) return true;
    return false;
  }

  #recognise(head: string): boolean {
    for (const line of head.split(/\r?\n/).slice(0, HEAD_LINES)) {
      if (isOtherLogOfExchange(line)) return false;
      const kind = kindOfLine(line);
      if (kind === null) continue;
      this.#kind = kind;
      return true;
    }
    return false;
  }

  #cut(text: string): void {
    const place = this.#place;
    let reader = this.#reader();
    for (let at = 0; at < text.length; ) {
      let end = text.indexOf('\n', at);
      if (end === -1) end = text.length;
      const to = end > at && text.charCodeAt(end - 1) === CR ? end - 1 : end;
      const from = at;
      at = end + 1;
      place.line += 1;
      if (from === to) continue;
      const isUnderstood =
        reader.span === undefined ? reader.line(text.slice(from, to), place) : reader.span(text, from, to, place);
      if (!isUnderstood) reader = this.#other(text.slice(from, to));
    }
  }

  /** A line that its reader does not understand: another kind may begin. */
  #other(line: string): LogReader {
    const kind = this.#options.as === undefined ? kindOfLine(line) : null;
    if (kind !== null && kind !== this.#kind) {
      this.#kind = kind;
      const reader = this.#reader();
      if (!reader.line(line, this.#place)) this.#unknownLine(line);
      return reader;
    }
    this.#unknownLine(line);
    return this.#reader();
  }

  #unknownLine(line: string): void {
    if (line.startsWith('#')) return; // a remark, as all of Microsoft's logs have them
    this.#unknown += 1;
    if (this.#unknownLines.length >= UNKNOWN_KEPT) return;
    const { file, line: number } = this.#place;
    this.#unknownLines.push({ file, line: number, why: whyUnknown(line, this.#kind), text: harmless(line) });
  }

  #reader(): LogReader {
    const kind = this.#kind as LogKind;
    let reader = this.#readers.get(kind);
    if (reader === undefined) {
      reader = this.#make(kind);
      this.#readers.set(kind, reader);
    }
    return reader;
  }

  #make(kind: LogKind): LogReader {
    switch (kind) {
      case 'exchange':
        return new ExchangeLog(this);
      case 'w3c':
        return new W3cLog(this);
      case 'ncsa':
        return new NcsaLog(this);
      case 'exim':
        return new EximLog(this);
      case 'postern':
        return new PosternLog(this);
      case 'syslog':
        return new SyslogLog(this, this.yearOf);
    }
  }

  async #turn(): Promise<void> {
    this.#options.signal?.throwIfAborted();
    await this.#sink.drain?.();
    this.#blocks += 1;
    if (this.#blocks % BLOCKS_A_TURN === 0) await new Promise((resolve) => setImmediate(resolve));
  }

  #report(): ReadReport {
    return {
      files: this.#files,
      lines: this.#lines + this.#place.line,
      octets: this.#octets,
      messages: this.#messages,
      outside: this.#outside,
      undated: this.#undated,
      unknown: this.#unknown,
      unknownLines: this.#unknownLines,
      problems: this.#problems,
      notes: [...this.#notes].map(([sentence, times]) => (times === 1 ? sentence : `${times} ${sentence}`)),
    };
  }
}

/** Who waits for more hears of the signal too: standard input may say nothing for ever. */
async function* interruptible(blocks: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const iterator = blocks[Symbol.asyncIterator]();
  let interrupt = (): void => {};
  signal.addEventListener('abort', () => interrupt());
  for (;;) {
    const next = await new Promise<IteratorResult<Uint8Array>>((resolve, reject) => {
      interrupt = () => reject(signal.reason);
      iterator.next().then(resolve, reject);
    });
    if (next.done === true) return;
    yield next.value;
  }
}

function whyUnknown(line: string, kind: LogKind | null): string {
  if (kind === 'exchange' && /^[^,]*;[^,]*;/.test(line))
    return 'semicolons where commas are wanted: a spreadsheet has saved it, take the file as the server wrote it';
  if (/^\0+$/.test(line)) return 'zeros: the file was not closed when its server fell';
  if (isBinary(line)) return 'no text';
  if (line.includes('\u0A0D')) return 'another encoding begins, and nothing behind it is read: save all of it as UTF-8';
  return `no line of the kind that the log is (${kind})`;
}

function isBinary(text: string): boolean {
  return /[\0-\x08\x0e-\x1a\x1c-\x1f]/.test(text.slice(0, 4096));
}

/** For a terminal: no control character, and not longer than a line. */
function harmless(line: string): string {
  const shown = line
    .slice(0, 160)
    .replace(/[^ -~]/g, (character) => (/[\p{L}\p{N}\p{P}\p{S}]/u.test(character) ? character : '?'));
  return line.length > 160 ? `${shown}…` : shown;
}
