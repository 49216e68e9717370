// Reads golden dialogues (test/transcripts/*.txt; the notation is described in the README there).
//
// A dialogue is a list of turns: one side speaks, then both ears hear something. This file does not know SMTP: whoever
// writes a dialogue says who hears what. play.ts plays them in memory, dialogue-sockets.ts over sockets.

import { readdirSync, readFileSync } from 'node:fs';
import type { Profile, SessionLimits } from '../../src/smtp/types.ts';
import { DEFAULT_LIMITS, RELAY_DENIED, type TestPolicy } from './harness.ts';

/** A piece of what an ear should have heard. `open`: any printable text up to the end of the line follows. */
export interface Piece {
  readonly text: string;
  readonly open: boolean;
}

interface Line {
  readonly where: string;
  readonly text: string;
}

export interface Turn {
  /** file:line */
  readonly where: string;
  readonly who: 'client' | 'upstream' | 'operator' | 'judge' | 'handshake';
  /** What is said, latin-1; '' where only `ends`, the operator or the judge acts. */
  readonly says: string;
  readonly ends: boolean;
  readonly upstreamHears: readonly Piece[];
  readonly clientHears: readonly Piece[];
  /** What the log hears; null: not compared. */
  readonly events: readonly string[] | null;
  /** null: still open after this turn. '' : closed, whoever it was; else by whom, and behind a colon what the log says of it. */
  readonly closed: string | null;
}

export interface Transcript {
  readonly file: string;
  /** The first comment: a sentence. */
  readonly title: string;
  /** The header lines as written. */
  readonly header: ReadonlyMap<string, string>;
  readonly profile: Partial<Profile>;
  readonly policy: TestPolicy;
  readonly judgement: 'now' | 'asked';
  /** The attributes of XFORWARD; none: it is not said. */
  readonly forward: readonly string[];
  /** The lines of an answer to an EHLO of ours that the server gave before; none = it heard no EHLO. */
  readonly heardBefore: readonly string[];
  /** The client comes through TLS from the start. */
  readonly tls: boolean;
  readonly turns: readonly Turn[];
}

export function readTranscripts(folder: URL): Transcript[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.txt'))
    .sort()
    .flatMap((file) => dialoguesOf(linesOf(folder, file)).map((lines) => parseDialogue(folder, file, lines)));
}

// --- parsing

/** The dialogues of one file, which stand between lines of `---`. */
function dialoguesOf(lines: readonly Line[]): Line[][] {
  const dialogues: Line[][] = [[]];
  for (const line of lines) {
    if (line.text === '---') dialogues.push([]);
    else if (line.text !== '' || dialogues.at(-1)?.length !== 0) dialogues.at(-1)?.push(line);
  }
  return dialogues;
}

function parseDialogue(folder: URL, file: string, lines: readonly Line[]): Transcript {
  const first = lines[0];
  if (first === undefined || !first.text.startsWith('# ')) {
    throw new Error(`${first?.where ?? file}: a dialogue begins with a comment: what it shows`);
  }
  const blank = lines.findIndex((line) => line.text === '');
  const header = parseHeader(lines.slice(0, blank));
  const openings = words(header.get('opening')).flatMap((name) => linesOf(folder, `openings/${name}.txt`));
  return {
    file,
    title: first.text.slice(2),
    header,
    profile: profileOf(header),
    policy: policyOf(header),
    judgement: header.get('judge') === 'asked' ? 'asked' : 'now',
    forward: words(header.get('forward')),
    heardBefore: words(header.get('heard-before')),
    tls: header.get('tls') === 'yes',
    turns: parseTurns([...openings, ...lines.slice(blank + 1)]),
  };
}

function linesOf(folder: URL, file: string): Line[] {
  const source = readFileSync(new URL(file, folder), 'utf8');
  return source.split('\n').map((text, index) => ({ where: `${file}:${index + 1}`, text }));
}

