// The log: pino, one JSON object a line on standard output, and the one place where peer strings are made harmless.
//
// Invariant: whatever a peer calls itself, a log line is one line of JSON without control characters, and no field of
// it is longer than 256 characters. Where lines wait and which are given up is log-sink.ts.
// Not here: which events there are (events.ts). Not pino's own destination: its synchronous form stops the event loop
// behind a slow pipe, and its flush at exit tries for ever on a pipe without a reader.

import { isUtf8 } from 'node:buffer';
import { type DestinationStream, type Logger, pino } from 'pino';
import type { LogSink } from './log-sink.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

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
    destination(pretty, sink),
  );
}

/** Writes lines of one kind as the logger would: pino looks at each field by itself, which is too dear where every message has
 * a line (6 → 2 µs). */
export function createLineWriter(
  { level, text }: { readonly level: LogLevel; readonly text: string },
  pretty: boolean,
  sink: LogSink,
  worker: number | null = null,
): (fields: { readonly client_address?: unknown }) => void {
  const timestamp = createTimestamp();
  const begin = `{"level":"${level}"`;
  const base = worker === null ? ',' : `,"worker":${worker},`;
  const end = `,"msg":${JSON.stringify(text)}}\n`;
  return (fields) => {
    const line = begin + timestamp() + base + JSON.stringify(fields).slice(1, -1) + end;
    sink.write(pretty ? formatPretty(line) : line, String(fields.client_address));
  };
}

/** Of whatever was thrown, fit for a log. */
export function formatCause(cause: unknown): string | undefined {
  if (cause === undefined) return undefined;
  return harmless(cause instanceof Error ? cause.message : String(cause));
}

/** Pino tells it what each line is made of: whose it is decides which are given up where not all can be kept. */
function destination(pretty: boolean, sink: LogSink): DestinationStream {
  const stream = {
    [pino.symbols.needsMetadataGsym]: true,
    lastObj: null as { readonly client_address?: string; readonly source?: string } | null,
    write(line: string): void {
      sink.write(pretty ? formatPretty(line) : line, stream.lastObj?.client_address ?? stream.lastObj?.source);
    },
  };
  return stream;
}

// Many lines share a second; pino's own isoTime formats each anew, which is a third of a line's cost (1.7 → 1.1 µs).
function createTimestamp(): () => string {
  let at = 0;
  let text = '';
  return () => {
    const now = Date.now();
    const second = Math.floor(now / 1000);
    if (second !== at) text = `,"time":"${new Date(second * 1000).toISOString().slice(0, -4)}`;
    at = second;
    return `${text}${String(now % 1000).padStart(3, '0')}Z"`;
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
