// One connector of the old policy and one of the new: what both answer to everybody.
//
// Only what one of the two looks at tells classes apart here. MAIL is asked for each login and sender, RCPT for each of the few
// that its rules see; then both are put together. What comes out is boxes of classes that are answered otherwise.

import type { Connector } from '../../policy/connector.ts';
import type { Question } from '../../smtp/types.ts';
import { atConnection, atMail, atRcpt, type Door, judgeAt, PASSES, REJECTED } from './answers.ts';
import { factsOf, type Given, NOTHING_SAID, type Side, truthsOf } from './atoms.ts';
import { type Box, joined } from './boxes.ts';
import type { Classes } from './classes.ts';
import type { Compared, World } from './compared.ts';

/** Answers that differ, and for whom. The dimensions of a box: tls, login, sender, ptr, helo, recipient, time; of each the
 * places of the classes, none where all are meant. */
export interface Changed {
  readonly old: number;
  readonly new: number;
  readonly boxes: readonly Box[];
}

/** Questions that are put for one connector of each policy; more is too many. */
const MOST_QUESTIONS = 3_000_000;

/** Who is alike to both connectors: for each the places of the classes. */
type Groups = readonly (readonly number[])[];

/** Logins and senders that MAIL and the rules take alike. */
interface Who {
  /** Places among the groups that the rules tell apart. */
  readonly tls: number;
  readonly login: number;
  readonly sender: number;
  readonly answers: readonly [number, number];
  readonly members: Box[];
}

export class Pair {
  readonly #both: readonly Compared[];
  readonly #connectors: readonly (Connector | null)[];
  readonly #classes: Classes;
  readonly #times: readonly number[];
  readonly #world: World;
  readonly #tls: Groups;
  readonly #logins: Groups;
  readonly #senders: Groups;
  readonly #ptrs: Groups;
  readonly #helos: Groups;
  readonly #recipients: Groups;
  readonly #moments: Groups;
  #whos: Who[] = [];
  /** What was left out, each a sentence. */
  readonly leftOut: string[] = [];

