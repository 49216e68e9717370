// Two policies, compared over the whole address space: who reaches whom under the one and not under the other.
//
// No sampling: the space is cut at every boundary of either policy, one of each class is asked, and what is alike is put together
// again. What is compared is the answer to a recipient, as though both enforced, from now until the last rule has expired. Not
// compared: limits, replies, TLS and what else a session is allowed (`settings` names what differs), and lost addresses beyond loopback
// and those of ours that the policies name.

import type { Connector } from '../../policy/connector.ts';
import { formatIp, type Ip } from '../../policy/ip.ts';
import { type Answer, answerQuestion, type PolicyQuestion, type Verdict } from '../../policy/policy-question.ts';
import type { Span } from '../../policy/ranges.ts';
import { union } from '../../policy/spans.ts';
import { fromOctets } from '../../policy/spellings.ts';
import { ANSWERED, type Door } from './answers.ts';
import { type Box, joined } from './boxes.ts';
import { type Classes, classesOf } from './classes.ts';
import type { Compared, World } from './compared.ts';
import { type Meant, meantBy } from './labels.ts';
import { settingsThatDiffer } from './other-settings.ts';
import { Pair } from './pair.ts';
import { connectorAt, doorOf, isLost, NONE } from './places.ts';
import { Words } from './words.ts';

/** What one of the policies says to the example of a row. */
export interface Said {
  readonly answer: Answer;
  readonly connector: string | null;
  readonly reason: string | null;
  readonly rule: string | null;
}

/** Clients that the new policy answers otherwise. A list is null where it does not matter. */
export interface Row {
  readonly change: 'gains' | 'loses' | 'otherwise';
  readonly sources: readonly Span[];
  readonly local: readonly string[] | null;
  readonly logins: Meant | null;
  readonly tls: Meant | null;
  readonly ptr: Meant | null;
  readonly helo: Meant | null;
  readonly senders: Meant | null;
  readonly recipients: Meant | null;
  /** From when until when, in milliseconds; null: always. */
  readonly times: readonly { readonly from: number | null; readonly until: number | null }[] | null;
  readonly example: PolicyQuestion & { readonly ptr: readonly string[] | null };
  readonly old: Said;
  readonly new: Said;
}

export interface Comparison {
  readonly rows: readonly Row[];
  /** Where one policy enforces and the other observes, each a sentence. */
  readonly modes: readonly string[];
  /** What else differs, each a sentence; no difference in who reaches whom. */
  readonly settings: readonly string[];
  /** What was not compared, each a sentence. */
  readonly leftOut: readonly string[];
  readonly questions: number;
}

/** One pair of connectors at one kind of door, and all doors of that kind. */
interface Meeting {
  readonly pair: Pair;
  readonly door: Door;
  readonly places: Box[];
}

export async function compare(old: Compared, neu: Compared, world: World): Promise<Comparison> {
  return new Comparing([old, neu], world).run();
}

class Comparing {
  readonly #both: readonly [Compared, Compared];
  readonly #world: World;
  readonly #now: number;
  readonly #pairs = new Map<string, Pair>();
  readonly #modes = new Set<string>();
  readonly #settings = new Set<string>();
  readonly #leftOut = new Set<string>();
  #questions = 0;

  constructor(both: readonly [Compared, Compared], world: World) {
    this.#both = both;
    this.#world = world;
    this.#now = world.now;
  }

