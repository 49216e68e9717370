// The canonical state of a session: two sessions that have the same go on in the same way, whatever is said to them next.
//
// Every field of every object that a session is made of is named here: either it belongs to the state, or it is one of
// those of which nothing hangs, with the reason. A field that is not named stops the model. `saveState` and `putBack`
// take a whole world of such objects back to where it was, in place, so that closures that wait go on to mean the same.
//
// Not looked at is the text of what waits in closures: a closure is a function of the state in which it was made and of
// what happened then, so these two name it (`closureName`). Counters that can only grow are cut where their limit is met.

import type { Dialogue } from '../../src/smtp/dialogue.ts';
import type { Session } from '../../src/smtp/session.ts';

/** The fields of each class that belong to the state. */
const KEPT: Readonly<Record<string, string>> = {
  Session: '_dialogue _client _replies _held _securing _clientEnded',
  Dialogue: `queue transaction mode hold resumeWith takenInDoubt decided closing ending stalled hasHadItsTurn mailData left
    afterCounted afterSwallowed lastSwallowed hello offered helo extended bearsCodes list earlierList tls tlsSubject
    mustGreet exchange login tunnelUsed opaque errors junk messages failedLogins`,
  ClientOctets: '_line _later _discardedCr',
  Carry: '_bytes length',
  ReplyReader: '_carry _lineStart _firstCode',
  ReplyQueue: '_entries _head outstanding',
  Transaction: 'state number sender utf8 tried failed recipients accepted chunking octets tooLarge remains',
  MailData: '_state _held',
  SaslExchange: 'mechanism name anonymous _step _challenged _unicode _realms',
  Spans: '_span',
};

const ONE = 'one for each scenario';

/** Those of which nothing hangs, and why. */
const LEFT_OUT: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  Dialogue: {
    wire: ONE,
    profile: ONE,
    clientAddress: ONE,
    forwarding: ONE,
    up: 'empty behind every call: checked',
    down: 'likewise',
    commands: 'only for the driver, and how much of a turn is left, which begins anew with every call',
    replies: 'only for the driver',
    said: 'for the log',
    triedLogin: 'for the log',
    ended: 'for the log',
    _turnEndsAt: 'a turn begins anew with every call',
    _turnOctets: 'likewise',
  },
  ClientOctets: {
    _dialogue: ONE,
    _discarded: 'of lines without end: no scenario comes near 64 KiB',
    _blankLines: 'for the log',
  },
  ReplyReader: { code: 'for the caller, at once', bytes: 'likewise', end: 'likewise' },
  ReplyQueue: { _octets: 'no scenario comes near 32 KiB' },
  Transaction: { senderAddress: 'of the sender' },
  MailData: {
    _options: 'of the profile',
    _emit: ONE,
    end: 'for the caller, at once',
    terminator: 'likewise',
    ambiguous: 'for the log',
    ambiguousAt: 'for the log',
    _before: 'for the log',
    _scanned: 'for the log',
    _inLine: 'counted only where lines have a limit: no scenario does',
    _endsInCr: 'likewise',
  },
  Spans: { _write: ONE },
};

type Fields = Record<string, unknown>;

/** Throws when an object has a field that is not named above. */
export function checkFields(session: Session): void {
  for (const object of objectsOf(session)) {
    if ('isOfTheModel' in object) continue;
    const name = object.constructor.name;
    const known = new Set([...(KEPT[name] ?? '').split(/\s+/), ...Object.keys(LEFT_OUT[name] ?? {})]);
    for (const field of Object.keys(object))
      if (!known.has(field)) throw new Error(`test/model/state.ts does not say whether ${name}.${field} matters`);
  }
}

// --- back and forth

/** Every object of a class of ours that can be reached: these are changed in place; all else is replaced when it changes. */
function objectsOf(root: object): Fields[] {
  const found: Fields[] = [root as Fields];
  for (let at = 0; at < found.length; at++)
    for (const value of Object.values(found[at] as Fields))
      if (isOurs(value) && !found.includes(value as Fields)) found.push(value as Fields);
  return found;
}

