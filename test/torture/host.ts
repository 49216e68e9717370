// The product in a process of its own, opened and closed as it is told by its parent, with faults (faults.ts) under it.
//
// What a call into it answers: what it was asked for, and whatever was thrown and not caught meanwhile.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatFinding } from '../../src/config/finding.ts';
import { loadConfig } from '../../src/config/load.ts';
import { type RunningFirewall, startFirewall } from '../../src/serve/firewall.ts';
import { type Arming, arm, disarm } from './faults.ts';

export type Order =
  | { readonly do: 'open'; readonly config: object }
  | { readonly do: 'arm'; readonly arming: Arming }
  | { readonly do: 'disarm' }
  | { readonly do: 'look' }
  | { readonly do: 'close' };

export interface Seen {
  readonly port: number;
  /** Calls since it was armed. */
  readonly calls: readonly string[];
  /** What keeps the process: sockets, timers, by their kind. */
  readonly resources: Readonly<Record<string, number>>;
  readonly sessions: number;
  /** Lines of the log since it was asked last that tell of a fault of ours; what nobody caught. */
  readonly defects: readonly string[];
  readonly error?: string;
}

let firewall: RunningFirewall | null = null;
let calls: readonly string[] = [];
const defects: string[] = [];
for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
  process.on(event, (error: Error) => defects.push(`${event}: ${error?.stack ?? error}`));
}

async function open(config: object): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'postern-torture-'));
  const file = join(folder, 'postern.yaml');
  writeFileSync(file, JSON.stringify(config));
  const loaded = loadConfig(file);
  rmSync(folder, { recursive: true });
  if (loaded.config === null || loaded.policy === null) {
    throw new Error(loaded.findings.map((finding) => formatFinding(finding)).join('\n'));
  }
  const write = (line: string): void => {
    if (line.includes('"msg":"defect"') || line.includes('"level":"error"')) defects.push(line);
  };
  const sink = { write, flush: async () => {}, lost: 0 };
  firewall = await startFirewall(loaded.config, loaded.policy, { sink, credentials: loaded.credentials });
}

async function obey(order: Order): Promise<void> {
  if (order.do === 'open') await open(order.config);
  if (order.do === 'arm') arm(order.arming);
  if (order.do === 'disarm') calls = disarm();
  if (order.do === 'close') {
    await firewall?.close();
    firewall = null;
  }
}

async function look(): Promise<Seen> {
  const resources: Record<string, number> = {};
  for (const kind of process.getActiveResourcesInfo()) resources[kind] = (resources[kind] ?? 0) + 1;
  const sessions = Number(/^postern_sessions (\d+)/m.exec((await firewall?.observer.metrics()) ?? '')?.[1] ?? 0);
  return { port: firewall?.addresses[0]?.port ?? 0, calls, resources, sessions, defects: defects.splice(0) };
}

process.on('message', async (order: Order) => {
  let error: { error?: string } = {};
  try {
    await obey(order);
  } catch (thrown) {
    error = { error: `${(thrown as Error).stack}` };
  }
  process.send?.({ ...(await look()), ...error });
});
process.channel?.unref();
process.on('disconnect', () => process.exit());
setInterval(() => {}, 1 << 30); // it lives until its parent goes
