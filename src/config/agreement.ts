// What a configuration says that its shape does not show: addresses bound twice, keys without effect, files that are not
// there or empty, limits that make no sense together.
//
// Files are read through the loader, which remembers their texts. Certificates have a file of their own (certificates.ts),
// what listeners and connectors must agree on too (reach.ts).

import { isIP } from 'node:net';
import { changedLimits } from '../policy/document.ts';
import { isIpv4 } from '../policy/ip.ts';
import { lintBlock } from '../policy/lint-limits.ts';
import { formatPath, type Path } from '../policy/problem.ts';
import { extent, hullOf, parseRange, type Span } from '../policy/ranges.ts';
import { isWide, publicPart, union } from '../policy/spans.ts';
import { atOnce } from '../policy/steps.ts';
import { beside } from './beside.ts';
import { whyNoAuthority } from './certificates.ts';
import type { Finding } from './finding.ts';
import { canSharePorts, type Host } from './host.ts';
import { duration, type Endpoint, whyNoUpstreamName } from './kinds.ts';
import { isThisHost, lintSameHost } from './same-host.ts';
import type { Config } from './schema.ts';
import type { PlaceOf } from './shape.ts';
import type { ReadText } from './source.ts';
import { checkUpstreamTls } from './upstream-tls.ts';
import { DEFAULT_UPSTREAM, type NamedUpstream, upstreamsOf } from './upstreams.ts';

type Add = (severity: Finding['severity'], path: Path, message: string) => void;

/** `file` null: flags alone. */
export function checkAgreement(
  config: Config,
  file: string | null,
  place: PlaceOf,
  host: Host,
  read: (path: string) => ReadText,
): Finding[] {
  const findings: Finding[] = [];
  const add: Add = (severity, path, message) => {
    findings.push({ ...place(path), severity, key: formatPath(path), message });
  };
  checkProxies(config.listeners, add);
  checkBindings(config, add);
  for (const one of upstreamsOf(config)) findings.push(...checkUpstreamTls(one, file, place, read));
  if (config.mode === 'observe')
    add('warning', ['mode'], 'observe: what policy and limits would refuse is only logged, the relay is not protected');
  lintBlock(changedLimits(config.limits), config.limits, ['limits'], {
    error: (path, message) => add('error', path, message),
    warn: (path, message) => add('warning', path, message),
  });
  if (config.workers !== 'auto' && config.workers > 1 && !canSharePorts())
    add('error', ['workers'], 'threads cannot share a port on this system (Windows, macOS): 1 is right, or auto');
  checkUpstreams(config, host, add);
  checkTimeouts(config.timeouts, add);
  const { admin, state_password_file: password, state_ca: ca } = config;
  const secrets: readonly (readonly [Path, string | undefined, string, RegExp])[] = [
    [['admin', 'token_file'], admin?.token_file, 'a token', /\s/],
    [['state_password_file'], password, 'a password', /[\r\n]/],
  ];
  for (const [path, name, what, never] of secrets) {
    if (name === undefined) continue;
    const content = read(beside(file, name));
    if ('problem' in content) add('error', path, content.problem);
    else if (content.text.trim() === '') add('error', path, `${name} is empty: ${what} is wanted in it`);
    else if (never.test(content.text.trim()))
      add('error', path, `${name} holds more than that: ${what} is wanted alone, on one line`);
  }
  const problem = ca === undefined ? null : whyNoAuthority(read(beside(file, ca)), ca);
  if (problem !== null) add('error', ['state_ca'], problem);
  checkState(config, add);
  return findings;
}

/** Who may claim any address in a PROXY header. A service in front of us may have large networks, but none has more of the
 * Internet in a row than a /8 or, of IPv6, a /16. */
function checkProxies(listeners: Config['listeners'], add: Add): void {
  for (const [i, { proxy_protocol }] of listeners.entries()) {
    const from = proxy_protocol?.from ?? [];
    const path = ['listeners', i, 'proxy_protocol', 'from'];
    for (const [j, text] of from.entries()) {
      const { error, warning } = parseRange(text);
      if (error !== undefined) add('error', [...path, j], error);
      if (warning !== undefined) add('warning', [...path, j], warning);
    }
    if (proxy_protocol !== undefined && from.length === 0)
      add('error', path, 'without a proxy nobody may connect: name the proxies');
    const wide = publicSpans(from).filter(isWide);
    if (wide.length === 0) continue;
    const tooWide = wide.some(isWorld) ? isWorld : isWide;
    const place = from.findIndex((text) => publicSpans([text]).some(tooWide));
    const [at, who] = place === -1 ? [path, 'together'] : [[...path, place], from[place]];
    if (tooWide === isWorld) add('error', at, `${who}: everyone could claim any address; name the proxies`);
    else add('warning', at, `${who}: whoever has an address there could claim any address; name the proxies alone`);
  }
}

