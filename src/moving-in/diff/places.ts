// The addresses on both ends of a connection, as classes: the clients', cut at every boundary of a range of either policy, and ours.
//
// What tells two addresses apart is which connector answers them at each address of ours, whether its connect list takes them, and
// what each list of sources says. An address that policies name as our own is a class by itself: a client there is lost.

import type { Connector } from '../../policy/connector.ts';
import { after, formatIp, type Ip, isIpv4, isLoopback, parseIp } from '../../policy/ip.ts';
import { type Endpoint, parseEndpoint } from '../../policy/lists.ts';
import type { Span } from '../../policy/ranges.ts';
import type { Door } from './answers.ts';
import { type Compared, truthsOfBoth, type World } from './compared.ts';
import { cutLocals, cutSpaces } from './spaces.ts';
import type { Words } from './words.ts';

/** An address of ours and a port, for each family one that stands for all. */
export interface Local {
  readonly ipv4: Ip | null;
  readonly ipv6: Ip | null;
  readonly port: number;
  readonly spans: Span[];
  readonly isOther: boolean;
}

export interface Source {
  readonly ip: Ip;
  readonly spans: Span[];
}

/** The classes of addresses on both ends. */
export async function placesOf(
  both: readonly Compared[],
  words: Words,
  world: World,
): Promise<{ sources: Source[]; locals: Local[]; leftOut: readonly string[] }> {
  const { ranges, ips, ports } = cutLocals(words.locals);
  const ours = new Set(ips);
  const localSpans = cutSpaces(ranges, ips);
  let other = 25;
  while (ports.includes(other)) other++;
  world.names = [];
  const cut = cutSpaces([...words.sources, '127.0.0.0/8', '::1'], ips);
  const clients = new Set(cut.spans.map(({ lo }) => lo));
  const ends = localSpans.spans.map((span) => ({ span, ip: notIn(clients, span) }));
  const locals = localsOf(both, ends, [other, ...ports], other, ours);
  const classes = new Map<string, Source>();
  for (const span of cut.spans) {
    const key = await sourceKey(both, span.lo, locals, ours);
    const known = classes.get(key);
    if (known === undefined) classes.set(key, { ip: span.lo, spans: [span] });
    else known.spans.push(span);
  }
  return { sources: [...classes.values()], locals, leftOut: [...localSpans.leftOut, ...cut.leftOut] };
}

/** An address of ours that stands for others is that of no client that stands for others: that one would be lost. */
function notIn(clients: ReadonlySet<Ip>, { lo, hi }: Span): Ip {
  let ip = USUAL.find((one) => isIpv4(one) === isIpv4(lo) && one >= lo && one <= hi) ?? lo;
  while (clients.has(ip) && ip < hi) ip = after(ip);
  return ip;
}

const USUAL: readonly Ip[] = [parseIp('192.0.2.25') as Ip, parseIp('2001:db8::25') as Ip];

function localsOf(
  both: readonly Compared[],
  ends: readonly { readonly span: Span; readonly ip: Ip }[],
  ports: readonly number[],
  other: number,
  ours: ReadonlySet<Ip>,
): Local[] {
  const classes = new Map<
    string,
    { ipv4: Ip | null; ipv6: Ip | null; port: number; spans: Span[]; isOther: boolean }
  >();
  const bindings = both.map(({ document }) => document.connectors.map((one) => one.bindings.map(parseEndpoint)));
  for (const port of ports) {
    for (const { span, ip } of ends) {
      const fits = bindings.flat().map((list) => (list.some((one) => isAt(one as Endpoint, ip, port)) ? '1' : '0'));
      const truths = truthsOfBoth(both, 'local', { localIp: ip, localPort: port }, {});
      const key = `${port}|${ours.has(ip) ? ip : ''}|${fits.join('')}|${truths}`;
      const known = classes.get(key) ?? { ipv4: null, ipv6: null, port, spans: [], isOther: port === other };
      classes.set(key, known);
      if (isIpv4(ip)) known.ipv4 ??= ip;
      else known.ipv6 ??= ip;
      known.spans.push(span);
    }
  }
  return [...classes.values()];
}

function isAt({ ip, port }: Endpoint, localIp: Ip, localPort: number): boolean {
  return (ip === null || ip === localIp) && (port === null || port === localPort);
}

/** The door through which a client of this class reaches that address of ours; null: they are of two families. */
export function doorOf(ip: Ip, { ipv4, ipv6, port }: Local): Door | null {
  const localIp = isIpv4(ip) ? ipv4 : ipv6;
  return localIp === null ? null : { ip, localIp, localPort: port };
}

export function isLost({ ip, localIp }: Door): boolean {
  return ip === localIp || isLoopback(ip);
}

async function sourceKey(
  both: readonly Compared[],
  ip: Ip,
  locals: readonly Local[],
  ours: ReadonlySet<Ip>,
): Promise<string> {
  let key = `${isIpv4(ip) ? 4 : 6}${isLoopback(ip) ? 'l' : ''}${ours.has(ip) ? ip : ''}|`;
  key += truthsOfBoth(both, 'source', { client: { ip, lost: isLoopback(ip) } }, {});
  for (const [i, { policy }] of both.entries()) {
    const asked = new Set<number>();
    for (const local of locals) {
      const door = doorOf(ip, local);
      if (door === null) continue;
      const place = connectorAt(both[i] as Compared, door);
      key += `,${place}`;
      if (place !== NONE) asked.add(place);
    }
    for (const place of asked) {
      const connector = policy.connectors[place];
      if (connector !== undefined) key += await connectKind(connector, ip);
    }
  }
  return key;
}

export const NONE = -1;

/** The place of the connector that answers at a door. */
export function connectorAt({ policy }: Compared, { ip, localIp, localPort }: Door): number {
  const ends = { clientAddress: formatIp(ip), localAddress: formatIp(localIp), localPort };
  const choice = policy.choiceFor(ends);
  return choice === null ? NONE : policy.connectors.indexOf(choice.connector);
}

/** Refused, taken, or it depends on the name, and what it is without one. */
async function connectKind(connector: Connector, ip: Ip): Promise<string> {
  const refusal = connector.refusal(formatIp(ip));
  if (!(refusal instanceof Promise)) return refusal === null ? 'y' : 'n';
  return (await refusal) === null ? 'ay' : 'an';
}
