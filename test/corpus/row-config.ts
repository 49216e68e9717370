// A row's few settings as a config of the product, by the keys of the contract.
//
// Everything a row does not name keeps its default. Two of a row's keys have no counterpart, on purpose: `max_data_line`
// (mail data has no line limit: SM-30 then tests the default) and `bare_cr` (no option lets a bare CR stand beside a
// lone dot). The tests run on loopback, which the product never trusts as a source unless it is told to: hence
// `lost_address_guard: warn`.

import { serverPair } from '../helpers/certificates.ts';
import { REFUSING_PORT } from '../helpers/upstream-stand-in.ts';
import type { Row } from './rows.ts';

/** How long the upstream's greeting is awaited where it never comes. */
const NO_GREETING = '500ms';

/** How clients come: in clear text, with TLS before all else, or in clear text where STARTTLS would be ended here. */
export type Way = 'clear' | 'implicit' | 'terminate';

/** JSON is YAML. `upstreamPort`: where the stand-in of this row listens on 127.0.0.1. */
export function configOf(row: Row, upstreamPort: number, way: Way = 'clear'): Record<string, unknown> {
  const { config, backend } = row;
  const proxied = config.proxy_protocol ? config.trusted_proxies : row.source_ip && ['127.0.0.1/32'];
  return {
    listeners: [
      {
        bind: ['127.0.0.1:0'],
        ...(proxied && { proxy_protocol: { from: proxied } }),
        ...(way !== 'clear' && { certificates: [{ cert: serverPair().certFile, key: serverPair().keyFile }] }),
        implicit_tls: way === 'implicit',
      },
    ],
    upstream: { servers: [`127.0.0.1:${backend?.refuse ? REFUSING_PORT : upstreamPort}`] },
    policy: {
      version: 1,
      accepted_domains: config.accepted_domains.map((domain) => (domain.startsWith('.') ? `*${domain}` : domain)),
      ...(config.accepted_literals && { accepted_literals: config.accepted_literals }),
      connectors: [{ ...connectorOf(row), ...(way === 'terminate' && { starttls: 'terminate' }) }],
    },
    lost_address_guard: 'warn',
    limits: {
      session: given({
        errors: config.max_errors,
        junk_commands: config.max_junk_commands,
        recipients_per_message: config.max_rcpt,
        auth_failures: config.max_auth_failures,
        command_line: config.max_command_line,
      }),
      source: given({ connections: config.max_conn_per_source }),
    },
    timeouts: given({
      client_idle: milliseconds(config.idle_timeout_ms),
      command: milliseconds(config.command_deadline_ms ?? config.idle_timeout_ms),
      data_idle: milliseconds(config.data_deadline_ms),
      min_data_rate: config.min_data_rate,
      proxy_header: milliseconds(config.proxy_header_timeout_ms),
      upstream_greeting: backend?.greeting === '' ? NO_GREETING : undefined,
    }),
    admin: null,
  };
}

function connectorOf(row: Row): Record<string, unknown> {
  const { relay_allow, relay_deny, auth_may_relay, bare_lf } = row.config;
  const rules: Array<Record<string, unknown>> = [];
  if (relay_deny) rules.push({ name: 'denied', deny: { sources: relay_deny } });
  if (relay_allow) rules.push({ name: 'allowed', allow: { sources: relay_allow } });
  if (auth_may_relay) rules.push({ name: 'logged-in', allow: { authenticated: true } });
  return {
    name: 'internet',
    remote_ip_ranges: ['any'],
    rules,
    ...(bare_lf && { bare_lf }),
    ...(relay_allow?.some((range) => range.endsWith('/0')) && { i_know_this_is_open: true }),
  };
}

function given(values: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));
}

function milliseconds(value: number | undefined): string | undefined {
  return value === undefined ? undefined : `${value}ms`;
}
