// The metrics of the process itself: the event loop's delay, processor time, memory, start.

import { Counter, Gauge, type Registry } from 'prom-client';
import { PlainHistogram } from './histogram.ts';

const LOOK_MS = 20;
const DELAY_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];

let delays: PlainHistogram | null = null;

/** How late the event loop of this thread comes to what is due, looked at 50 times a second. A histogram, so that those of
 * several workers add up; node:perf_hooks measures the same, and its percentiles do not. */
export function eventLoopDelay(): PlainHistogram {
  if (delays !== null) return delays;
  const histogram = new PlainHistogram(
    'postern_event_loop_delay_seconds',
    'How late the event loop comes to what is due, looked at every 20 ms; of all threads that serve clients.',
    DELAY_SECONDS,
  );
  delays = histogram;
  let last = performance.now();
  setInterval(() => {
    const now = performance.now();
    histogram.observe(Math.max(0, now - last - LOOK_MS) / 1e3);
    last = now;
  }, LOOK_MS).unref();
  return histogram;
}

/** Of prom-client's default metrics the three that every Prometheus dashboard expects: the others watch garbage collection
 * and handles, which costs on the hot path. */
export function registerProcess(registers: Registry[]): void {
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
      const octets = residentMemory();
      if (octets === null) this.remove();
      else this.set(octets);
    },
  });
  new Gauge({
    name: 'process_start_time_seconds',
    help: 'Start of the process since the Unix epoch.',
    aggregator: 'first',
    registers,
  }).set(Math.round(Date.now() / 1e3 - process.uptime()));
}

/** Null where it cannot be read: in a chroot or container without /proc. */
function residentMemory(): number | null {
  try {
    return process.memoryUsage.rss();
  } catch {
    return null;
  }
}
