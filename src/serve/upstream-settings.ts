// The servers behind and how they are spoken to, as the configuration says it: what run and check --live share.

import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { beside } from '../config/beside.ts';
import type { World } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { type NamedUpstream, upstreamsOf } from '../config/upstreams.ts';
import { formatPath } from '../policy/problem.ts';
import { formatEndpoint } from '../proxy/address.ts';
import type { SlotSettings } from '../proxy/upstream-slots.ts';
import { UpstreamTls } from '../proxy/upstream-tls.ts';
import type { UpstreamSettings } from '../proxy/upstreams.ts';

/** All upstreams. `file`: the configuration, beside which CAs stand. `texts`: what was read. Throws what OpenSSL does not accept. */
export function upstreamSettings(config: Config, file: string | null, texts?: World['texts']): UpstreamSettings[] {
  return upstreamsOf(config).map((one) => {
    const { name, upstream } = one;
    return { name, servers: upstream.servers, tls: upstreamTls(one, file, texts), identity: upstream.identity };
  });
}

export function slotSettings(config: Config): SlotSettings[] {
  return upstreamsOf(config).map(({ name, upstream: { max_connections, max_wait } }) => {
    return { name, limit: max_connections, patience: max_wait };
  });
}

/** Every server of every upstream, once, as `host:port`. */
export function serversOf(config: Config): string[] {
  return [...new Set(upstreamsOf(config).flatMap(({ upstream }) => upstream.servers.map(formatEndpoint)))];
}

/** TLS towards the servers; null = none. */
export function upstreamTls(
  { path, upstream: { tls } }: NamedUpstream,
  file: string | null,
  texts?: World['texts'],
): UpstreamTls | null {
  const { mode, min_version, ca, verify, pin, name } = tls;
  if (mode === 'none') return null;
  return new UpstreamTls({
    mode,
    minVersion: min_version,
    ca: ca === undefined ? null : textOf(beside(file, ca), texts),
    verify: verify ?? mode !== 'opportunistic',
    pins: pin,
    name: name ?? null,
    key: formatPath([...path, 'tls']),
  });
}

function textOf(path: string, texts: World['texts'] | undefined): string {
  const read = texts?.get(path);
  return read !== undefined && 'octets' in read ? Buffer.from(read.octets).toString() : readFileSync(path, 'utf8');
}

/** Our own name where it is a full one (RFC 5321 §2.3.5), fit for EHLO; else null. */
export function fullHostName(own = hostname()): string | null {
  return /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$/i.test(own) ? own : null;
}
