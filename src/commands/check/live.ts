// postern check --live: what the servers behind would do for whoever reaches them past the firewall.
//
// Each server is asked directly, from this machine and without the rules, as `probe` asks: every classic form, and a login
// with a made-up name; never DATA. TLS and PROXY header as configured, but no client is named: what is found is what the
// address of this machine may do. An open server behind the firewall is what the firewall is for, so that is a warning;
// a server that believes any login is an error where the policy lets logins relay, for then the way leads through us.

import type { Finding } from '../../config/finding.ts';
import { type Host, thisHost } from '../../config/host.ts';
import { DISTRUST_US, isThisHost, seesUs } from '../../config/same-host.ts';
import type { Config } from '../../config/schema.ts';
import { isOpen, relaysUnnamed } from '../../config/upstream-names.ts';
import { type NamedUpstream, type UpstreamConfig, upstreamsOf } from '../../config/upstreams.ts';
import type { ConnectorDocument, PolicyDocument } from '../../policy/document.ts';
import { formatPath } from '../../policy/problem.ts';
import { type Endpoint, formatEndpoint } from '../../proxy/address.ts';
import { Call, type CallSettings } from '../../proxy/call.ts';
import { fullHostName, upstreamTls } from '../../serve/upstream-settings.ts';
import type { Destination } from '../probe/dialogue.ts';
import { type Examination, examine, type ProbeOptions } from '../probe/examine.ts';
import { senderPath } from '../probe/forms.ts';
import { formatReply, showPath } from '../probe/report.ts';
import { type Verdict, verdictOf } from '../probe/verdict.ts';

export type Times = Partial<Pick<ProbeOptions, 'pace' | 'patience' | 'wait'>>;

const PACE = 100; // ms before each question

/** Asks every server; a finding or more for each. `asking` is told of each before. */
export async function checkLive(
  file: string,
  config: Config,
  policy: PolicyDocument,
  asking: (server: string) => void,
  times: Times = {},
): Promise<Finding[]> {
  const { upstream_connect, upstream_greeting } = config.timeouts;
  const calls = { connectWithin: upstream_connect, greetWithin: upstream_greeting, ourName: fullHostName() };
  const host = thisHost();
  const findings: Finding[] = [];
  const all = upstreamsOf(config);
  for (const one of all) {
    const { name: called, path, upstream } = one;
    const { identity, servers } = upstream;
    const settings: CallSettings = { ...calls, tls: upstreamTls(one, file), identity, asSocket: true };
    for (const [i, server] of servers.entries()) {
      const name = formatEndpoint(server);
      asking(called === 'default' ? name : `${name} (upstream ${called})`);
      const to = { host: server.address, port: server.port, source: null, reach: () => reach(server, settings) };
      const examination = await examine({ to, domain: ownDomain(policy), pace: PACE, ...times });
      const users = policy.connectors.filter((connector) => goesTo(connector, server, all));
      const said =
        typeof examination === 'string'
          ? [{ severity: 'error', message: `${name} cannot be asked: ${examination}` } as const]
          : [
              relaying(name, examination, wants(users, upstream)),
              ...unpacking(name, examination),
              ...trusting(upstream, server, examination, host),
              ...login(name, examination, logsInToRelay(users)),
              ...serving(name, upstream, users, examination),
            ];
      const key = formatPath([...path, 'servers', i]);
      findings.push(...said.map((one) => ({ file, line: 0, column: 0, key, ...one })));
    }
  }
  return findings;
}

/** Whether sessions of this connector may come to a server, by whichever upstream. */
function goesTo(connector: ConnectorDocument, { address, port }: Endpoint, all: readonly NamedUpstream[]): boolean {
  const { upstream } = all.find(({ name }) => name === connector.upstream) ?? {};
  return upstream?.servers.some((other) => other.address === address && other.port === port) === true;
}

/** Nobody comes to it but those for whom it has to relay. */
function wants(users: readonly ConnectorDocument[], upstream: UpstreamConfig): boolean {
  return seesUs(upstream) && users.length > 0 && users.every((one) => relaysUnnamed(one) && !isOpen(one));
}

type Said = Pick<Finding, 'severity' | 'message'>;

function reach(server: Endpoint, settings: CallSettings): ReturnType<NonNullable<Destination['reach']>> {
  return new Promise((resolve) => {
    new Call(server, null, settings, {
      connected: () => {},
      unidentified: () => {},
      answered: ({ stream, greeting }) => {
        if (stream === null) resolve(greeting.toString('latin1').trimEnd());
        else resolve({ socket: stream.toSocket(), heard: greeting });
      },
      silent: () => {},
      failed: ({ why }) => resolve(why),
    });
  });
}

/** A domain that the server receives mail for; null lets it say. */
function ownDomain({ accepted_domains }: PolicyDocument): string | null {
  return accepted_domains[0]?.replace(/^\*\./, '') ?? null;
}