const HEADER_KEYS = new Set(
  [
    'opening accepted blocked literals relay refused-senders mode relay-reply judge forward heard-before sockets tls',
    'relays-anywhere auth starttls exchange-verbs chunking hide vrfy bare-lf dot-lines text-line max-message-size early-talker unqualified limits',
  ].flatMap((keys) => keys.split(' ')),
);

function parseHeader(lines: readonly Line[]): Map<string, string> {
  const header = new Map<string, string>();
  for (const { where, text } of lines) {
    if (text.startsWith('#')) continue;
    const [key = '', value = ''] = text.split(/: (.*)/s);
    if (!HEADER_KEYS.has(key)) throw new Error(`${where}: no such header line: ${text}`);
    header.set(key, value);
  }
  return header;
}

function words(value: string | undefined): string[] {
  return value === undefined ? [] : value.split(/ +/);
}

function policyOf(header: ReadonlyMap<string, string>): TestPolicy {
  return {
    accepted: words(header.get('accepted') ?? 'local.example'),
    blocked: words(header.get('blocked')),
    literals: words(header.get('literals')),
    relay: (header.get('relay') ?? 'nobody') as NonNullable<TestPolicy['relay']>,
    relayReply: relayReplyOf(header),
    observe: header.get('mode') === 'observe',
    refusedSenders: words(header.get('refused-senders')),
  };
}

function relayReplyOf(header: ReadonlyMap<string, string>): typeof RELAY_DENIED {
  const match = /^(\d{3}) (?:([245]\.\d+\.\d+) )?(.*)$/.exec(header.get('relay-reply') ?? '');
  return match === null ? RELAY_DENIED : { code: Number(match[1]), enhanced: match[2] ?? null, text: match[3] ?? '' };
}

function profileOf(header: ReadonlyMap<string, string>): Partial<Profile> {
  const profile: Record<string, unknown> = { relayReply: relayReplyOf(header), limits: limitsOf(header.get('limits')) };
  const plain = {
    mode: 'mode',
    auth: 'auth',
    starttls: 'starttls',
    'exchange-verbs': 'exchangeVerbs',
    chunking: 'chunking',
    vrfy: 'vrfy',
    'bare-lf': 'bareLf',
    'dot-lines': 'dotLines',
    'early-talker': 'earlyTalker',
    unqualified: 'unqualifiedRecipients',
  };
  for (const [key, name] of Object.entries(plain)) {
    if (header.has(key)) profile[name] = header.get(key);
  }
  if (header.has('max-message-size')) profile.maxMessageSize = Number(header.get('max-message-size'));
  if (header.has('text-line')) profile.textLine = Number(header.get('text-line'));
  if (header.has('hide')) profile.hideKeywords = new Set(words(header.get('hide')));
  if (header.get('relays-anywhere') === 'yes') profile.relaysAnywhere = true;
  return profile as Partial<Profile>;
}

function limitsOf(value: string | undefined): SessionLimits {
  const given = words(value)
    .map((word) => word.split('='))
    .map(([name, count]) => [name, Number(count)]);
  for (const [name] of given) {
    if (!(String(name) in DEFAULT_LIMITS)) throw new Error(`no such limit: ${name}`);
  }
  return { ...DEFAULT_LIMITS, ...Object.fromEntries(given) };
}

type OpenTurn = {
  -readonly [Key in keyof Turn]: Turn[Key] extends readonly (infer Item)[] | null
    ? Item[] | Extract<Turn[Key], null>
    : Turn[Key];
};

const ACTS: Readonly<Record<string, Turn['who']>> = { 'J.': 'judge', drain: 'operator', '[tls]': 'handshake' };

/** Puts lines together into turns. A turn ends where another one speaks, behind a line that says what was heard, and at
 * a bracket. */
class TurnParser {
  readonly turns: OpenTurn[] = [];
  #bracket = false;
  #complete = true;

