// What stands between source and sink: nothing, the bare pipe, HAProxy in `mode tcp`, and Postern with everything on.

import { mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, listening, start, stop } from './processes.ts';
import type { Flags } from './report.ts';
import { findTool } from './tools.ts';

const PROXY_NAMES = ['haproxy', 'pipe', 'postern', 'other', 'quiet'] as const;
/** `other`: the Postern of another checkout; `quiet`: this one with another log.messages. */
export type ProxyName = (typeof PROXY_NAMES)[number];

export interface Running {
  readonly name: string;
  readonly port: number;
  readonly pid: number;
  /** Of Postern: its admin port. */
  readonly admin?: number;
  stop(): Promise<void>;
}

const CONNECTIONS = 1024;
const root = join(import.meta.dirname, '../..');

/** smtp-sink with room for `connections`. */
export async function startSink(connections = 512): Promise<Running> {
  const tool = findTool('smtp-sink');
  const port = await freePort();
  // It insists on giving root away.
  const user = process.getuid?.() === 0 ? ['-u', 'nobody'] : [];
  const args = [...user, '-t', '3600', '-m', String(connections), `127.0.0.1:${port}`, '4096'];
  const child = start(tool.path, args, { env: tool.env });
  await listening(port, child);
  return { name: 'smtp-sink', port, pid: child.pid ?? 0, stop: () => stop(child) };
}

/** A sink that no client can keep for itself (fair-sink.ts). */
export async function startFairSink(): Promise<Running> {
  const port = await freePort();
  const child = start(process.execPath, [join(root, 'bench/harness/fair-sink.ts'), String(port)]);
  await listening(port, child);
  return { name: 'fair-sink', port, pid: child.pid ?? 0, stop: () => stop(child) };
}

export interface ProxyOptions {
  readonly connections?: number;
  /** Listens for TLS at once with this certificate; `both` is certificate and key in one file. Not for the pipe. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly both: string };
  /** Worker threads of Postern. */
  readonly workers?: number;
  /** Who says nothing stays for an hour. */
  readonly patient?: boolean;
  /** With a rate for every command, none of which is ever reached. */
  readonly rates?: boolean;
  /** log.messages; its default when left out. */
  readonly messages?: string | undefined;
}

/** Those of --proxy, with --main the other one, and with --messages the quiet one. */
export function chosenProxies(flags: Flags): ProxyName[] {
  return PROXY_NAMES.filter((name) => {
    if (name === 'other') return flags.main !== undefined;
    if (name === 'quiet') return flags.messages !== undefined;
    return flags.proxy.length === 0 || flags.proxy.includes(name);
  });
}

export function startProxy(
  name: ProxyName,
  upstream: number,
  { node, main, messages }: Flags,
  options: ProxyOptions = {},
): Promise<Running> {
  if (name === 'pipe') return startPipe(upstream, node);
  if (name === 'haproxy') return startHaproxy(upstream, options.connections ?? CONNECTIONS, options.tls);
  const program = name === 'other' && main !== undefined ? main : join(root, 'src/main.ts');
  return startPostern(name, [...node, program], upstream, name === 'quiet' ? { ...options, messages } : options);
}

async function startPipe(upstream: number, node: readonly string[]): Promise<Running> {
  const port = await freePort();
  const program = join(root, 'bench/pipe.ts');
  const child = start(process.execPath, [...node, program, String(port), String(upstream)]);
  await listening(port, child);
  return { name: 'pipe', port, pid: child.pid ?? 0, stop: () => stop(child) };
}

async function startHaproxy(upstream: number, connections: number, tls: ProxyOptions['tls']): Promise<Running> {
  const tool = findTool('haproxy');
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'postern-bench-'));
  const config = join(folder, 'haproxy.cfg');
  writeFileSync(
    config,
    `global
  nbthread 1
  maxconn ${connections}
defaults
  mode tcp
  timeout connect 10s
  timeout client 10m
  timeout server 10m
listen smtp
  bind 127.0.0.1:${port} maxconn ${connections}${tls === undefined ? '' : ` ssl crt ${tls.both}`}
  server sink 127.0.0.1:${upstream}
`,
  );
  const child = start(tool.path, ['-db', '-f', config], { env: tool.env });
  await listening(port, child);
  return { name: 'haproxy', port, pid: child.pid ?? 0, stop: () => endIn(folder, stop(child)) };
}

/** The policy is one that an office would have: three connectors, ranges, a file, rules, and a decision in each. */
function posternConfig(port: number, admin: number, upstream: number, options: ProxyOptions): string {
  const { connections = CONNECTIONS, workers = 1, rates = false, patient = false, tls } = options;
  const ofSource = rates ? ', message_rate: 1000000000/1m, recipient_rate: 1000000000/1m' : '';
  const certificates =
    tls === undefined ? '' : `\n    certificates: [{ cert: ${tls.cert}, key: ${tls.key} }]\n    implicit_tls: true`;
  return `workers: ${workers}
listeners:
  - bind: ["127.0.0.1:${port}"]${certificates}
upstream:
  servers: ["127.0.0.1:${upstream}"]
  max_connections: ${connections}
lost_address_guard: warn${patient ? '\ntimeouts: { client_idle: 1h }' : ''}
limits:
  source: { connections: ${connections}${ofSource} }
  connector: { connections: ${connections} }
admin: { listen: "127.0.0.1:${admin}" }
log: { level: info${options.messages === undefined ? '' : `, messages: ${options.messages}`} }
policy:
  version: 1
  accepted_domains: [local.example, '*.office.example', other.example]
  relay_domains: [partner.example]
  blocked_domains: [bad.example]
  connectors:
    - name: internet
      remote_ip_ranges: [any]
      rules:
        - { name: never, deny: { sources: [10.9.0.0/16] } }
        - { name: printers, allow: { sources: [10.0.0.0/8], recipient_domains: ['*.partner.example'] } }
        - { name: roaming, allow: { authenticated: true } }
    - name: line-of-business
      remote_ip_ranges: [192.168.1.100-192.168.1.101, 10.0.0.0/8, '2001:db8::/32']
      rules:
        - { name: scanners, allow: { sources: [10.1.0.0/16], recipient_domains: [scan.example] } }
    - name: warehouse
      remote_ip_ranges: ['172.16.0.0/12']
`;
}

async function startPostern(
  name: string,
  program: readonly string[],
  upstream: number,
  options: ProxyOptions,
): Promise<Running> {
  const port = await freePort();
  const admin = await freePort();
  const folder = mkdtempSync(join(tmpdir(), 'postern-bench-'));
  const config = join(folder, 'postern.yaml');
  writeFileSync(config, posternConfig(port, admin, upstream, options));
  const log = openSync(join(folder, 'log'), 'w');
  const child = start(process.execPath, [...program, 'run', '--config', config], {
    stdio: ['ignore', log, 'pipe'],
  });
  await listening(port, child);
  return { name, port, pid: child.pid ?? 0, admin, stop: () => endIn(folder, stop(child)) };
}

async function endIn(folder: string, ended: Promise<void>): Promise<void> {
  await ended;
  rmSync(folder, { recursive: true, force: true });
}
