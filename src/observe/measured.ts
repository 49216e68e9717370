// What the metrics of a thread say at one moment, as plain data, and how those of several threads become one answer.
//
// prom-client does the arithmetic: each metric names its own (`aggregator`). Invariant: what only grows never falls, or
// Prometheus would take the rest for a new start and count it twice; so of a thread that is gone, or does not answer, the
// counters stay in the sum as they last were, and its gauges go.

import { AggregatorRegistry } from 'prom-client';

/** One metric; as prom-client's own JSON. */
export interface Measured {
  readonly name: string;
  readonly help: string;
  readonly type: string | number;
  readonly aggregator: string;
  readonly values: readonly {
    readonly value: number;
    readonly labels: Readonly<Record<string, string | number | undefined>>;
    /** Where a metric has several, as a histogram. */
    readonly metricName?: string;
  }[];
}

/** What is left of a thread that is gone. */
export function countersOf(measured: readonly Measured[]): Measured[] {
  return measured.filter(({ type }) => type === 'counter' || type === 'histogram');
}

/** The sum of several threads; where a metric takes the `first`, the main thread's own. */
export function sumOf(threads: readonly (readonly Measured[])[]): Promise<Measured[]> {
  return AggregatorRegistry.aggregate(threads as object[]).getMetricsAsJSON() as Promise<unknown> as Promise<
    Measured[]
  >;
}

/** The Prometheus exposition text of several threads as one. */
export function formatMeasured(threads: readonly (readonly Measured[])[]): Promise<string> {
  return AggregatorRegistry.aggregate(threads as object[]).metrics();
}
