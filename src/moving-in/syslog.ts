// Syslog, as a file or as journalctl prints it (short, -o json, -o export): whose line it is, and that program's reader.
//
// Lines of programs that have nothing to do with SMTP are understood, and nothing is made of them. A line that names no year is
// of the last one in which its day was not in the future of its file.

import { EximLog } from './exim-log.ts';
import { EXIM_TIME, SYSLOG_LINE } from './log-kinds.ts';
import { PosternLog } from './postern-log.ts';
import { PostfixLog } from './postfix-log.ts';
import { SendmailLog } from './sendmail-log.ts';
import type { Entry, YearOf } from './syslog-entry.ts';
import type { Out, Place } from './transaction.ts';

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const EXPORT_FIELD = /^([A-Z_][A-Z0-9_]*)=(.*)$/;

export class SyslogLog {
  readonly #postfix: PostfixLog;
  readonly #sendmail: SendmailLog;
  readonly #exim: EximLog;
  readonly #postern: PosternLog;
  readonly #out: Out;
  readonly #yearOf: YearOf;
  /** The fields of an entry of `journalctl -o export` that is not whole yet. */
  #fields: Map<string, string> | null = null;

  constructor(out: Out, yearOf: YearOf) {
    this.#postfix = new PostfixLog(out);
    this.#sendmail = new SendmailLog(out);
    this.#exim = new EximLog(out);
    this.#postern = new PosternLog(out);
    this.#out = out;
    this.#yearOf = yearOf;
  }

  line(line: string, place: Place): boolean {
    if (line.startsWith('{')) return this.#json(line, place);
    if (this.#fields !== null || line.startsWith('__')) return this.#exported(line, place);
    const found = SYSLOG_LINE.exec(line);
    if (found === null) return false;
    const [, time = '', host = '', program = '', process = '', text = ''] = found;
    return this.#entry(program, { host, process, text, at: this.#timeOf(time) }, place);
  }

  end(): void {
    if (this.#fields !== null) this.#exported('__CURSOR=', { file: '', line: 0 });
    this.#postfix.end();
    this.#sendmail.end();
    this.#exim.end();
    this.#postern.end();
  }

  #entry(program: string, entry: Entry, place: Place): boolean {
    const daemon = /^postfix[\w.-]*\/(?:[\w.-]+\/)*([\w-]+)$/.exec(program)?.[1];
    if (daemon !== undefined) return this.#postfix.entry(daemon, entry, place);
    if (/^(sendmail|sm-)/.test(program)) return this.#sendmail.entry(entry, place);
    if (/^exim/.test(program)) return this.#exim.entry(entry.text.replace(EXIM_TIME, ''), entry.at, place);
    if (entry.text.startsWith('{') && entry.text.includes('"msg":')) return this.#postern.line(entry.text, place);
    return true;
  }

  #json(line: string, place: Place): boolean {
    let fields: Record<string, unknown>;
    try {
      fields = JSON.parse(line);
    } catch {
      return false;
    }
    if (!('MESSAGE' in fields)) return '__REALTIME_TIMESTAMP' in fields;
    if (fields.MESSAGE === null) {
      this.#out.note('journalctl -o json leaves out what is longer than 4 KiB: have it write with --all');
      return false;
    }
    const text = (name: string): string => {
      const value = fields[name];
      if (Array.isArray(value)) return Buffer.from(value as number[]).toString('utf8'); // octets that are no plain text
      return typeof value === 'string' ? value : '';
    };
    return this.#journal(text, place);
  }

  #exported(line: string, place: Place): boolean {
    const fields = this.#fields ?? new Map<string, string>();
    this.#fields = fields;
    if (line.startsWith('__CURSOR=') && fields.size > 0) {
      const done = new Map(fields);
      fields.clear();
      this.#journal((name) => done.get(name) ?? '', place);
    }
    const [, name, value] = EXPORT_FIELD.exec(line) ?? [];
    if (name === undefined) return false;
    fields.set(name, value ?? '');
    return true;
  }

  #journal(field: (name: string) => string, place: Place): boolean {
    const micros = Number(field('_SOURCE_REALTIME_TIMESTAMP') || field('__REALTIME_TIMESTAMP'));
    const entry = {
      host: field('_HOSTNAME'),
      process: field('SYSLOG_PID') || field('_PID'),
      text: field('MESSAGE'),
      at: Number.isFinite(micros) && micros > 0 ? Math.floor(micros / 1000) : null,
    };
    return this.#entry(field('SYSLOG_IDENTIFIER'), entry, place);
  }

  #timeOf(time: string): number | null {
    if (/^\d/.test(time)) return known(Date.parse(time.replace(',', '.')));
    const month = MONTHS.indexOf(time.slice(0, 3));
    if (month === -1) return null;
    const [hours, minutes, seconds] = time.slice(7).split(':').map(Number);
    const day = Number(time.slice(4, 6));
    const inYear = (year: number): number => new Date(year, month, day, hours, minutes, seconds).getTime();
    return known(inYear(this.#yearOf(inYear)));
  }
}

function known(time: number): number | null {
  return Number.isNaN(time) ? null : time;
}
