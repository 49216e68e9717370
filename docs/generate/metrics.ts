// docs/metrics.md: every metric, from an observer that has seen nothing yet: every series that can be there is there at 0.

import { createObserver } from '../../src/observe/events.ts';
import type { Measured } from '../../src/observe/measured.ts';
import { ALL_PHASES } from '../../src/proxy/snapshot.ts';
import { code, head, prose, table } from './markdown.ts';

const SERVER = '10.0.0.10:25';
const CONNECTOR = 'internet';
const LISTENER = '0.0.0.0:25';
const CERTIFICATE = 'mx.example.com';

/** What takes the place of values that come from the operator's own files. */
const OPERATORS: Readonly<Record<string, string>> = {
  connector: 'each connector of the policy, by its name',
  rule: 'each rule of the policy that lets pass, by its name; in brackets the reason where none did',
  server: 'each of `upstream.servers`',
  version: 'a digest of the files',
  listener: 'the first address of each listener that has certificates',
  name: 'the first name in each of them',
};

const OF_THE_OPERATOR: ReadonlySet<string> = new Set([SERVER, CONNECTOR, LISTENER, CERTIFICATE, '0']);

export async function everyMetric(): Promise<Measured[]> {
  const observer = createObserver({
    level: 'silent',
    pretty: false,
    mode: 'enforce',
    connectors: [CONNECTOR],
    observing: [CONNECTOR], // so that what only observe can bring is there as well
    servers: [SERVER],
    sink: { write: () => {}, flush: async () => {}, lost: 0 },
  });
  observer.policyLoaded('0');
  observer.countSessions(ALL_PHASES, async () => ({ byPhase: {}, byConnector: {} }));
  observer.shows([{ listener: LISTENER, name: CERTIFICATE, until: 0 }]);
  observer.workers(1, 0); // a metric of several workers
  return observer.measured();
}

function labelsOf({ type, values }: Measured): string {
  const labels = new Map<string, Set<string>>();
  for (const one of values) {
    for (const [name, value] of Object.entries(one.labels)) {
      if (!labels.has(name)) labels.set(name, new Set());
      labels.get(name)?.add(String(value));
    }
  }
  if (type === 'histogram') return `${code('le')}: ${[...(labels.get('le') ?? [])].join(' ')}`;
  return [...labels]
    .map(([name, values]) => {
      const own = [...values].filter((value) => !OF_THE_OPERATOR.has(value));
      const operators = OPERATORS[name];
      return `${code(name)}: ${[...(operators === undefined ? [] : [operators]), ...own.map(code)].join(', ')}`;
    })
    .join('<br>');
}

export async function metricsPage(): Promise<string> {
  const metrics = (await everyMetric()).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  return (
    head(
      'Every metric',
      'the registry (src/observe/metrics.ts and what it puts together)',
      `What \`/metrics\` on the admin port says, for Prometheus. Every label has a closed set of values, which are named here; nothing that
a client sends is ever one. Every series begins at 0. With several workers the numbers are those of all. The three about workers are
there only with ${code('workers')} above 1; the decision ${code('would_reject')} and what belongs to it only on a connector that observes, or once it has happened.`,
    ) +
    table(
      ['metric', 'type', 'labels and their values', 'says'],
      metrics.map((metric) => [code(metric.name), String(metric.type), labelsOf(metric), prose(metric.help)]),
    )
  );
}