  parse({ where, text }: Line): void {
    if (text === '' || text.startsWith('#')) return;
    if (text === '[' || text === ']') {
      this.#bracket = text === '[';
      this.#complete = true;
    } else if (text === 'C.' || text === 'S.') {
      this.#says(where, text === 'C.' ? 'client' : 'upstream', '').ends = true;
      this.#complete ||= !this.#bracket;
    } else if (text in ACTS) {
      this.#complete = true;
      this.#says(where, ACTS[text] as Turn['who'], '');
      this.#complete = true;
    } else if (text === 'X' || text.startsWith('X ')) {
      this.#hears(where).closed = text.slice(2);
    } else {
      if (!/^([CS][:!]|[UPE]:)( |$)/.test(text)) throw new Error(`${where}: who says this? ${text}`);
      this.#line(where, text.slice(0, 2), text.slice(3));
    }
  }

  #line(where: string, mark: string, words: string): void {
    if (mark === 'U:') this.#hears(where).upstreamHears.push(pieceOf(words));
    else if (mark === 'P:') this.#hears(where).clientHears.push(patternOf(words));
    else if (mark === 'E:') {
      const turn = this.#hears(where);
      turn.events = [...(turn.events ?? []), ...(words === 'nothing' ? [] : [words])];
    } else {
      const piece = pieceOf(words);
      const turn = this.#says(where, mark[0] === 'C' ? 'client' : 'upstream', piece.text);
      if (mark === 'C:') turn.upstreamHears.push(piece);
      if (mark === 'S:') turn.clientHears.push(piece);
    }
  }

  #says(where: string, who: Turn['who'], says: string): OpenTurn {
    const last = this.turns.at(-1);
    if (last !== undefined && !this.#complete && last.who === who) {
      last.says += says;
      return last;
    }
    if (this.#bracket && !this.#complete) throw new Error(`${where}: one segment, two speakers`);
    const nothing = { upstreamHears: [], clientHears: [], events: null };
    const turn: OpenTurn = { where, who, says, ends: false, closed: null, ...nothing };
    this.turns.push(turn);
    this.#complete = false;
    return turn;
  }

  #hears(where: string): OpenTurn {
    const last = this.turns.at(-1);
    if (last === undefined) throw new Error(`${where}: nobody has said a word yet`);
    this.#complete ||= !this.#bracket;
    return last;
  }
}

function parseTurns(lines: readonly Line[]): Turn[] {
  const parser = new TurnParser();
  for (const line of lines) parser.parse(line);
  return parser.turns;
}

const ESCAPES: Readonly<Record<string, string>> = { r: '\r', n: '\n', t: '\t', '\\': '\\' };

/** `\r \n \t \\ \x00` are octets, `{ab*3}` is ababab; the line ends in CRLF unless it ends in a single backslash.
 * Other characters are the octets of their UTF-8. */
function pieceOf(written: string): Piece {
  let text = Buffer.from(written, 'utf8').toString('latin1');
  text = text.replace(/\{([^{}*]+)\*(\d+)\}/g, (_, part: string, count: string) => part.repeat(Number(count)));
  const open = /(?<!\\)(?:\\\\)*\\$/.test(text);
  if (open) text = text.slice(0, -1);
  text = text.replace(/\\(x[0-9a-f]{2}|.)/g, (_, code: string) => {
    if (code.length === 3) return String.fromCharCode(Number.parseInt(code.slice(1), 16));
    const octet = ESCAPES[code];
    if (octet === undefined) throw new Error(`no such escape: \\${code}`);
    return octet;
  });
  return { text: open ? text : `${text}\r\n`, open: false };
}

function patternOf(written: string): Piece {
  if (!written.endsWith(' ...')) return pieceOf(written);
  return { text: pieceOf(`${written.slice(0, -3)}\\`).text, open: true };
}

export function octetsOf(transcript: Transcript): number {
  return transcript.turns.reduce((sum, turn) => sum + turn.says.length, 0);
}
