// What connectors and upstreams must agree on: the names, and which doors lead to one server.
//
// A server that relays for Postern's address does so for every client of Postern, since it sees no other. Where the world
// comes to the same server as those who may relay, its own relay check, the second lock, is off for the world too. That it
// relays is a conclusion here: a rule that lets somebody relay without a login is in vain with a server that does not.

import type { ConnectorDocument, PolicyDocument } from '../policy/document.ts';
import type { Report } from './certificates.ts';
import type { Endpoint } from './kinds.ts';
import { holdsEverything } from './reach.ts';
import { ASK_IT, seesUs } from './same-host.ts';
import type { Config } from './schema.ts';
import { nearest } from './suggest.ts';
import { upstreamCalled, upstreamsOf } from './upstreams.ts';

/** `report`: paths into the configuration, and into the policy. */
export function lintUpstreams(
  config: Config,
  { connectors }: PolicyDocument,
  report: { readonly config: Report; readonly connector: Report },
): void {
  const names = upstreamsOf(config).map(({ name }) => name);
  for (const [i, { upstream }] of connectors.entries()) {
    if (names.includes(upstream)) continue;
    const meant = nearest(upstream, names);
    const right =
      meant !== null
        ? `did you mean '${meant}'?`
        : names.length > 1
          ? `${names.join(', ')} are there`
          : 'servers of that name are wanted under upstreams, in the configuration';
    report.connector('error', ['connectors', i, 'upstream'], `no upstream '${upstream}': ${right}`);
  }
  for (const name of names.slice(1))
    if (!connectors.some(({ upstream }) => upstream === name))
      report.config('warning', ['upstreams', name], `no connector goes there: upstream: ${name} is wanted in one`);
  lintSharing(config, connectors, report.connector);
}

/** Once: for the first server that the world and somebody who relays have in common. */
function lintSharing(config: Config, connectors: readonly ConnectorDocument[], report: Report): void {
  for (const [i, relaying] of connectors.entries()) {
    if (!relaysUnnamed(relaying)) continue;
    const isRival = (one: ConnectorDocument): boolean => one !== relaying && isOpen(one);
    const open = connectors.find((one) => isRival(one) && sharedServer(config, one, relaying) !== null);
    if (open === undefined) continue;
    const { address, port } = sharedServer(config, open, relaying) as Endpoint;
    report(
      'warning',
      ['connectors', i, 'upstream'],
      `'${relaying.name}' relays without a login, so ${address} port ${port} must relay for Postern, and '${open.name}', open to any, goes there too: this policy alone keeps it closed; give '${relaying.name}' an upstream of its own, another way into the server, and let this one relay for nobody; ${ASK_IT}`,
    );
    return;
  }
}

export function isOpen({ remote_ip_ranges }: ConnectorDocument): boolean {
  return remote_ip_ranges.some(holdsEverything);
}

/** Somebody may relay whom the server behind does not know by a login. */
export function relaysUnnamed({ submit, rules }: ConnectorDocument): boolean {
  return (
    submit === 'anyone' &&
    rules.some(
      ({ allow }) =>
        allow !== undefined && allow.authenticated !== true && allow.users === undefined && allow.groups === undefined,
    )
  );
}

/** A server of both that takes every client for Postern. */
function sharedServer(config: Config, one: ConnectorDocument, other: ConnectorDocument): Endpoint | null {
  const [theirs, others] = [upstreamCalled(one.upstream, config), upstreamCalled(other.upstream, config)];
  if (!seesUs(theirs) || !seesUs(others)) return null;
  const found = theirs.servers.find(({ address, port }) =>
    others.servers.some((server) => server.address === address && server.port === port),
  );
  return found ?? null;
}