/** What of the Internet these ranges hold. */
function publicSpans(texts: readonly string[]): Span[] {
  return atOnce(publicPart(union(texts.flatMap((text) => parseRange(text).ranges.map(hullOf)))));
}

function isWorld(span: Span): boolean {
  return extent(span) >= (isIpv4(span.lo) ? 2 ** 24 : 2n ** 112n);
}

/** One port is bound once, and a wildcard binds it at every address of its family. */
function checkBindings({ listeners, admin }: Config, add: Add): void {
  const bound: Endpoint[] = [];
  const bind = (path: Path, endpoint: Endpoint): void => {
    const { address, port } = endpoint;
    const rival = bound.find((other) => port !== 0 && port === other.port && isSamePlace(address, other.address));
    bound.push(endpoint);
    if (rival === undefined) return;
    const how = rival.address === address ? 'bound already' : `bound already, by ${rival.address}`;
    add('error', path, `${address} port ${port} is ${how}: take one of them out`);
  };
  for (const [i, listener] of listeners.entries())
    for (const [j, endpoint] of listener.bind.entries()) bind(['listeners', i, 'bind', j], endpoint);
  if (admin !== null) bind(['admin', 'listen'], admin.listen);
}

function isWildcard(address: string): boolean {
  return address === '0.0.0.0' || address === '::';
}

function isSamePlace(one: string, other: string): boolean {
  if (one === other) return true;
  return isIP(one) === isIP(other) && (isWildcard(one) || isWildcard(other));
}

function checkUpstreams(config: Config, host: Host, add: Add): void {
  for (const name of Object.keys(config.upstreams)) {
    const path = ['upstreams', name];
    if (name === DEFAULT_UPSTREAM)
      add('error', path, "default is the name of what stands in upstream: give these another one, as 'relay'");
    const wrong = whyNoUpstreamName(name);
    if (wrong !== null) add('error', path, wrong);
  }
  const all = upstreamsOf(config);
  for (const [i, one] of all.entries()) checkServers(one, all.slice(0, i), config, host, add);
}

/** A server that is Postern itself would be called by itself for ever; one that stands there twice helps nobody. */
function checkServers(
  named: NamedUpstream,
  before: readonly NamedUpstream[],
  { listeners }: Config,
  host: Host,
  add: Add,
): void {
  const { servers } = named.upstream;
  const isOurs = (address: string): boolean => isThisHost(address, host);
  const loops = new Set<number>();
  for (const [i, server] of servers.entries()) {
    const { address, port } = server;
    const path = [...named.path, 'servers', i];
    const reaches = (bound: string): boolean =>
      bound === address ||
      (isWildcard(bound) && isOurs(address) && (isIP(address) === 0 || isSamePlace(bound, address)));
    if (listeners.some(({ bind }) => bind.some((bound) => bound.port === port && reaches(bound.address)))) loops.add(i);
    if (loops.has(i))
      add('error', path, `${address} port ${port} is where Postern itself listens: the mail server behind is wanted`);
    const isSame = (other: Endpoint): boolean => other.address === address && other.port === port;
    if (servers.findIndex(isSame) < i)
      add('warning', path, `${address} port ${port} stands there twice: take one of them out`);
    const other = before.find(({ upstream }) => upstream.servers.some(isSame));
    if (other !== undefined)
      add(
        'note',
        path,
        `${address} port ${port} stands in ${formatPath(other.path)} as well: one server, that counts the places of both`,
      );
  }
  lintSameHost(
    named,
    host,
    (i) => loops.has(i),
    (path, message) => add('warning', path, message),
  );
}

// RFC 5321 §4.5.3.2: whoever gives up sooner gives up on others who are within their rights.
const LEAST = {
  client_idle: '5m',
  data_idle: '3m',
  upstream_greeting: '5m',
  upstream_reply: '5m',
  upstream_data: '2m',
  upstream_final: '10m',
} as const;

function checkTimeouts(timeouts: Config['timeouts'], add: Add): void {
  for (const [key, least] of Object.entries(LEAST)) {
    if (timeouts[key as keyof typeof LEAST] >= duration.parse(least)) continue;
    const path = ['timeouts', key];
    if (key === 'upstream_final')
      add(
        'warning',
        path,
        `less than ${least}, within which a server may still answer: the client then sends it twice`,
      );
    else add('note', path, `less than the ${least} that RFC 5321 gives`);
  }
}

function checkState({ state, state_password_file: password, state_ca: ca }: Config, add: Add): void {
  if (password !== undefined && state === 'memory')
    add('warning', ['state_password_file'], 'state is memory, which asks nobody for a password');
  if (ca !== undefined && !(state !== 'memory' && state.tls))
    add('warning', ['state_ca'], 'state has no TLS, so no certificate is looked at: rediss:// is wanted for it');
}
