// Plays a golden dialogue against a Session in memory, cut in any way.
//
// Both ears are compared behind each turn, octet for octet and up to the last one. Nothing is compared inside a turn, so
// that a turn may be cut anywhere.

import type { SessionEvent } from '../../src/smtp/types.ts';
import type { Cut } from './cuts.ts';
import { Harness, type HarnessOptions } from './harness.ts';
import type { Piece, Transcript, Turn } from './transcripts.ts';

/** Plays the dialogue; throws an error that shows the turn when an ear heard anything else. */
export function play(transcript: Transcript, cut: Cut, options: Partial<HarnessOptions> = {}): Harness {
  const { profile, policy, judgement, forward, heardBefore, tls } = transcript;
  const harness = new Harness({
    profile,
    policy,
    forward,
    heardBefore,
    ...options,
    ...(judgement === 'asked' ? { judgement } : {}),
    ...(tls ? { names: [] } : {}),
  });
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
  if (turn.who === 'handshake') {
    if (!harness.securing) throw new Error(at(turn, 'no handshake is due'));
    harness.shakeHands();
  }
  if (turn.ends && turn.who === 'client') harness.clientEnds();
  if (turn.ends && turn.who === 'upstream') harness.upstreamEnds();
}

/** null when both ears heard what the turn says, else what is wrong. */
export function compare(turn: Turn, upstreamHeard: string, clientHeard: string): string | null {
  if (!isHeard(turn.upstreamHears, upstreamHeard)) {
    return difference('the upstream', turn.upstreamHears, upstreamHeard);
  }
  if (!isHeard(turn.clientHears, clientHeard)) return difference('the client', turn.clientHears, clientHeard);
  return null;
}

function compareEvents(turn: Turn, events: readonly SessionEvent[]): string | null {
  const heard = events.filter(({ name }) => !UNLOGGED.has(name)).map(formatEvent);
  if (turn.events === null || heard.join('\n') === turn.events.join('\n')) return null;
  return `the log should have heard\n    ${turn.events.join('\n    ')}\n  but heard\n    ${heard.join('\n    ')}`;
}

// For the counters, and what the tests of the log look at.
const UNLOGGED = new Set<SessionEvent['name']>([
  ...(['answered', 'replied', 'octets', 'refused', 'upstream_refused', 'ambiguous_end'] as const),
]);

/** The words of an `E:` line. */
function formatEvent(event: SessionEvent): string {
  if (event.name === 'recipient') return `recipient ${event.decision} ${event.reason} ${event.recipient}`;
  if (event.name === 'sender') return `sender ${event.decision} ${event.reason} ${event.sender}`;
  if (event.name === 'login') return `login ${event.login.mechanism} ${event.login.name ?? '?'}`;
  if (event.name === 'login_failed') return `login_failed ${event.login.mechanism}`;
  return event.name === 'limited' ? `limited ${event.kind} ${event.key}` : event.name;
}

function compareEnd(turn: Turn, harness: Harness): string | null {
  if (turn.closed === null) return harness.closed === null ? null : `closed: ${harness.closed.what}`;
  if (harness.closed === null) return 'should be closed';
  const { origin, what, key } = harness.closed;
  const told = `${origin}: ${what}${key === undefined ? '' : ` (${key})`}`;
  if (turn.closed === '' || turn.closed === origin || turn.closed === told) return null;
  return `closed by ${told}, not by ${turn.closed}`;
}

function isHeard(pieces: readonly Piece[], heard: string): boolean {
  const exact = pieces.every(({ open }) => !open);
  return exact ? pieces.map(({ text }) => text).join('') === heard : regexOf(pieces).test(heard);
}

/** An open piece without an enhanced code means that there must be none (RFC 2034: only where it was offered), and our
 * replies are printable and at most 512 octets. */
function regexOf(pieces: readonly Piece[]): RegExp {
  const known = REGEXES.get(pieces);
  if (known !== undefined) return known;
  const sources = pieces.map(({ text, open }) => {
    const exact = text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
    if (!open) return exact;
    const code = exact.replace(/^([245])yz /, '$1\\d\\d ').replace(/ ([245])\\\.x\\\.x /, ' $1\\.\\d{1,3}\\.\\d{1,3} ');
    const enhanced = /^... $/.test(text) ? '(?![245]\\.\\d)' : '';
    return `${code}${enhanced}[\\x20-\\x7e]{1,${510 - text.length}}\\r\\n`;
  });
  const regex = new RegExp(`^${sources.join('')}$`, 's');
  REGEXES.set(pieces, regex);
  return regex;
}

const REGEXES = new WeakMap<readonly Piece[], RegExp>();

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
