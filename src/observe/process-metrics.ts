// The metrics of the process itself: the event loop's delay, processor time, memory, start.

import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Counter, Gauge, type Registry } from 'prom-client';

const LOOP_DELAY_RESOLUTION_MS = 20;

/** The event loop's delay, and of prom-client's default metrics the three that every Prometheus dashboard expects: the
 * others watch garbage collection and handles, which costs on the hot path. */
export function registerProcess(registers: Registry[]): void {
  const loopDelay = monitorEventLoopDelay({ resolution: LOOP_DELAY_RESOLUTION_MS });
  loopDelay.enable();
  new Gauge({
    name: 'postern_event_loop_delay_seconds',
    help: 'Delay of the event loop since it was last asked for; of several workers, the longest.',
    labelNames: ['quantile'],
    aggregator: 'max',
    registers,
    collect() {
      for (const quantile of [0.5, 0.99, 1]) {
        // The timer's own period is part of what Node measures.
        const late = loopDelay.percentile(quantile * 100) / 1e9 - LOOP_DELAY_RESOLUTION_MS / 1e3;
        this.set({ quantile: String(quantile) }, Math.max(0, late));
      }
      loopDelay.reset();
    },
  });
  new Counter({
    name: 'process_cpu_seconds_total',
    help: 'User and system CPU time of the process.',
    aggregator: 'first',
    registers,
    collect() {
      const { user, system } = process.cpuUsage();
      this.reset();
      this.inc((user + system) / 1e6);
    },
  });
  new Gauge({
    name: 'process_resident_memory_bytes',
    help: 'Resident memory of the process.',
    aggregator: 'first',
    registers,
    collect() {
      this.set(process.memoryUsage.rss());
    },
  });
  new Gauge({
    name: 'process_start_time_seconds',
    help: 'Start of the process since the Unix epoch.',
    aggregator: 'first',
    registers,
  }).set(Math.round(Date.now() / 1e3 - process.uptime()));
}
