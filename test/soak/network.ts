// A network of the soak's own, where one may have it, in which the kernel's buffers of TCP can be made small: only so does a write
// find no room before megabytes went.
//
// Node has no SO_RCVBUF for TCP. A namespace (network_namespaces(7)) has tcp_rmem and tcp_wmem of its own, and what is made
// small there is nobody else's. Whoever is not root, or has no `unshare` and `ip`, stays where he is, and is told.

import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';

const INSIDE = 'POSTERN_SOAK_NETWORK';
const LIMITS = ['tcp_rmem', 'tcp_wmem'].map((name) => `/proc/sys/net/ipv4/${name}`);

export const isOwnNetwork = process.env[INSIDE] !== undefined;

/** Begins the program anew, inside; returns where that is not to be had, or has been done. */
export function enterOwnNetwork(): void {
  if (isOwnNetwork || process.getuid?.() !== 0) return;
  const enter = ['unshare', '--net', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh'];
  const isToBeHad = spawnSync('env', [...enter, 'true'], { stdio: 'ignore' }).status === 0;
  if (!isToBeHad) return;
  const env = { ...process.env, [INSIDE]: '1' };
  process.execve?.('/usr/bin/env', ['env', ...enter, process.execPath, ...process.argv.slice(1)], env);
}

/** Of sockets made from now on; what is returned makes them again what they were. Null where this network is not ours. */
export function smallBuffers(octets: number): (() => void) | null {
  if (!isOwnNetwork) return null;
  const before = LIMITS.map((file) => readFileSync(file, 'latin1'));
  for (const file of LIMITS) writeFileSync(file, `${octets / 2} ${octets} ${octets}`);
  return () => {
    for (const [at, file] of LIMITS.entries()) writeFileSync(file, before[at] as string);
  };
}

/** Connections to this port on which the kernel has octets that the other side does not take: 4096 of them or more. */
export function fullConnections(port: number): number {
  const rows = readFileSync('/proc/net/tcp', 'latin1').split('\n').slice(1);
  return rows.filter((row) => {
    const [, , remote = '', state, queues = ''] = row.trim().split(/\s+/);
    const isOpen = state === '01' && Number.parseInt(remote.split(':')[1] ?? '', 16) === port;
    return isOpen && Number.parseInt(queues.split(':')[0] ?? '0', 16) >= 4096;
  }).length;
}
