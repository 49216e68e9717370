// How the servers are spoken to, as the configuration says it: what run and check --live share.

import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { beside } from '../config/beside.ts';
import type { World } from '../config/load.ts';
import type { Config } from '../config/schema.ts';
import { UpstreamTls } from '../proxy/upstream-tls.ts';

/** TLS towards the servers; null = none. `file`: the configuration, beside which the CA stands. `texts`: what was read. */
export function upstreamTls(config: Config, file: string | null, texts?: World['texts']): UpstreamTls | null {
  const { mode, min_version, ca, verify, pin, name } = config.upstream.tls;
  if (mode === 'none') return null;
  return new UpstreamTls({
    mode,
    minVersion: min_version,
    ca: ca === undefined ? null : textOf(beside(file, ca), texts),
    verify: verify ?? mode !== 'opportunistic',
    pins: pin,
    name: name ?? null,
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
