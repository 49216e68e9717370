// postern status: what a running firewall is doing, asked of its admin port and shown in a terminal; --watch as top does.
//
// It only asks. What is shown is a function of the answers (status/screen); the terminal is left as it was found. Not here: a
// way to change anything.

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type IncomingMessage, request as requestInClear } from 'node:http';
import { request as requestInside } from 'node:https';
import { parseArgs } from 'node:util';
import { drawStatus, type Size } from '../status/screen.ts';
import type { SessionList, Status } from '../status/shapes.ts';
import { plain } from '../status/words.ts';
import { whatIsWrong } from './arguments.ts';
import type { Output } from './output.ts';
import { paintFor } from './paint.ts';

const HELP = `Usage: postern status [OPTION…]

Is it up, is the server up and since when, who is connected, in which phase, and for whom does each wait?

  --watch            ask again every two seconds, until Ctrl-C
  --admin URL        the admin port (default POSTERN_ADMIN, else http://127.0.0.1:9125); HOST:PORT will do
  --token-file FILE  the token of admin.token_file
  --json             the answer of GET /status, with the sessions of GET /sessions as session_list
  --help             print this

Exit codes: 0 shown, 1 there is no answer or it is refused, 64 wrong usage.
`;

const FAILURE = 1;
const USAGE = 64;
const EVERY_MS = 2_000;
const ANSWER_MS = 5_000;
const MOST_OCTETS = 4 * 1024 * 1024;
const SESSIONS = 200; // more than a terminal has lines

export async function status(args: string[], out: Output): Promise<number> {
  const wrong = (sentence: string): number => {
    out.stderr(`postern status: ${sentence}\nTry: postern status --help\n`);
    return USAGE;
  };
  let values: ReturnType<typeof parse>;
  try {
    values = parse(args);
  } catch (error) {
    return wrong(whatIsWrong(error, HELP));
  }
  if (values.help === true) {
    out.stdout(HELP);
    return 0;
  }
  const { watch = false, json = false } = values;
  if (watch && json) return wrong('--json answers once: it does not go with --watch');
  const url = adminUrl(values.admin ?? process.env.POSTERN_ADMIN);
  if (url === null) return wrong('--admin (or POSTERN_ADMIN): http://HOST:PORT or HOST:PORT is wanted');
  let token: string | null = null;
  if (values['token-file'] !== undefined) {
    try {
      token = readFileSync(values['token-file'], 'utf8').trim();
    } catch (error) {
      return wrong(`--token-file: ${(error as Error).message}`);
    }
  }
  if (watch) return watchIt(url, token, out);
  const found = await ask(url, token);
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

/** Null: it is none. */
function adminUrl(given = '127.0.0.1:9125'): string | null {
  if (given === 'none') return null; // as in POSTERN_ADMIN
  try {
    const url = new URL(/^https?:\/\//i.test(given) ? given : `http://${given}`);
    return url.pathname === '/' && url.username === '' ? url.origin : null;
  } catch {
    return null;
  }
}

interface Found {
  readonly now: Status;
  readonly list: SessionList;
}

/** A string says why there is no answer. */
async function ask(url: string, token: string | null): Promise<Found | string> {
  try {
    const [now, list] = await Promise.all([
      get<Status>(`${url}/status`, token),
      get<SessionList>(`${url}/sessions?limit=${SESSIONS}`, token),
    ]);
    if (typeof now === 'string') return now;
    return typeof list === 'string' ? list : { now, list };
  } catch (error) {
    return `${url} does not answer as Postern does: ${plain(whyNot(error as Error))}`;
  }
}

/** Not by fetch, which knows ports that it does not call. A string says what the other side has against it. */
async function get<T>(url: string, token: string | null): Promise<T | string> {
  const request = url.startsWith('https:') ? requestInside : requestInClear;
  const headers = token === null ? {} : { authorization: `Bearer ${token}` };
  const sent = request(url, { headers, agent: false, signal: AbortSignal.timeout(ANSWER_MS) });
  sent.end();
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  const body = JSON.parse(await readAll(response)) as T & { error?: string };
  if (response.statusCode === 200) return body;
  const hint = response.statusCode === 401 ? ' Say --token-file FILE.' : '';
  return `${new URL(url).origin} answers ${response.statusCode}: ${plain(String(body.error))}${hint}`;
}

async function readAll(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let octets = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    octets += chunk.length;
    if (octets > MOST_OCTETS) throw new Error('its answer has no end');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function whyNot(error: Error): string {
  return error.name === 'AbortError' ? `nothing within ${ANSWER_MS / 1000} s` : error.message;
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
async function watchIt(url: string, token: string | null, out: Output): Promise<number> {
  const paint = paintFor(out.isTTY);
  const ended = Promise.withResolvers<'ended'>();
  const end = (): void => ended.resolve('ended');
  for (const signal of SIGNALS) process.on(signal, end);
  if (out.isTTY) out.stdout(ENTER);
  for (;;) {
    const found = await Promise.race([ask(url, token), ended.promise]);
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