/** Of each class whether it is ours: asked of every field of every state. */
const ours = new Map<unknown, boolean>();

function isOurs(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  let is = ours.get(value.constructor);
  if (is === undefined) {
    is = KEPT[value.constructor.name] !== undefined || 'isOfTheModel' in value;
    ours.set(value.constructor, is);
  }
  return is;
}

/** Where a world of objects stands: each object, and the values of its fields. */
export type Saved = readonly { readonly object: Fields; readonly way: Way; readonly values: unknown[] }[];

/** How the fields of one class are read and written: made once for each, as this is most of the model's work. */
interface Way {
  read(object: Fields): unknown[];
  write(object: Fields, values: unknown[]): void;
}

const ways = new Map<unknown, Way>();

function wayOf(object: Fields): Way {
  let way = ways.get(object.constructor);
  if (way === undefined) {
    const keys = Object.keys(object).filter((key) => LEFT_OUT[object.constructor.name]?.[key] !== ONE);
    const written = keys.map(
      (key, at) => `object.${key} = ${isChangedInPlace(key) ? `copied(values[${at}])` : `values[${at}]`};`,
    );
    const write = new Function('copied', 'object', 'values', written.join('\n')).bind(null, copied) as Way['write'];
    const read = keys.map((key) => (isChangedInPlace(key) ? `copied(object.${key})` : `object.${key}`));
    way = {
      read: new Function('copied', 'object', `return [${read.join()}]`).bind(null, copied) as Way['read'],
      write,
    };
    ways.set(object.constructor, way);
  }
  return way;
}

export function saveState(root: object): Saved {
  return objectsOf(root).map((object) => {
    const way = wayOf(object);
    return { object, way, values: way.read(object) };
  });
}

export function putBack(saved: Saved): void {
  for (const { object, way, values } of saved) way.write(object, values);
}

/** Arrays of the session, and the octets of its unfinished lines, are written to in place; the model's own are not. */
function isChangedInPlace(key: string): boolean {
  return key === '_entries' || key === '_later' || key === '_bytes';
}

function copied(value: unknown): unknown {
  if (Array.isArray(value)) return value.slice();
  return value instanceof Buffer && value.length > 0 ? Buffer.from(value) : value;
}

// --- the canonical state

const names = new WeakMap<object, string>();

/** Gives closures that are new their name: by what event they were made, and in which state. */
export function nameClosures(session: Session, event: number, before: () => string): void {
  const { resumeWith, takenInDoubt, decided } = (session as unknown as { _dialogue: Fields })._dialogue;
  for (const closure of [resumeWith, takenInDoubt, decided])
    if (typeof closure === 'function' && !names.has(closure)) names.set(closure, `${event} at ${before()}`);
}

function closureName(closure: object | null): string {
  return closure === null ? '' : (names.get(closure) as string);
}

const contents = new WeakMap<object, string>();

/** What an EHLO reply offered. */
function offerOf(offered: Fields): string {
  let text = contents.get(offered);
  if (text === undefined) {
    text = ['_keywords', '_mechanisms', '_mail', '_rcpt']
      .map((set) => [...(offered[set] as Set<string>)].toSorted().join(' '))
      .concat(String(offered.size))
      .join('/');
    contents.set(offered, text);
  }
  return text;
}

/** A session as plain-fields.ts shows it. */
interface Shown {
  readonly _dialogue: Dialogue & {
    readonly up: { readonly _span: Buffer | null };
    readonly down: { readonly _span: Buffer | null };
    readonly queue: { readonly _entries: readonly (number | Buffer)[]; readonly _head: number };
    readonly mailData: { readonly _state: number; readonly _held: string } | null;
  };
  readonly _client: { readonly _line: Carried; readonly _later: readonly Buffer[]; readonly _discardedCr: boolean };
  readonly _replies: { readonly _carry: Carried; readonly _lineStart: number; readonly _firstCode: number };
  readonly _held: boolean;
  readonly _securing: boolean;
  readonly _clientEnded: boolean;
}
interface Carried {
  readonly length: number;
  view(): Buffer;
}

