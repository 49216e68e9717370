// Questions to a policy, with the answers that Exchange's own settings give: not worked out from the policy.
//
// For each connector an address that it answers: one of its own that lies in no smaller range of another. None is found for
// a connector whose clients all belong to others, and nothing is asked there.

import { formatIp, type Ip, parseIp } from '../policy/ip.ts';
import { extent, hullOf, parseRange } from '../policy/ranges.ts';
import { holds, isPrivate } from '../policy/spans.ts';
import type { Grants, OldConnector } from './exchange-connector.ts';
import { looksLikeGroup } from './exchange-rights.ts';
import type { WrittenCase } from './imported.ts';

export interface AskedConnector {
  readonly old: OldConnector;
  readonly granted: Grants;
  /** As the policy has them. */
  readonly bindings: readonly string[];
}

const FOREIGN = 'someone@not-accepted.example';

export function casesOf(
  all: readonly AskedConnector[],
  example: string | null,
): { heading: string; cases: readonly WrittenCase[] }[] {
  return all.flatMap((asked) => {
    const client = clientOf(asked, all);
    return client === null ? [] : [{ heading: asked.old.name, cases: casesFor(asked, client, example) }];
  });
}

function casesFor({ granted, bindings }: AskedConnector, client: string, example: string | null): WrittenCase[] {
  const [binding] = bindings;
  const from = `${client}${binding === undefined ? '' : ` local=${binding.replace(/^\*/, '192.0.2.25')}`}`;
  const cases: WrittenCase[] = [];
  const { anonymousSubmits, loginSubmits, accountsSubmit, anonymousRelays, loginRelays } = granted;
  // Exchange says so at MAIL, and to everybody.
  const no = anonymousSubmits || loginSubmits || accountsSubmit.length > 0 ? 'refuse-sender' : 'refuse-connection';
  const ask = (words: string, recipient: string, may: boolean, submits: boolean): void => {
    cases.push({ expected: submits ? (may ? 'proceed' : 'reject') : no, asked: `${from}${words} -> ${recipient}` });
  };
  if (example !== null) ask('', example, true, anonymousSubmits);
  ask('', FOREIGN, anonymousRelays, anonymousSubmits);
  const isDenied = granted.accountsDenied.length > 0;
  if (loginSubmits && !isDenied) ask(' login=EXAMPLE\\someone', FOREIGN, loginRelays || anonymousRelays, true);
  const isAsked = (who: string): boolean => !/\s/.test(who) && !(anonymousRelays && looksLikeGroup(who));
  for (const who of granted.accountsDenied.filter(isAsked))
    ask(` login=${who}`, FOREIGN, false, anonymousSubmits || loginSubmits);
  return cases;
}

function clientOf({ old, bindings }: AskedConnector, all: readonly AskedConnector[]): string | null {
  const rivals = all.filter(
    (other) => other.old !== old && other.bindings.some((one) => bindings.includes(one)) === bindings.length > 0,
  );
  for (const text of old.ranges) {
    const width = widthOf(text);
    for (const address of candidates(text)) {
      const taken = rivals.some(({ old: { ranges } }) =>
        ranges.some((one) => widthOf(one) < width && isIn(address, one)),
      );
      if (!taken) return address;
    }
  }
  return null;
}

function candidates(text: string): string[] {
  const world = ['203.0.113.7', '198.51.100.77', '192.0.2.77'].filter((address) => isIn(address, text));
  const [range] = parseRange(text).ranges;
  if (range === undefined) return world;
  const { lo, hi } = hullOf(range);
  const near = [lo, next(lo, hi), hi].map(formatIp).filter((address) => isPrivate(address) || !world.includes(address));
  return [...world, ...new Set(near)];
}

function next(lo: Ip, hi: Ip): Ip {
  if (lo === hi) return lo;
  return typeof lo === 'bigint' ? lo + 1n : lo + 1;
}

function isIn(address: string, text: string): boolean {
  return parseIp(address) !== null && holds(parseRange(text).ranges.map(hullOf), address);
}

function widthOf(text: string): number {
  return Math.max(...parseRange(text).ranges.map((range) => Number(extent(range))));
}
