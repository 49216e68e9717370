// Which connector answers: bindings first, then the most specific remote range.
//
// If any connector binds the local address, only those compete; else those without bindings. Ranges of two competing
// connectors lie inside each other or apart, so "the smallest that holds the client" has one answer. Equal and crossing
// ranges are errors; nothing is ever merged between connectors.

import { compare, type Ip } from './ip.ts';
import type { Endpoint, Notes, SourceEntry } from './lists.ts';
import { Pile } from './pile.ts';
import { placesOf, RangeTable } from './range-table.ts';
import { isInside, isMasked, isSingle, overlaps, type Range, type Span } from './ranges.ts';
import { widthOf } from './sorted-ips.ts';
import { STEP, type Steps } from './steps.ts';

/** One connector as the selection sees it. */
export interface Candidate<C> {
  readonly connector: C;
  readonly name: string;
  readonly bindings: readonly Endpoint[];
  readonly ranges: readonly SourceEntry[];
  /** Whether a client that only seems to be in this range would be let relay by that alone. */
  readonly grantsRelay: (entry: SourceEntry) => boolean;
}

/** The connector that won, and the range that made it. */
export class Choice<C> {
  readonly connector: C;
  readonly entry: SourceEntry;

  constructor(connector: C, entry: SourceEntry) {
    this.connector = connector;
    this.entry = entry;
  }

  get range(): Range {
    return this.entry.range;
  }
}

/** Connectors by the ranges that lead to them. */
class Choices<C> {
  readonly #choices: readonly Choice<C>[];
  readonly #table: RangeTable;

  private constructor(choices: readonly Choice<C>[], table: RangeTable) {
    this.#choices = choices;
    this.#table = table;
  }

  static *inSteps<C>(choices: readonly Choice<C>[]): Steps<Choices<C>> {
    return new Choices(choices, yield* RangeTable.inSteps(choices));
  }

  find(client: Ip): Choice<C> | null {
    const place = this.#table.find(client);
    return place === null ? null : (this.#choices[place] as Choice<C>);
  }
}

interface Tables<C> {
  readonly known: Choices<C>;
  /** For lost addresses: without the ranges that grant relaying, unless they are single addresses. */
  readonly lost: Choices<C>;
}

const CONFLICTS_SHOWN = 20;

export class Selection<C> {
  /** Local addresses and ports that a binding names, each numbered from 1; 0 stands for the unnamed rest. */
  readonly #addresses = new Map<Ip, number>();
  readonly #ports = new Map<number, number>();
  /** For each address, for each port. */
  readonly #tables: Tables<C>[][] = [];

  private constructor() {}

  /** `guard`: lost addresses are kept from ranges that grant relaying. */
  static *inSteps<C>(candidates: readonly Candidate<C>[], guard: boolean, notes: Notes): Steps<Selection<C>> {
    const selection = new Selection<C>();
    yield* selection.#fill(candidates, guard, notes);
    return selection;
  }

