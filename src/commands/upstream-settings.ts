// How the servers are spoken to, as the configuration says it: what run and check --live share.

import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { beside } from '../config/beside.ts';
import type { Config } from '../config/schema.ts';
import { UpstreamTls } from '../proxy/upstream-tls.ts';

/** TLS towards the servers; null = none. `file`: the configuration, beside which the CA stands. */
export function upstreamTls(config: Config, file: string | null): UpstreamTls | null {
  const { mode, min_version, ca, verify, pin, name } = config.upstream.tls;
  if (mode === 'none') return null;
  return new UpstreamTls({
    mode,
    minVersion: min_version,
    ca: ca === undefined ? null : readFileSync(beside(file, ca), 'utf8'),
    verify: verify ?? mode !== 'opportunistic',
    pins: pin,
    name: name ?? null,
  });
}

/** Our own name where it is a full one (RFC 5321 §2.3.5), fit for EHLO; else null. */
export function fullHostName(own = hostname()): string | null {
  return /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$/i.test(own) ? own : null;
}
