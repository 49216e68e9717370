// Reads golden dialogues (test/transcripts/*.txt) and plays them against a Session in memory, cut in any way.
//
// A dialogue is a list of turns: one side speaks, then both ears are compared, octet for octet, with what the dialogue
// says that they heard. Nothing is compared inside a turn, so that a turn may be cut anywhere. The notation is described
// in test/transcripts/README.md. This file does not know SMTP: whoever writes a dialogue says who hears what.

import { readdirSync, readFileSync } from 'node:fs';
import type { Profile, SessionEvent, SessionLimits } from '../../src/smtp/types.ts';
import { DEFAULT_LIMITS, Harness, type HarnessOptions, RELAY_DENIED, type TestPolicy } from './harness.ts';

/** A piece of what an ear should have heard. `open`: any printable text up to the end of the line follows. */
interface Piece {
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
  readonly who: 'client' | 'upstream' | 'operator' | 'judge';
  /** What is said, latin-1; '' where only `ends`, the operator or the judge acts. */
  readonly says: string;
  readonly ends: boolean;
  readonly upstreamHears: readonly Piece[];
  readonly clientHears: readonly Piece[];
  /** What the log hears; null: not compared. */
  readonly events: readonly string[] | null;
  /** null: still open after this turn. '' : closed, whoever it was. */
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
    turns: parseTurns([...openings, ...lines.slice(blank + 1)]),
  };
}

function linesOf(folder: URL, file: string): Line[] {
  const source = readFileSync(new URL(file, folder), 'utf8');
  return source.split('\n').map((text, index) => ({ where: `${file}:${index + 1}`, text }));
}

