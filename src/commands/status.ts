// postern status: what a running firewall is doing, asked of its admin port and shown in a terminal; --watch as top does.
//
// It only asks. What is shown is a function of the answers (status/screen); the terminal is left as it was found. Not here: a
// way to change anything.

import { parseArgs } from 'node:util';
import { drawStatus, type Size } from '../status/screen.ts';
import type { SessionList, Status } from '../status/shapes.ts';
import { type AdminPort, adminPort, askAdmin, complaint } from './admin-port.ts';
import { readArguments, wrongUsage } from './arguments.ts';
import type { Output } from './output.ts';
import { paintFor } from './paint.ts';

const HELP = `Usage: postern status [OPTION…]

Is it up, is the server up and since when, who is connected, in which phase, and for whom does each wait?

  --watch            ask again every two seconds, until Ctrl-C
  --admin URL        the admin port (default POSTERN_ADMIN, else http://127.0.0.1:9125); HOST:PORT will do
  --token-file FILE  the token of admin.token_file (default POSTERN_TOKEN_FILE)
  --json             the answer of GET /status, with the sessions of GET /sessions as session_list
  --help             print this

Examples:
  postern status --watch
  postern status --admin 10.0.0.5:9125 --token-file admin.token

Exit codes: 0 shown, 1 there is no answer or it is refused, 64 wrong usage.
`;

const FAILURE = 1;
const EVERY_MS = 2_000;
const ANSWER_MS = 5_000;
const SESSIONS = 200; // more than a terminal has lines

export async function status(args: string[], out: Output): Promise<number> {
  const values = readArguments('status', HELP, () => parse(args), out);
  if (typeof values === 'number') return values;
  const { watch = false, json = false } = values;
  if (watch && json) return wrongUsage('status', '--json answers once: it does not go with --watch', out);
  const port = adminPort(values);
  if (typeof port === 'string') return wrongUsage('status', port, out);
  if (watch) return watchIt(port, out);
  const found = await ask(port);
  if (typeof found === 'string') {
    out.stderr(`postern status: ${found}\n`);
    return FAILURE;
  }
  const { now, list } = found;
  if (json) out.stdout(`${JSON.stringify({ ...now, session_list: list.sessions }, null, 2)}\n`);
  else out.stdout(`${drawStatus(now, list, { ...sizeOf(out), rows: ONCE }, paintFor(out.isTTY)).join('\n')}\n`);
  return 0;
}

const ONCE = 50; // lines, where nobody watches

function parse(args: string[]) {
  return parseArgs({ args, options: OPTIONS, strict: true, allowPositionals: false }).values;
}

const OPTIONS = {
  watch: { type: 'boolean' },
  admin: { type: 'string' },
  'token-file': { type: 'string' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

interface Found {
  readonly now: Status;
  readonly list: SessionList;
}

/** A string says why there is no answer. */
async function ask(port: AdminPort): Promise<Found | string> {
  const [now, list] = await Promise.all([
    get<Status>(port, '/status'),
    get<SessionList>(port, `/sessions?limit=${SESSIONS}`),
  ]);
  if (typeof now === 'string') return now;
  return typeof list === 'string' ? list : { now, list };
}

async function get<T extends object>(port: AdminPort, path: string): Promise<T | string> {
  const answered = await askAdmin(port, 'GET', path, ANSWER_MS);
  if (typeof answered === 'string') return answered;
  return answered.status === 200 ? (answered.body as T) : complaint(port, answered);
}

function sizeOf(out: Output): Size {
  return { columns: out.columns ?? WIDTH, rows: out.rows ?? Number.POSITIVE_INFINITY };
}

const WIDTH = 80; // of what is no terminal

// ECMA-48: another screen without a cursor, and back; to its corner; the rest of a line, of the screen.
const ENTER = '\x1b[?1049h\x1b[?25l';
const LEAVE = '\x1b[?25h\x1b[?1049l';
const HOME = '\x1b[H';
const REST_OF_LINE = '\x1b[K';
const REST_OF_SCREEN = '\x1b[J';

/** Resolves when it is ended by a signal. What is no terminal gets one picture behind the other. */
async function watchIt(port: AdminPort, out: Output): Promise<number> {
  const paint = paintFor(out.isTTY);
  const ended = Promise.withResolvers<'ended'>();
  const end = (): void => ended.resolve('ended');
  for (const signal of SIGNALS) process.on(signal, end);
  if (out.isTTY) out.stdout(ENTER);
  for (;;) {
    const found = await Promise.race([ask(port), ended.promise]);
    if (found === 'ended') break;
    const size = sizeOf(out);
    const lines =
      typeof found === 'string'
        ? [paint('red', found), '', 'It is asked again.']
        : drawStatus(found.now, found.list, size, paint);
    out.stdout(out.isTTY ? picture(lines.slice(0, size.rows)) : `${lines.join('\n')}\n\n`);
    let timer: NodeJS.Timeout | undefined;
    const over = new Promise<'again'>((resolve) => {
      timer = setTimeout(resolve, EVERY_MS, 'again');
    });
    const next = await Promise.race([over, ended.promise]);
    clearTimeout(timer);
    if (next === 'ended') break;
  }
  if (out.isTTY) out.stdout(LEAVE);
  for (const signal of SIGNALS) process.off(signal, end);
  return 0;
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

function picture(lines: readonly string[]): string {
  return `${HOME}${lines.map((line) => `${line}${REST_OF_LINE}`).join('\r\n')}${REST_OF_SCREEN}`;
}
