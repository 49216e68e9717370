// The process of host.ts as its parent sees it: orders and what was seen, and the wait until nothing of a session is left.

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Order, Seen } from './host.ts';

const IDLE_WITHIN = 8_000; // ms: a lingering close takes 5 s

export class Host {
  readonly #child: ChildProcess;
  readonly #ended: Promise<never>;

  constructor() {
    this.#child = fork(join(import.meta.dirname, 'host.ts'), [], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    process.once('exit', this.#kill);
    this.#ended = once(this.#child, 'exit').then(([code, signal]) => {
      throw new Error(`the process of the product ended (${code ?? signal})`);
    });
    this.#ended.catch(() => {});
  }

  readonly #kill = (): void => void this.#child.kill('SIGKILL');

  async ask(order: Order): Promise<Seen> {
    const answer = once(this.#child, 'message') as Promise<[Seen]>;
    this.#child.send(order);
    const [seen] = await Promise.race([answer, this.#ended]);
    if (seen.error !== undefined) throw new Error(seen.error);
    return seen;
  }

  /** Waits until there is no more than at `rest`; what there is then. */
  async idle(rest: Seen['resources'] | null): Promise<{ readonly seen: Seen; readonly left: string | null }> {
    const defects: string[] = [];
    const until = performance.now() + IDLE_WITHIN;
    for (;;) {
      const seen = await this.ask({ do: 'look' });
      defects.push(...seen.defects);
      const more = Object.entries(seen.resources).filter(([kind, count]) => rest !== null && count > (rest[kind] ?? 0));
      const isIdle = more.length === 0 && seen.sessions === 0;
      if (!isIdle && performance.now() < until) {
        await delay(5);
        continue;
      }
      const kinds = more.map(([kind, count]) => `${count} ${kind} and not ${rest?.[kind] ?? 0}`);
      const left = isIdle ? null : [`${seen.sessions} sessions`, ...kinds].join(', ');
      return { seen: { ...seen, defects }, left };
    }
  }

  async end(): Promise<void> {
    process.off('exit', this.#kill);
    this.#child.disconnect();
    await this.#ended.catch(() => {});
  }
}