  *#fill(candidates: readonly Candidate<C>[], guard: boolean, notes: Notes): Steps<void> {
    for (const { bindings } of candidates) {
      for (const { ip, port } of bindings) {
        if (ip !== null && !this.#addresses.has(ip)) this.#addresses.set(ip, this.#addresses.size + 1);
        if (port !== null && !this.#ports.has(port)) this.#ports.set(port, this.#ports.size + 1);
      }
    }
    const free = candidates.filter(({ bindings }) => bindings.length === 0);
    const places = new Map(candidates.map((candidate, place) => [candidate, place]));
    const shared = new Map<string, Tables<C>>();
    const reported = new Set<string>();
    for (const ip of [null, ...this.#addresses.keys()]) {
      const row: Tables<C>[] = [];
      const bound = candidates.filter(({ bindings }) => bindings.some((binding) => isAt(binding, ip)));
      for (const port of [null, ...this.#ports.keys()]) {
        yield;
        const bindsBoth = ({ bindings }: Candidate<C>): boolean =>
          bindings.some((binding) => isAt(binding, ip) && (binding.port === null || binding.port === port));
        const here = bound.filter(bindsBoth);
        const competing = here.length > 0 ? here : free;
        const key = competing.map((candidate) => places.get(candidate)).join();
        let tables = shared.get(key);
        if (tables === undefined) {
          yield* reportConflicts(competing, notes, reported);
          tables = yield* buildTables(competing, guard);
          shared.set(key, tables);
        }
        row.push(tables);
      }
      this.#tables.push(row);
    }
  }

  choose(client: Ip, lost: boolean, localIp: Ip | null, localPort: number): Choice<C> | null {
    const row = localIp === null ? 0 : (this.#addresses.get(localIp) ?? 0);
    const tables = this.#tables[row]?.[this.#ports.get(localPort) ?? 0];
    return (lost ? tables?.lost : tables?.known)?.find(client) ?? null;
  }
}

function isAt(binding: Endpoint, ip: Ip | null): boolean {
  return binding.ip === null || binding.ip === ip;
}

function* buildTables<C>(competing: readonly Candidate<C>[], guard: boolean): Steps<Tables<C>> {
  const known = new Pile<Choice<C>>();
  const lost = new Pile<Choice<C>>();
  for (const { connector, ranges, grantsRelay } of competing) {
    for (const entry of ranges) {
      const choice = new Choice(connector, entry);
      if (known.push(choice) % STEP === 0) yield;
      if (!guard || isSingle(entry.range) || !grantsRelay(entry)) lost.push(choice);
    }
  }
  const choices = yield* Choices.inSteps(yield* known.toArray());
  return {
    known: choices,
    lost: lost.length === known.length ? choices : yield* Choices.inSteps(yield* lost.toArray()),
  };
}

interface Claim<C> {
  readonly candidate: Candidate<C>;
  readonly entry: SourceEntry;
  readonly range: Range;
}

function* reportConflicts<C>(competing: readonly Candidate<C>[], notes: Notes, reported: Set<string>): Steps<void> {
  if (competing.length < 2) return;
  const pile = new Pile<Claim<C>>();
  for (const candidate of competing)
    for (const entry of candidate.ranges) {
      if (pile.push({ candidate, entry, range: entry.range }) % STEP === 0) yield;
    }
  const claims = yield* pile.toArray();
  const report = (first: Claim<C>, second: Claim<C>, how: 'equal' | 'crossing'): void => {
    const [a, b] =
      competing.indexOf(first.candidate) < competing.indexOf(second.candidate) ? [first, second] : [second, first];
    const key = `${a.entry.path} ${a.entry.text} ${b.entry.path} ${b.entry.text}`;
    if (reported.has(key) || reported.size >= CONFLICTS_SHOWN) return;
    reported.add(key);
    const where = `'${b.entry.text}' of connector '${b.candidate.name}'`;
    const other = `'${a.entry.text}' of connector '${a.candidate.name}'`;
    notes.error(
      b.entry.path,
      how === 'equal'
        ? `${where} equals ${other}: which of them is meant cannot be told; give the range to one of them`
        : `${where} crosses ${other}: one must lie wholly inside the other, or apart`,
    );
  };
  for (const family of [0, 0n]) yield* conflictingSpans(claims, widthOf(family), report);
  for (const [i, one] of claims.entries()) {
    if (i % STEP === STEP - 1) yield;
    if (!isMasked(one.range)) continue;
    for (const [j, other] of claims.entries()) {
      if (j % STEP === STEP - 1) yield;
      compareMasked(one, other, report);
    }
  }
}

type Report<C> = (first: Claim<C>, second: Claim<C>, how: 'equal' | 'crossing') => void;

function compareMasked<C>(one: Claim<C>, other: Claim<C>, report: Report<C>): void {
  const a = one.entry.range;
  const b = other.entry.range;
  if (one.candidate === other.candidate || !overlaps(a, b)) return;
  const inside = isInside(a, b);
  if (inside && isInside(b, a)) report(one, other, 'equal');
  else if (!inside && !isInside(b, a)) report(one, other, 'crossing');
}

/** One pass over the spans of a family by where they start, wider first; each is compared with those of other connectors that
 * are still open there. Where nothing conflicts few are open at once, since they lie inside each other. */
function* conflictingSpans<C>(claims: readonly Claim<C>[], width: number, report: Report<C>): Steps<void> {
  const openOf = new Map<Candidate<C>, Claim<C>[]>();
  for (const [i, place] of (yield* widerFirst(claims, yield* placesOf(claims, width))).entries()) {
    if (i % STEP === STEP - 1) yield;
    const claim = claims[place] as Claim<C>;
    const span = claim.range as Span;
    const owner = claim.candidate;
    for (const [other, open] of openOf) {
      if (other === owner) continue;
      const still: Claim<C>[] = []; // few
      for (const [j, one] of open.entries()) {
        if (j % STEP === STEP - 1) yield;
        if ((one.range as Span).hi >= span.lo) still.push(one);
      }
      openOf.set(other, still);
      for (const one of still) {
        const { lo, hi, ofAny } = one.range as Span;
        if (lo === span.lo && hi === span.hi && ofAny === span.ofAny) report(one, claim, 'equal');
        else if (hi < span.hi) report(one, claim, 'crossing');
      }
    }
    const own = openOf.get(owner);
    if (own === undefined) openOf.set(owner, [claim]);
    else own.push(claim);
  }
}

/** `places` come by where their spans start. */
function* widerFirst<C>(claims: readonly Claim<C>[], places: Int32Array): Steps<Int32Array> {
  const spanAt = (i: number): Span => (claims[places[i] as number] as Claim<C>).range as Span;
  for (let from = 0, to = 1; to <= places.length; to++) {
    if (to % STEP === STEP - 1) yield;
    if (to < places.length && spanAt(to).lo === spanAt(from).lo) continue;
    if (to - from > 1) {
      const alike = [...places.subarray(from, to)].sort((a, b) => compare(hiOf(b), hiOf(a)));
      places.set(alike, from);
    }
    from = to;
  }
  return places;

  function hiOf(place: number): Ip {
    return ((claims[place] as Claim<C>).range as Span).hi;
  }
}
