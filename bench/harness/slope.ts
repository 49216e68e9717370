// What one unit more costs: the slope between N and 5 N, so that starts, first calls and compilers do not count.

import { cpuMs, userMs } from './processes.ts';
import type { Running } from './proxies.ts';

export const TIMES = 5;

export interface Cost {
  /** µs of the proxy's CPU for a unit. */
  readonly cpu: number;
  /** Of that what was not the system's. */
  readonly user: number;
  /** µs of wall for a unit, with the source and the sink on the same machine. */
  readonly wall: number;
}

/** `send` has the proxy carry so many units, and resolves when it has. */
export async function slope(proxy: Running, units: number, send: (units: number) => Promise<void>): Promise<Cost> {
  const spend = async (count: number): Promise<Cost> => {
    const [cpu, user, wall] = [cpuMs(proxy.pid), userMs(proxy.pid), performance.now()];
    await send(count);
    return { cpu: cpuMs(proxy.pid) - cpu, user: userMs(proxy.pid) - user, wall: performance.now() - wall };
  };
  const few = await spend(units);
  const many = await spend(TIMES * units);
  const more = (TIMES - 1) * units;
  const each = (what: keyof Cost): number => ((many[what] - few[what]) * 1000) / more;
  return { cpu: each('cpu'), user: each('user'), wall: each('wall') };
}