const COUNTED = 2;
const SWALLOWED = 3;
const CLOSED = 8;
const DISCARDED = 5;
const TO_XEXCH50 = 10;

/** The state as text; 'closed' for every session that is over. */
export function canonicalState(session: Session): string {
  const shown = session as unknown as Shown;
  const d = shown._dialogue;
  if (d.mode === CLOSED) return 'closed';
  if (d.up._span !== null || d.down._span !== null) throw new Error('octets of a call are left in it');
  if (d.hasHadItsTurn) throw new Error('a turn is over: no scenario says so much');
  const { limits, maxMessageSize } = d.profile;
  const t = d.transaction;
  let queue = '';
  let counts = d.mode === COUNTED || d.mode === SWALLOWED;
  for (let at = d.queue._head; at < d.queue._entries.length; at++) {
    const entry = d.queue._entries[at] as number | Buffer;
    if (typeof entry === 'number') {
      queue += `${entry & 0xff}${entry >>> 8 === t.number ? 'c' : 'o'} `;
      if ((entry & 0xff) === TO_XEXCH50) counts = true;
    } else queue += `${entry.toString('latin1', 0, 9)} `;
  }
  const flags = [d.stalled, d.extended, d.bearsCodes, d.tls, d.mustGreet, d.tunnelUsed, d.opaque, t.utf8, t.failed];
  flags.push(t.chunking, t.tooLarge, shown._held, shown._securing, shown._clientEnded, t.tried > 0, t.accepted > 0);
  const { _client: client, _replies: replies } = shown;
  const partial = replies._carry.length > 0;
  return [
    ...[d.mode, d.hold, flags.map(Number).join(''), queue, t.state, t.remains, t.sender],
    ...[closureName(d.resumeWith), closureName(d.takenInDoubt), closureName(d.decided)],
    ...[d.closing?.what, d.ending?.reason.what, d.hello, d.helo, offerOf(d.offered as unknown as Fields)],
    ...[d.list?.toString('latin1'), d.earlierList?.toString('latin1'), d.tlsSubject.join()],
    ...(counts && d.mode !== SWALLOWED ? [d.left, d.afterCounted] : []),
    ...(d.mode === SWALLOWED ? [d.left, d.afterSwallowed.code, d.lastSwallowed] : []),
    ...(d.exchange === null ? [] : [JSON.stringify(d.exchange)]),
    ...(d.login === null ? [] : [d.login.mechanism, d.login.name]),
    ...(d.mailData === null ? [] : [d.mailData._state, d.mailData._held]),
    ...[upTo(d.errors, limits.errors), upTo(d.junk, limits.junkCommands), upTo(d.messages, limits.messages)],
    ...[upTo(d.failedLogins, limits.authFailures), upTo(t.recipients, limits.recipientsPerMessage)],
    ...[upTo(t.tried, 2 * limits.recipientsPerMessage), upTo(t.octets, maxMessageSize)],
    ...[client._line.view().toString('latin1'), client._later.map((chunk) => chunk.toString('latin1')).join('\x1f')],
    ...(d.mode === DISCARDED ? [client._discardedCr] : []),
    ...(partial ? [replies._carry.view().toString('latin1'), replies._lineStart, replies._firstCode] : []),
  ].join('\x1e');
}

/** A counter whose limit is Infinity decides nothing; beyond another one it is beyond it. */
function upTo(count: number, limit: number): number {
  return limit === Number.POSITIVE_INFINITY ? 0 : Math.min(count, limit + 1);
}