  constructor(
    both: readonly Compared[],
    connectors: readonly (Connector | null)[],
    classes: Classes,
    times: readonly number[],
    world: World,
  ) {
    this.#both = both;
    this.#connectors = connectors;
    this.#classes = classes;
    this.#times = times;
    this.#world = world;
    const by = <V>(all: readonly { readonly value: V }[], side: Side, put: (value: V) => [Given, Partial<Question>]) =>
      groupsOf(all, ({ value }) => this.truths(side, ...put(value)));
    this.#tls = by(classes.secured, 'tls', ({ tls, subject }) => [{}, { tls, tlsSubject: subject }]);
    this.#logins = by(classes.logins, 'login', (login) => [{}, { login }]);
    this.#senders = by(classes.senders, 'sender', ({ written, address }) => [
      {},
      { sender: written, senderAddress: address },
    ]);
    const asksName = connectors.some((one) => one !== null && hasNames(one));
    this.#ptrs = groupsOf(classes.ptrs, ({ value }, i) =>
      asksName ? String(i) : this.truths('ptr', { names: value }, {}),
    );
    this.#helos = by(classes.helos, 'helo', (helo) => [{}, { helo }]);
    this.#recipients = groupsOf(
      classes.recipients,
      ({ value, kind }) => `${kind}|${this.truths('recipient', { recipient: value.address }, {})}`,
    );
    const ends = connectors.flatMap((one) => one?.rules.map(({ expiresAt }) => expiresAt) ?? []);
    this.#moments = groupsOf(times, (time) => ends.map((end) => (time < end ? '1' : '0')).join(''));
  }

  /** What the atoms of the two connectors say. */
  truths(side: Side, given: Given, said: Partial<Question>): string {
    return this.#both
      .map(({ atoms, policy }, i) => {
        const connector = this.#connectors[i];
        if (connector == null) return '';
        const place = policy.connectors.indexOf(connector);
        return truthsOf(atoms, side, factsOf(atoms.users, given, said), (one) => one === place);
      })
      .join('|');
  }

  /** Puts MAIL to both, for everybody. */
  async prepare(door: Door): Promise<void> {
    const { secured, logins, senders } = this.#classes;
    const inGroup = [this.#tls, this.#logins, this.#senders].map(placesIn) as [number[], number[], number[]];
    const judges = this.#connectors.map((one) => (one === null ? null : judgeAt(one, door)));
    const most = Math.floor(MOST_QUESTIONS / secured.length / logins.length);
    if (most < senders.length)
      this.leftOut.push(
        `${logins.length} kinds of logins with ${senders.length} of senders: only the first ${most} of those were compared`,
      );
    const whos = new Map<string, Who>();
    for (const [t, { value: security }] of secured.entries()) {
      for (const [l, { value: login }] of logins.entries()) {
        for (const [s, { value: sender }] of senders.slice(0, most).entries()) {
          const question: Question = {
            ...NOTHING_SAID,
            protocolState: 'MAIL',
            login,
            tls: security.tls,
            tlsSubject: security.subject,
            sender: sender.written,
            senderAddress: sender.address,
          };
          const answers: [number, number] = [PASSES, PASSES];
          for (const [i, judge] of judges.entries()) {
            const answer = judge === null ? PASSES : atMail(judge, question);
            answers[i] = typeof answer === 'number' ? answer : await answer;
          }
          const [tls, who, from] = [inGroup[0][t], inGroup[1][l], inGroup[2][s]] as [number, number, number];
          const key = `${tls},${who},${from},${answers.join()}`;
          const known = whos.get(key);
          if (known === undefined)
            whos.set(key, { tls, login: who, sender: from, answers, members: [[[t], [l], [s]]] });
          else known.members.push([[t], [l], [s]]);
        }
      }
    }
    this.#whos = [...whos.values()];
  }

  /** What both answer to clients at this door. */
  async ask(door: Door): Promise<readonly Changed[]> {
    const { classes, counts } = this.reduced();
    const found = new Map<number, Box[]>(); // by both answers, of places among the groups
    for (const [m, moment] of this.#moments.entries()) {
      this.#world.now = this.#times[moment[0] as number] as number;
      for (const [p, ptr] of this.#ptrs.entries()) {
        this.#world.names = this.#classes.ptrs[ptr[0] as number]?.value ?? null;
        const met: number[] = [];
        for (const connector of this.#connectors) met.push(await atConnection(connector, door.ip));
        for (const h of classes.helos.keys()) {
          const answered = await this.#rcpts(door, met, classes, h);
          for (const [w, who] of this.#whos.entries()) {
            const at = ((who.tls * counts.logins + who.login) * counts.senders + who.sender) * counts.recipients;
            const changed = new Map<number, number[]>();
            for (let r = 0; r < counts.recipients; r++) {
              const [one, other] = [0, 1].map((i) => {
                if (met[i] !== PASSES) return met[i] as number;
                return who.answers[i] === PASSES ? (answered[i]?.[at + r] as number) : (who.answers[i] as number);
              }) as [number, number];
              if (one === other) continue;
              // Who gains or loses does so whichever way the other policy refuses.
              const both = one === PASSES ? REJECTED : other === PASSES ? REJECTED * 8 : one * 8 + other;
              const list = changed.get(both);
              if (list === undefined) changed.set(both, [r]);
              else list.push(r);
            }
            for (const [both, recipients] of changed) {
              const boxes = found.get(both) ?? [];
              found.set(both, boxes);
              boxes.push([[w], [p], [h], recipients, [m]]);
            }
          }
        }
      }
    }
    return [...found].map(([both, boxes]) => ({ old: both >> 3, new: both & 7, boxes: this.#unfolded(joined(boxes)) }));
  }

  /** One of each group. */
  reduced() {
    const { secured, logins, senders, helos, recipients } = this.#classes;
    const first = <V>(all: readonly V[], groups: Groups): V[] => groups.map(([place]) => all[place as number] as V);
    const classes = {
      secured: first(secured, this.#tls),
      logins: first(logins, this.#logins),
      senders: first(senders, this.#senders),
      helos: first(helos, this.#helos),
      recipients: first(recipients, this.#recipients),
    };
    const counts = {
      logins: classes.logins.length,
      senders: classes.senders.length,
      recipients: classes.recipients.length,
    };
    return { classes, counts };
  }

  /** How many questions RCPT is, for one door. */
  get questions(): number {
    return [this.#tls, this.#logins, this.#senders, this.#ptrs, this.#helos, this.#recipients, this.#moments].reduce(
      (product, groups) => product * groups.length,
      1,
    );
  }

  get isTooLarge(): boolean {
    return this.questions > MOST_QUESTIONS;
  }

  async #rcpts(
    door: Door,
    met: readonly number[],
    { secured, logins, senders, helos, recipients }: ReturnType<Pair['reduced']>['classes'],
    h: number,
  ): Promise<(Uint8Array | null)[]> {
    const all: (Uint8Array | null)[] = [];
    for (const [i, connector] of this.#connectors.entries()) {
      if (connector === null || met[i] !== PASSES) {
        all.push(null);
        continue;
      }
      const judge = judgeAt(connector, door);
      const answers = new Uint8Array(secured.length * logins.length * senders.length * recipients.length);
      let at = 0;
      for (const { value: security } of secured)
        for (const { value: login } of logins)
          for (const { value: sender } of senders)
            for (const { value: path } of recipients) {
              const question: Question = {
                protocolState: 'RCPT',
                transaction: 0,
                helo: helos[h]?.value ?? '',
                login,
                tls: security.tls,
                tlsSubject: security.subject,
                sender: sender.written,
                senderAddress: sender.address,
                recipient: path.written,
                addresses: path.addresses,
              };
              const answer = atRcpt(connector, judge, question, path);
              answers[at++] = typeof answer === 'number' ? answer : await answer;
            }
      all.push(answers);
    }
    return all;
  }

  /** From places among groups to places of classes. */
  #unfolded(boxes: readonly Box[]): Box[] {
    const sizes = [this.#classes.secured, this.#classes.logins, this.#classes.senders].map(({ length }) => length);
    return joined(
      boxes.flatMap(([whos = [], ptrs = [], helos = [], recipients = [], moments = []]) => {
        const rest = [
          spread(ptrs, this.#ptrs),
          spread(helos, this.#helos),
          spread(recipients, this.#recipients),
          spread(moments, this.#moments),
        ];
        const members = joined(whos.flatMap((who) => this.#whos[who]?.members ?? []));
        return members.map((box) => [...box.map((places, d) => (places.length === sizes[d] ? [] : places)), ...rest]);
      }),
    );
  }
}

function hasNames({ document: { connect } }: Connector): boolean {
  return [...connect.allow, ...connect.deny].some(
    (entry) => entry !== 'any' && /[a-z]/i.test(entry) && !entry.includes(':'),
  );
}

function groupsOf<V>(all: readonly V[], keyOf: (one: V, place: number) => string): Groups {
  const groups = new Map<string, number[]>();
  for (const [place, one] of all.entries()) {
    const key = keyOf(one, place);
    const known = groups.get(key);
    if (known === undefined) groups.set(key, [place]);
    else known.push(place);
  }
  return [...groups.values()];
}

/** For each class the place of its group. */
function placesIn(groups: Groups): number[] {
  const places: number[] = [];
  for (const [group, members] of groups.entries()) for (const place of members) places[place] = group;
  return places;
}

/** None where all are meant. */
function spread(chosen: readonly number[], groups: Groups): number[] {
  if (chosen.length === groups.length) return [];
  return chosen.flatMap((group) => groups[group] ?? []).sort((a, b) => a - b);
}
