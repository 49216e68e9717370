// Which connector answers: bindings first, then the most specific remote range.
//
// If any connector binds the local address, only those compete; else those without bindings. Ranges of two competing
// connectors lie inside each other or apart, so "the smallest that holds the client" has one answer. Equal and crossing
// ranges are errors; nothing is ever merged between connectors.

import { compare, type Ip, isIpv4 } from './ip.ts';
import type { Endpoint, Notes, SourceEntry } from './lists.ts';
import { RangeTable } from './range-table.ts';
import { hullOf, isInside, isMasked, isSingle, overlaps } from './ranges.ts';

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
export interface Choice<C> {
  readonly connector: C;
  readonly entry: SourceEntry;
}

/** Connectors by the ranges that lead to them. */
class Choices<C> {
  readonly #choices: readonly Choice<C>[];
  readonly #table: RangeTable;

  constructor(choices: readonly Choice<C>[]) {
    this.#choices = choices;
    this.#table = new RangeTable(choices.map(({ entry }) => entry.range));
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

  /** `guard`: lost addresses are kept from ranges that grant relaying. */
  constructor(candidates: readonly Candidate<C>[], guard: boolean, notes: Notes) {
    for (const { bindings } of candidates) {
      for (const { ip, port } of bindings) {
        if (ip !== null && !this.#addresses.has(ip)) this.#addresses.set(ip, this.#addresses.size + 1);
        if (port !== null && !this.#ports.has(port)) this.#ports.set(port, this.#ports.size + 1);
      }
    }
    const shared = new Map<string, Tables<C>>();
    const reported = new Set<string>();
    for (const ip of [null, ...this.#addresses.keys()]) {
      const row: Tables<C>[] = [];
      for (const port of [null, ...this.#ports.keys()]) {
        const competing = competitors(candidates, ip, port);
        const key = competing.map((candidate) => candidates.indexOf(candidate)).join();
        let tables = shared.get(key);
        if (tables === undefined) {
          reportConflicts(competing, notes, reported);
          tables = buildTables(competing, guard);
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

function competitors<C>(
  candidates: readonly Candidate<C>[],
  ip: Ip | null,
  port: number | null,
): readonly Candidate<C>[] {
  const bound = candidates.filter(({ bindings }) =>
    bindings.some(
      (binding) => (binding.ip === null || binding.ip === ip) && (binding.port === null || binding.port === port),
    ),
  );
  return bound.length > 0 ? bound : candidates.filter(({ bindings }) => bindings.length === 0);
}

function buildTables<C>(competing: readonly Candidate<C>[], guard: boolean): Tables<C> {
  const known: Choice<C>[] = [];
  const lost: Choice<C>[] = [];
  for (const { connector, ranges, grantsRelay } of competing) {
    for (const entry of ranges) {
      const choice = { connector, entry };
      known.push(choice);
      if (!guard || isSingle(entry.range) || !grantsRelay(entry)) lost.push(choice);
    }
  }
  const choices = new Choices(known);
  return { known: choices, lost: lost.length === known.length ? choices : new Choices(lost) };
}

interface Claim<C> {
  readonly candidate: Candidate<C>;
  readonly entry: SourceEntry;
}

function reportConflicts<C>(competing: readonly Candidate<C>[], notes: Notes, reported: Set<string>): void {
  if (competing.length < 2) return;
  const claims = competing.flatMap((candidate) => candidate.ranges.map((entry) => ({ candidate, entry })));
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
  for (const family of [claims.filter(isIpv4Claim), claims.filter((claim) => !isIpv4Claim(claim))]) {
    conflictingSpans(
      family.filter(({ entry }) => !isMasked(entry.range)),
      report,
    );
  }
  const masked = claims.filter(({ entry }) => isMasked(entry.range));
  for (const one of masked) for (const other of claims) compareMasked(one, other, report);
}

function isIpv4Claim<C>({ entry }: Claim<C>): boolean {
  return isIpv4(hullOf(entry.range).lo);
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

/** One pass over spans sorted by start, wider first; each is compared with those of other connectors that are still open
 * there. Where nothing conflicts few are open at once, since they lie inside each other. */
function conflictingSpans<C>(claims: Claim<C>[], report: Report<C>): void {
  const spans = claims.map((claim) => ({ ...hullOf(claim.entry.range), claim }));
  spans.sort((a, b) => compare(a.lo, b.lo) || compare(b.hi, a.hi));
  const openOf = new Map<Candidate<C>, typeof spans>();
  for (const span of spans) {
    const owner = span.claim.candidate;
    for (const [other, open] of openOf) {
      if (other === owner) continue;
      const still = open.filter(({ hi }) => hi >= span.lo);
      openOf.set(other, still);
      for (const { lo, hi, ofAny, claim } of still) {
        if (lo === span.lo && hi === span.hi && ofAny === span.ofAny) report(claim, span.claim, 'equal');
        else if (hi < span.hi) report(claim, span.claim, 'crossing');
      }
    }
    const own = openOf.get(owner);
    if (own === undefined) openOf.set(owner, [span]);
    else own.push(span);
  }
}
