// What listeners and connectors must agree on: a connector that ends TLS, or asks who a certificate names, needs a
// listener that can. Which listener leads to which connector is seen from bindings alone, so that nothing is called dead
// that is not; behind a balancer any local address may be named.

import type { ConditionsDocument, ConnectorDocument, PolicyDocument } from '../policy/document.ts';
import { formatIp, parseIp } from '../policy/ip.ts';
import { parseEndpoint } from '../policy/lists.ts';
import { isEverything, parseRange } from '../policy/ranges.ts';
import type { Report } from './certificates.ts';
import type { Config } from './schema.ts';

type Listener = Config['listeners'][number];

/** `report`: paths into the configuration, and into the policy. */
export function lintReach(
  listeners: readonly Listener[],
  { connectors }: PolicyDocument,
  report: { readonly listener: Report; readonly connector: Report },
): void {
  for (const [i, connector] of connectors.entries()) {
    const leading = listeners.filter((listener) => leadsTo(listener, connector));
    if (leading.length === 0) {
      const where = listeners.map(nameOf).join(', ');
      report.connector(
        'warning',
        ['connectors', i, 'bindings'],
        `'${connector.name}' answers nobody: no listener is there, only at ${where}, and clients of those get another connector`,
      );
      continue;
    }
    lintTermination(connector, i, leading, report.connector);
    if (leading.every(({ client_ca }) => client_ca === undefined)) lintSubjects(connector, i, report.connector);
  }
  for (const [i, listener] of listeners.entries()) {
    const shows = connectors.some((connector) => connector.starttls === 'terminate' && leadsTo(listener, connector));
    if (listener.certificates.length > 0 && !listener.implicit_tls && !shows)
      report.listener(
        'warning',
        ['listeners', i, 'certificates'],
        'nobody is shown them: no connector of this listener says starttls: terminate, and implicit_tls is false',
      );
  }
}

/** Once for all connectors that serve everybody in clear text and do not say that this is meant. `listeners` is null where a
 * policy is read by itself, `written` is the policy as it stands in the file. */
export function lintClearText(
  listeners: readonly Listener[] | null,
  { connectors }: PolicyDocument,
  written: unknown,
  report: Report,
): void {
  const { connectors: blocks = [] } = written as { connectors?: readonly { starttls?: unknown }[] };
  const inClear = connectors.filter((connector, i) => {
    if (blocks[i]?.starttls !== undefined || !connector.remote_ip_ranges.some(holdsEverything)) return false;
    const leading = listeners?.filter((listener) => leadsTo(listener, connector)) ?? [];
    // Of certificates that nobody is shown lintReach has said it already.
    return (
      leading.length === 0 ||
      leading.some(({ certificates, implicit_tls }) => !implicit_tls && certificates.length === 0)
    );
  });
  const [first, ...others] = inClear;
  if (first === undefined) return;
  const more =
    others.length === 0
      ? ''
      : ` (and so ${others.length === 1 ? 'does' : 'do'} ${others.map(({ name }) => `'${name}'`).join(', ')})`;
  report(
    'warning',
    ['connectors', connectors.indexOf(first), 'starttls'],
    `connector '${first.name}' serves every address without STARTTLS${more}: partners that demand TLS will not deliver, and passwords cross the network in clear; terminate offers it, with a certificate at the listener, and starttls: hide says that this is meant`,
  );
}

export function holdsEverything(text: string): boolean {
  return parseRange(text).ranges.some(isEverything);
}

function lintTermination({ name, starttls }: ConnectorDocument, i: number, leading: Listener[], report: Report): void {
  const unable = leading.filter(({ certificates, implicit_tls }) => certificates.length === 0 && !implicit_tls);
  if (starttls !== 'terminate' || unable.length === 0) return;
  const where = unable.map(nameOf).join(', ');
  if (leading.every((listener) => unable.includes(listener)))
    report(
      'error',
      ['connectors', i, 'starttls'],
      `terminate needs a certificate: certificates are wanted at the listener of ${where}`,
    );
  else
    report(
      'warning',
      ['connectors', i, 'starttls'],
      `clients of '${name}' that come to ${where} are not offered STARTTLS: that listener has no certificates`,
    );
}

function lintSubjects({ rules }: ConnectorDocument, i: number, report: Report): void {
  for (const [j, { name, allow, deny }] of rules.entries()) {
    if (asksForSubject(allow ?? deny))
      report(
        'warning',
        ['connectors', i, 'rules', j, allow === undefined ? 'deny' : 'allow'],
        `${name === undefined ? `rule ${j + 1}` : `rule '${name}'`} asks for tls_subject, and nobody is asked for a certificate: client_ca is wanted at the listener`,
      );
  }
}

function asksForSubject(conditions: ConditionsDocument | undefined): boolean {
  return conditions !== undefined && (conditions.tls_subject !== undefined || asksForSubject(conditions.not));
}

function leadsTo({ bind, proxy_protocol }: Listener, { bindings }: ConnectorDocument): boolean {
  if (bindings.length === 0 || proxy_protocol !== undefined) return true;
  return bindings.some((text) => {
    const binding = parseEndpoint(text);
    if (typeof binding === 'string') return false;
    return bind.some(({ address, port }) => {
      const ip = parseIp(address);
      const every = ip === null || ip === 0 || ip === 0n; // a wildcard, or a name
      return (
        (every || binding.ip === null || binding.ip === ip) &&
        (port === 0 || binding.port === null || binding.port === port)
      );
    });
  });
}

function nameOf({ bind }: Listener): string {
  return bind
    .map(({ address, port }) => {
      const ip = parseIp(address);
      const text = ip === null ? address : formatIp(ip);
      return text.includes(':') ? `[${text}]:${port}` : `${text}:${port}`;
    })
    .join(', ');
}
