// How much of the source a run reached, by V8's own counters: blocks of src/ that were executed at least once.

import { Session } from 'node:inspector/promises';

export class Coverage {
  readonly #session = new Session();

  static async start(): Promise<Coverage> {
    const coverage = new Coverage();
    coverage.#session.connect();
    await coverage.#session.post('Profiler.enable');
    await coverage.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
    return coverage;
  }

  /** A line for each room. */
  async stop(): Promise<string> {
    const { result } = await this.#session.post('Profiler.takePreciseCoverage');
    this.#session.disconnect();
    const rooms = new Map<string, { all: number; reached: number }>();
    for (const { url, functions } of result) {
      const room = /\/src\/([a-z-]+)\/[^/]+\.ts$/.exec(url)?.[1];
      if (room === undefined) continue;
      const sum = rooms.get(room) ?? { all: 0, reached: 0 };
      for (const { count } of functions.flatMap(({ ranges }) => ranges)) {
        sum.all++;
        if (count > 0) sum.reached++;
      }
      rooms.set(room, sum);
    }
    return [...rooms]
      .map(([room, { all, reached }]) => `${room}: ${reached} of ${all} blocks that were loaded`)
      .join('\n');
  }
}