  async run(): Promise<Comparison> {
    const classes = await classesOf(this.#both, new Words(this.#both.map(({ document }) => document)), this.#world);
    for (const sentence of classes.leftOut) this.#leftOut.add(sentence);
    const times = this.#times();
    const meetings = await this.#meetings(classes, times);
    const found = new Map<string, { old: number; new: number; box: Box; places: Box[] }>();
    for (const { pair, door, places } of meetings) {
      if (pair.isTooLarge) {
        this.#leftOut.add(
          `a pair of connectors asks ${pair.questions} questions, which is too many: it was not compared`,
        );
        continue;
      }
      this.#questions += pair.questions;
      for (const changed of await pair.ask(door)) {
        for (const box of changed.boxes) {
          const key = JSON.stringify([changed.old, changed.new, box]);
          const known = found.get(key);
          if (known === undefined) found.set(key, { old: changed.old, new: changed.new, box, places: [...places] });
          else known.places.push(...places);
        }
      }
    }
    const rows: Row[] = [];
    for (const { old, new: now, box, places } of found.values())
      for (const place of joined(places)) rows.push(await this.#row(classes, times, old, now, place, box));
    for (const pair of this.#pairs.values()) for (const sentence of pair.leftOut) this.#leftOut.add(sentence);
    return {
      rows: rows.sort(byChange),
      modes: [...this.#modes],
      settings: [...this.#settings],
      leftOut: [...this.#leftOut],
      questions: this.#questions,
    };
  }

  /** Now, and whenever a rule expires. */
  #times(): number[] {
    const ends = this.#both.flatMap(({ policy }) =>
      policy.connectors.flatMap(({ rules }) => rules.map((rule) => rule.expiresAt)),
    );
    const coming = [...new Set(ends)].filter((end) => end > this.#now && end !== Number.POSITIVE_INFINITY);
    return [this.#now, ...coming.sort((a, b) => a - b)];
  }

  async #meetings(classes: Classes, times: readonly number[]): Promise<Meeting[]> {
    const meetings = new Map<string, Meeting>();
    this.#world.names = [];
    for (const [s, { ip }] of classes.sources.entries()) {
      for (const [l, local] of classes.locals.entries()) {
        const door = doorOf(ip, local);
        if (door === null) continue;
        const at = this.#both.map((one) => connectorAt(one, door)) as [number, number];
        if (at[0] === NONE && at[1] === NONE) continue;
        const pair = await this.#pairAt(at, door, classes, times);
        const client = { ip, lost: isLost(door) };
        const key = [
          at.join(),
          pair.truths('source', { client }, {}),
          pair.truths('local', { localIp: door.localIp, localPort: door.localPort }, {}),
          client.lost,
          await this.#takenAt(at, ip),
        ].join(';');
        const known = meetings.get(key);
        if (known === undefined) meetings.set(key, { pair, door, places: [[[s], [l]]] });
        else known.places.push([[s], [l]]);
      }
    }
    return [...meetings.values()];
  }

  /** What the connect lists say. */
  async #takenAt(at: readonly number[], ip: Ip): Promise<string> {
    let taken = '';
    for (const [i, place] of at.entries()) {
      const refusal = this.#connector(i, place)?.refusal(formatIp(ip));
      taken += refusal instanceof Promise ? `asks${(await refusal) === null}` : refusal === null;
    }
    return taken;
  }

  #connector(policy: number, place: number): Connector | null {
    return this.#both[policy]?.policy.connectors[place] ?? null;
  }

  async #pairAt(at: readonly [number, number], door: Door, classes: Classes, times: readonly number[]): Promise<Pair> {
    const key = at.join();
    const known = this.#pairs.get(key);
    if (known !== undefined) return known;
    const connectors = [this.#connector(0, at[0]), this.#connector(1, at[1])];
    const pair = new Pair(this.#both, connectors, classes, times, this.#world);
    await pair.prepare(door);
    this.#pairs.set(key, pair);
    const [one, other] = connectors;
    if (one != null && other != null) {
      if (one.mode !== other.mode)
        this.#modes.add(
          `connector '${one.name}' says mode: ${one.mode}, and '${other.name}' of the new policy mode: ${other.mode}` +
            (other.mode === 'observe' ? ', which refuses nothing' : ''),
        );
      for (const sentence of settingsThatDiffer(one, other)) this.#settings.add(sentence);
    }
    return pair;
  }

  async #row(
    classes: Classes,
    times: readonly number[],
    old: number,
    now: number,
    [sources = [], locals = []]: Box,
    [tls = [], logins = [], senders = [], ptrs = [], helos = [], recipients = [], moments = []]: Box,
  ): Promise<Row> {
    const spans = union(sources.flatMap((place) => classes.sources[place]?.spans ?? []));
    const door = this.#doorIn(classes, sources, locals);
    const first = <V>(all: readonly V[], places: readonly number[]): V => all[places[0] ?? 0] as V;
    const security = first(classes.secured, tls).value;
    const login = first(classes.logins, logins);
    const ptr = first(classes.ptrs, ptrs).value;
    const example = {
      source: formatIp(door.ip),
      local: { address: formatIp(door.localIp), port: door.localPort },
      helo: fromOctets(first(classes.helos, helos).value),
      login: login.value === null ? null : login.written,
      tls: security.tls,
      tlsSubject: security.subject.map(fromOctets),
      sender: first(classes.senders, senders).written,
      recipient: first(classes.recipients, recipients).written,
      ptr: ptr?.map(fromOctets) ?? null,
    };
    this.#world.names = ptr;
    this.#world.now = first(times, moments);
    const said: Said[] = [];
    for (const [i, { policy }] of this.#both.entries()) {
      const one = saidIn(await answerQuestion(policy, example));
      const meant = ANSWERED[i === 0 ? old : now];
      if (one.answer !== meant && (meant !== 'reject' || one.answer === 'proceed'))
        throw new Error(`a defect of postern diff: ${meant} became ${one.answer} at ${JSON.stringify(example)}`);
      said.push(one);
    }
    return {
      change: ANSWERED[now] === 'proceed' ? 'gains' : ANSWERED[old] === 'proceed' ? 'loses' : 'otherwise',
      sources: spans,
      local: this.#localsIn(classes, sources, locals),
      logins: meantBy(classes.logins, logins),
      tls: meantBy(classes.secured, tls),
      ptr: meantBy(classes.ptrs, ptrs),
      helo: meantBy(classes.helos, helos),
      senders: meantBy(classes.senders, senders),
      recipients: meantBy(classes.recipients, recipients),
      times: moments.length === 0 ? null : momentsIn(times, moments),
      example,
      old: said[0] as Said,
      new: said[1] as Said,
    };
  }

  #doorIn(classes: Classes, sources: readonly number[], locals: readonly number[]): Door {
    for (const s of sources)
      for (const l of locals) {
        const door = doorOf(classes.sources[s]?.ip as Ip, classes.locals[l] as Classes['locals'][number]);
        if (door !== null) return door;
      }
    throw new Error('a defect of postern diff: a difference that nobody can meet');
  }

