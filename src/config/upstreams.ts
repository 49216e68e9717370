// The servers behind as the configuration names them: `upstream`, which connectors call default, and those of `upstreams`.

import type { Path } from '../policy/problem.ts';
import type { Config } from './schema.ts';

export const DEFAULT_UPSTREAM = 'default';

export type UpstreamConfig = Config['upstream'];

export interface NamedUpstream {
  readonly name: string;
  /** Where it stands in the configuration. */
  readonly path: Path;
  readonly upstream: UpstreamConfig;
}

/** `upstream` where there is none of that name, which is an error anyway. */
export function upstreamCalled(
  name: string,
  { upstream, upstreams }: Pick<Config, 'upstream' | 'upstreams'>,
): UpstreamConfig {
  return (Object.hasOwn(upstreams, name) ? upstreams[name] : undefined) ?? upstream;
}

/** All of them, that of `upstream` first. */
export function upstreamsOf({ upstream, upstreams }: Pick<Config, 'upstream' | 'upstreams'>): NamedUpstream[] {
  const others = Object.entries(upstreams).map(([name, one]) => ({ name, path: ['upstreams', name], upstream: one }));
  return [{ name: DEFAULT_UPSTREAM, path: ['upstream'], upstream }, ...others];
}