/** Some rule gives a login the right to relay. */
function logsInToRelay(connectors: readonly ConnectorDocument[]): boolean {
  return connectors.some(
    ({ auth, rules }) =>
      auth !== 'hide' &&
      rules.some(({ allow }) => allow?.authenticated || allow?.users !== undefined || allow?.groups !== undefined),
  );
}

const CLOSE_IT = 'close it to all but Postern';

/** `meant`: it is there to relay for us. */
function relaying(name: string, examination: Examination, meant: boolean): Said {
  const verdict = relayVerdict(examination);
  switch (verdict.because) {
    case 'refuses':
      return { severity: 'note', message: `${name} does not relay for this machine` };
    case 'no answer':
      return { severity: 'warning', message: `${name} put our questions off, so whether it relays is not known` };
    case 'hidden only':
      return {
        severity: 'warning',
        message: `${name} takes foreign addresses that hide behind its own domain (${proofOf(verdict, examination)}): whoever reaches that port may relay; ${CLOSE_IT}`,
      };
    default:
      return {
        severity: meant ? 'note' : 'warning',
        message: `${name} relays for this machine (${proofOf(verdict, examination)}): whoever reaches that port from inside sends mail to anybody; ${CLOSE_IT}`,
      };
  }
}

/** A packed address gets past us only where its sender may relay anyway, and to most servers it is a mailbox as any: no relay. */
function relayVerdict({ answers }: Examination): Verdict {
  return verdictOf(
    answers.filter(({ form }) => form.outer !== 'imcea'),
    null,
  );
}

function unpacking(name: string, examination: Examination): Said[] {
  const proof = examination.answers.find(({ form, outcome }) => form.outer === 'imcea' && outcome === 'accepted');
  if (proof === undefined || relayVerdict(examination).verdict === 'open') return [];
  const said = proofOf({ verdict: 'open', because: 'IMCEA only', proof }, examination);
  return [
    {
      severity: 'note',
      message: `${name} takes a foreign address that is packed into a name at its own domain (${said}): a mailbox as any to most servers, but Exchange 5.5 sends it on (MS99-027); if it is one, ${CLOSE_IT}`,
    },
  ];
}

/** What its answer means to those who come to it, where it takes all of them for us. */
function serving(
  name: string,
  upstream: UpstreamConfig,
  users: readonly ConnectorDocument[],
  examination: Examination,
): Said[] {
  if (!seesUs(upstream)) return [];
  const { verdict } = relayVerdict(examination);
  const relay = users.find(relaysUnnamed);
  const open = users.find(isOpen);
  if (verdict === 'closed' && relay !== undefined)
    return [
      {
        severity: 'warning',
        message: `${name} refuses what '${relay.name}' may relay without a login: let it relay for this machine, at best at a port of its own that is an upstream of its own`,
      },
    ];
  if (verdict !== 'open' || open === undefined) return [];
  const others = users.find((one) => one !== open && relaysUnnamed(one));
  return [
    {
      severity: 'warning',
      message: `${name} relays for Postern, and '${open.name}', open to any, goes there: the policy alone keeps it closed; ${others === undefined ? 'let it relay for nobody' : `give '${others.name}' an upstream of its own, and let this one relay for nobody`}`,
    },
  ];
}

/** Of a server on this host, which sees every client as us. */
function trusting(upstream: UpstreamConfig, { address }: Endpoint, examination: Examination, host: Host): Said[] {
  const { verdict } = relayVerdict(examination);
  if (verdict !== 'open' || !seesUs(upstream) || !isThisHost(address, host)) return [];
  return [
    {
      severity: 'warning',
      message: `${address} is this host, so every client of Postern is one of its own to it, and its relay check is off: Postern alone decides; ${DISTRUST_US}`,
    },
  ];
}

function proofOf({ proof }: Verdict, { names }: Examination): string {
  if (proof === null) return '';
  const { sender, form, reply } = proof;
  return `MAIL FROM:${senderPath(sender, names)}, RCPT TO:${showPath(form.path)}: ${formatReply(reply)}`;
}

function login(name: string, { login: tried }: Examination, relays: boolean): Said[] {
  if (tried?.outcome !== 'accepted') return [];
  const believed = `${name} believes any login (AUTH ${tried.mechanism} with a made-up name: ${formatReply(tried.reply)})`;
  const mend = 'turn off its Guest account (KB Q251149)';
  return relays
    ? [
        {
          severity: 'error',
          message: `${believed}, and the policy lets logins relay: whoever makes up a name relays through Postern; ${mend}, or take authenticated, users and groups out of the rules`,
        },
      ]
    : [{ severity: 'warning', message: `${believed}: a login there means nothing; ${mend}` }];
}
