// The last hour: what was counted in each minute, and who was refused most.
//
// It is fed totals that only grow and what the threads' tallies had (refusals.ts), every few seconds. Invariant: sixty minutes,
// and so many sources of each verdict, whatever comes; where there are more, who was refused least is forgotten. An hour
// is exact to its tenth part for sources. Pure: the time is handed in.

import type { Example, Refusals, SourceRefusals, Verdict } from './refusals.ts';
import type { Status } from './shapes.ts';

export interface Minute {
  /** Of its beginning; ms since 1970. */
  readonly at: number;
  readonly messages: number;
  /** Recipients and connections, by us. */
  readonly refused: number;
  readonly would_be_refused: number;
  /** The most sessions that were open at once. */
  readonly sessions: number;
}

export interface RefusedSource {
  readonly source: string;
  /** In the last hour. */
  readonly count: number;
  /** Of the last time that it was heard of. */
  readonly last: number;
  readonly example: Example;
}

export interface Recent {
  /** Oldest first; the last is the one that is under way. */
  readonly minutes: readonly Minute[];
  readonly refused: readonly RefusedSource[];
  readonly would_be_refused: readonly RefusedSource[];
}

const MINUTE = 60_000;
const MINUTES = 60;
const PART = 6 * MINUTE; // of the hour, for sources
const PARTS = 10;
const SOURCES = 1_000; // of each verdict
const SHOWN = 20;

type Counting = { -readonly [Key in keyof Minute]: Minute[Key] };

interface Source {
  readonly parts: Float64Array;
  part: number; // number of the newest part, counted from 1970
  last: number;
  example: Example;
}

type Totals = Pick<Status, 'totals' | 'sessions'>;

export class History {
  readonly #minutes: Counting[] = [];
  readonly #sources: Record<Verdict, Map<string, Source>> = { refused: new Map(), would_be_refused: new Map() };
  #before: Totals['totals'] | null = null;

  /** `now`: ms since 1970. */
  feed(now: number, { totals, sessions }: Totals, refusals: Refusals): void {
    const before = this.#before ?? totals;
    this.#before = totals;
    const grown = (name: keyof Totals['totals']): number => Math.max(0, totals[name] - before[name]);
    const minute = this.#minute(now);
    minute.messages += grown('messages');
    minute.refused += grown('recipients_refused') + grown('connections_refused');
    minute.would_be_refused += grown('recipients_would_be_refused');
    minute.sessions = Math.max(minute.sessions, sessions.open);
    for (const one of refusals.sources) this.#add(now, one);
    for (const sources of Object.values(this.#sources)) keepMost(sources, now);
  }

  recent(now: number): Recent {
    this.#minute(now);
    return {
      minutes: this.#minutes.map((minute) => ({ ...minute })),
      refused: most(this.#sources.refused, now),
      would_be_refused: most(this.#sources.would_be_refused, now),
    };
  }

  /** The one that is under way; those that nothing was told of are empty. A clock that was set back adds to the last. */
  #minute(now: number): Counting {
    const at = Math.floor(now / MINUTE) * MINUTE;
    const last = this.#minutes.at(-1)?.at ?? at - MINUTES * MINUTE;
    for (let next = Math.max(last + MINUTE, at - (MINUTES - 1) * MINUTE); next <= at; next += MINUTE) {
      this.#minutes.push({ at: next, messages: 0, refused: 0, would_be_refused: 0, sessions: 0 });
      if (this.#minutes.length > MINUTES) this.#minutes.shift();
    }
    return this.#minutes.at(-1) as Counting;
  }

  #add(now: number, { verdict, source, count, example }: SourceRefusals): void {
    const part = Math.floor(now / PART);
    const sources = this.#sources[verdict];
    const known = sources.get(source) ?? { parts: new Float64Array(PARTS), part, last: now, example };
    sources.set(source, known);
    forget(known, part);
    known.parts[part % PARTS] = (known.parts[part % PARTS] as number) + count;
    known.last = now;
    known.example = example;
  }
}

/** What is older than an hour. */
function forget(source: Source, part: number): void {
  const passed = Math.max(0, part - source.part);
  for (let i = 1; i <= Math.min(passed, PARTS); i++) source.parts[(source.part + i) % PARTS] = 0;
  source.part = Math.max(part, source.part);
}

function countOf(source: Source, now: number): number {
  forget(source, Math.floor(now / PART));
  return source.parts.reduce((sum, one) => sum + one, 0);
}

function keepMost(sources: Map<string, Source>, now: number): void {
  for (const [name, source] of sources) if (countOf(source, now) === 0) sources.delete(name);
  if (sources.size <= SOURCES) return;
  const least = [...sources].toSorted(([, a], [, b]) => countOf(a, now) - countOf(b, now));
  for (const [name] of least.slice(0, sources.size - SOURCES)) sources.delete(name);
}

function most(sources: ReadonlyMap<string, Source>, now: number): RefusedSource[] {
  return [...sources]
    .map(([source, known]) => ({ source, count: countOf(known, now), last: known.last, example: known.example }))
    .filter(({ count }) => count > 0)
    .toSorted((a, b) => b.count - a.count || b.last - a.last)
    .slice(0, SHOWN);
}