  /** Null where all that a client of these may have connected to are meant. */
  #localsIn(classes: Classes, sources: readonly number[], locals: readonly number[]): string[] | null {
    const isAll = sources.every((s) =>
      classes.locals.every((local, l) => locals.includes(l) || doorOf(classes.sources[s]?.ip as Ip, local) === null),
    );
    if (isAll) return null;
    return locals.map((l) => {
      const { spans, port, isOther } = classes.locals[l] as Classes['locals'][number];
      const where =
        spans.length === 1 && spans[0]?.lo === spans[0]?.hi ? formatIp(spans[0]?.lo as Ip) : 'any other address';
      return `${where}, ${isOther ? 'any other port' : `port ${port}`}`;
    });
  }
}

function saidIn({ answer, connector, decision, reply, grammar, refusedAt }: Verdict): Said {
  const observed = answer === 'proceed' && reply !== null;
  const code = observed ? Number(reply.slice(0, 3)) : 0;
  const refused = { connection: 'refuse-connection', MAIL: 'refuse-sender', RCPT: 'reject' } as const;
  return {
    answer: !observed ? answer : code < 500 && refusedAt !== 'connection' ? 'defer' : refused[refusedAt ?? 'RCPT'],
    connector: connector?.name ?? null,
    reason: grammar ?? decision?.reason ?? null,
    rule: decision?.rule ?? null,
  };
}

function momentsIn(
  times: readonly number[],
  moments: readonly number[],
): { from: number | null; until: number | null }[] {
  const all: { from: number | null; until: number | null }[] = [];
  for (const [i, moment] of moments.entries()) {
    const until = times[moment + 1] ?? null;
    const last = all.at(-1);
    if (last !== undefined && moments[i - 1] === moment - 1) last.until = until;
    else all.push({ from: moment === 0 ? null : (times[moment] as number), until });
  }
  return all;
}

const ORDER = ['gains', 'loses', 'otherwise'];

function byChange(a: Row, b: Row): number {
  return ORDER.indexOf(a.change) - ORDER.indexOf(b.change);
}