const HEADER_KEYS = new Set(
  [
    'opening accepted blocked literals relay refused-senders mode relay-reply judge sockets',
    'relays-anywhere auth exchange-verbs chunking hide vrfy bare-lf dot-lines early-talker unqualified limits',
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
    } else if (text === 'J.' || text === 'drain') {
      this.#complete = true;
      this.#says(where, text === 'drain' ? 'operator' : 'judge', '');
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

// --- playing

/** Cuts what is said in one turn into chunks; `offset` is how much was said before, by everyone. */
export type Cut = (says: Buffer, offset: number) => Buffer[];

export const whole: Cut = (says) => [says];
export const everyOctet: Cut = (says) => Array.from(says, (_, index) => says.subarray(index, index + 1));

export function cutAt(position: number): Cut {
  return (says, offset) => {
    const at = position - offset;
    return at > 0 && at < says.length ? [says.subarray(0, at), says.subarray(at)] : [says];
  };
}

/** Chunks of 1 to `most` octets. The same seed cuts in the same way. */
export function cutAtRandom(seed: number, most: number): Cut {
  let state = seed >>> 0;
  return (says) => {
    const chunks: Buffer[] = [];
    for (let at = 0; at < says.length; ) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      const end = at + 1 + ((state >>> 8) % most);
      chunks.push(says.subarray(at, end));
      at = end;
    }
    return chunks;
  };
}

export function octetsOf(transcript: Transcript): number {
  return transcript.turns.reduce((sum, turn) => sum + turn.says.length, 0);
}

/** Plays the dialogue; throws an error that shows the turn when an ear heard anything else. */
export function play(transcript: Transcript, cut: Cut, options: Partial<HarnessOptions> = {}): Harness {
  const { profile, policy, judgement } = transcript;
  const harness = new Harness({ profile, policy, ...options, ...(judgement === 'asked' ? { judgement } : {}) });
  let offset = 0;
  for (const turn of transcript.turns) {
    if (harness.closed !== null) throw new Error(at(turn, `closed too early: ${harness.closed.what}`));
    const says = Buffer.from(turn.says, 'latin1');
    for (const chunk of says.length === 0 ? [] : cut(says, offset)) {
      if (turn.who === 'client') harness.clientSays(chunk);
      else harness.upstreamSays(chunk);
    }
    offset += says.length;
    act(harness, turn);
    const wrong =
      compare(turn, harness.takeUpstreamHeard(), harness.takeClientHeard()) ??
      compareEvents(turn, harness.events.splice(0)) ??
      compareEnd(turn, harness);
    if (wrong !== null) throw new Error(at(turn, wrong));
  }
  return harness;
}

function act(harness: Harness, turn: Turn): void {
  if (turn.who === 'operator') harness.drain();
  if (turn.who === 'judge') harness.answer();
  if (turn.ends && turn.who === 'client') harness.clientEnds();
  if (turn.ends && turn.who === 'upstream') harness.upstreamEnds();
}

/** null when both ears heard what the turn says, else what is wrong. */
export function compare(turn: Turn, upstreamHeard: string, clientHeard: string): string | null {
  if (!regexOf(turn.upstreamHears).test(upstreamHeard)) {
    return difference('the upstream', turn.upstreamHears, upstreamHeard);
  }
  if (!regexOf(turn.clientHears).test(clientHeard)) return difference('the client', turn.clientHears, clientHeard);
  return null;
}

function compareEvents(turn: Turn, events: readonly SessionEvent[]): string | null {
  const heard = events.map(formatEvent);
  if (turn.events === null || heard.join('\n') === turn.events.join('\n')) return null;
  return `the log should have heard\n    ${turn.events.join('\n    ')}\n  but heard\n    ${heard.join('\n    ')}`;
}

/** The words of an `E:` line. */
function formatEvent(event: SessionEvent): string {
  if (event.name === 'recipient') return `recipient ${event.decision} ${event.reason} ${event.recipient}`;
  if (event.name === 'sender') return `sender ${event.decision} ${event.reason} ${event.sender}`;
  if (event.name === 'login') return `login ${event.login.mechanism} ${event.login.name ?? '?'}`;
  if (event.name === 'login_failed') return `login_failed ${event.mechanism}`;
  return event.name === 'limited' ? `limited ${event.kind} ${event.key}` : event.name;
}

function compareEnd(turn: Turn, harness: Harness): string | null {
  if (turn.closed === null) return harness.closed === null ? null : `closed: ${harness.closed.what}`;
  if (harness.closed === null) return 'should be closed';
  if (turn.closed === '' || turn.closed === harness.closed.origin) return null;
  return `closed by ${harness.closed.origin} (${harness.closed.what}), not by ${turn.closed}`;
}

/** An open piece without an enhanced code means that there must be none (RFC 2034: only where it was offered), and our
 * replies are printable and at most 512 octets. */
export function regexOf(pieces: readonly Piece[]): RegExp {
  const sources = pieces.map(({ text, open }) => {
    const exact = text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
    if (!open) return exact;
    const code = exact.replace(/^([245])yz /, '$1\\d\\d ').replace(/ ([245])\\\.x\\\.x /, ' $1\\.\\d{1,3}\\.\\d{1,3} ');
    const enhanced = /^... $/.test(text) ? '(?![245]\\.\\d)' : '';
    return `${code}${enhanced}[\\x20-\\x7e]{1,${510 - text.length}}\\r\\n`;
  });
  return new RegExp(`^${sources.join('')}$`, 's');
}

function difference(ear: string, pieces: readonly Piece[], heard: string): string {
  const expected = pieces.map(({ text, open }) => (open ? `${text}...` : text)).join('');
  return `${ear} should have heard\n    ${show(expected)}\n  but heard\n    ${show(heard)}`;
}

function show(octets: string): string {
  if (octets === '') return '(nothing)';
  const text = JSON.stringify(octets).slice(1, -1).replaceAll('\\r\\n', '\\r\\n\n    ').trimEnd();
  return text.length > 3000 ? `${text.slice(0, 3000)} … (${octets.length} octets)` : text;
}

function at(turn: Turn, wrong: string): string {
  return `${turn.where}: ${wrong}`;
}
