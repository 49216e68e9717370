// What stands between source and sink: nothing, a peer (peers.ts), or Postern with everything on.

import { mkdtempSync, openSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endIn, startHaproxy, startHaraka, startNginx, startNode, startPostfixFilter } from './peers.ts';
import { freePort, listening, start, stop } from './processes.ts';
import { builtMain } from './program.ts';
import type { Flags } from './report.ts';
import { findTool, MissingTool, whyNot } from './tools.ts';

/** Those that every question asks, if no others are asked for. */
const USUAL = ['haproxy', 'pipe', 'postern', 'other', 'quiet'] as const;
export const ALL = ['direct', 'haproxy', 'rawpipe', 'pipe', 'nginx', 'postfix', 'haraka', ...USUAL.slice(2)] as const;
/** `direct`: no proxy; `other`: the Postern of another checkout; `quiet`: this one with another log.messages. */
export type ProxyName = (typeof ALL)[number];

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

/** `both` is certificate and key in one file. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
  readonly both: string;
}

export interface ProxyOptions {
  readonly connections?: number;
  /** Listens for TLS at once with this certificate. HAProxy and Postern only. */
  readonly tls?: Certificate;
  /** Worker threads of Postern. */
  readonly workers?: number;
  /** Who says nothing stays for an hour. */
  readonly patient?: boolean;
  /** With a rate for every command, none of which is ever reached. */
  readonly rates?: boolean;
  /** log.messages; its default when left out. */
  readonly messages?: string | undefined;
  /** More accepted domains, each with a range and a recipient domain of a rule: a policy of any size. */
  readonly entries?: number;
  /** As in the configuration; counters are its own otherwise. */
  readonly state?: string;
}

/** Those of --proxy, or the usual ones; with --main the other one, and with --messages the quiet one. What is not here is left
 * out, and told. */
export function chosenProxies(flags: Flags, usual: readonly ProxyName[] = USUAL): ProxyName[] {
  return ALL.filter((name) => {
    if (name === 'other') return flags.main !== undefined;
    if (name === 'quiet') return flags.messages !== undefined;
    if (!(flags.proxy.length === 0 ? (usual as readonly string[]) : flags.proxy).includes(name)) return false;
    const why = whyNot(name);
    if (why === null) return true;
    if (flags.proxy.length > 0) throw new MissingTool(why);
    console.error(`bench: ${why}`);
    return false;
  });
}

export function startProxy(
  name: ProxyName,
  upstream: number,
  { node, main, messages }: Flags,
  options: ProxyOptions = {},
): Promise<Running> {
  if (name === 'direct') return Promise.resolve({ name, port: upstream, pid: 0, stop: async () => {} });
  if (name === 'pipe' || name === 'rawpipe') return startNode(name, `${name}.ts`, upstream, node);
  if (name === 'haproxy') return startHaproxy(upstream, options.connections, options.tls);
  if (name === 'nginx') return startNginx(upstream);
  if (name === 'postfix') return startPostfixFilter(upstream);
  if (name === 'haraka') return startHaraka(upstream);
  const program = name === 'other' && main !== undefined ? main : builtMain();
  return startPostern(name, [...node, program], upstream, name === 'quiet' ? { ...options, messages } : options);
}

/** The policy is one that an office would have: three connectors, ranges, a file, rules, and a decision in each. */
function posternConfig(port: number, admin: number, upstream: number, lists: string, options: ProxyOptions): string {
  const {
    connections = CONNECTIONS,
    workers = 1,
    rates = false,
    patient = false,
    tls,
    entries = 0,
    state = 'memory',
  } = options;
  const list = (name: string) => `'file:${join(lists, name)}'`;
  const more = entries === 0 ? '' : `, ${list('accepted')}`;
  const known = `
        - { name: known, allow: { sources: [${list('ranges')}], recipient_domains: [${list('partners')}] } }`;
  const ofSource = rates ? ', message_rate: 1000000000/1m, recipient_rate: 1000000000/1m' : '';
  const certificates =
    tls === undefined ? '' : `\n    certificates: [{ cert: ${tls.cert}, key: ${tls.key} }]\n    implicit_tls: true`;
  return `workers: ${workers}
state: ${state}
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
  accepted_domains: [local.example, '*.office.example', other.example${more}]
  relay_domains: [partner.example]
  blocked_domains: [bad.example]
  connectors:
    - name: internet
      remote_ip_ranges: [any]
      rules:
        - { name: never, deny: { sources: [10.9.0.0/16] } }${entries === 0 ? '' : known}
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

/** Every second /28 below 11.0.0.0, so that ranges neither touch nor merge. */
function writeLists(folder: string, entries: number): void {
  const write = (name: string, line: (n: number) => string) =>
    writeFileSync(join(folder, name), Array.from({ length: entries }, (_, n) => `${line(n)}\n`).join(''));
  write('accepted', (n) => `d${n}.local.example`);
  write('partners', (n) => `d${n}.partner.example`);
  write('ranges', (n) => `11.${(n * 32) >> 16}.${((n * 32) >> 8) & 255}.${(n * 32) & 255}/28`);
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
  writeLists(folder, options.entries ?? 0);
  writeFileSync(config, posternConfig(port, admin, upstream, folder, options));
  const log = openSync(join(folder, 'log'), 'w');
  const child = start(process.execPath, [...program, 'run', '--config', config], {
    stdio: ['ignore', log, 'pipe'],
  });
  await listening(port, child);
  return { name, port, pid: child.pid ?? 0, admin, stop: () => endIn(folder, stop(child)) };
}
