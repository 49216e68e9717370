// A log that cannot be written: a disk that is full for a while, and a pipe that nobody reads. Mail goes on; when there is room
// again lines come whole, and what was lost is counted and told.
//
// The full disk is a tmpfs of 256 KiB, for which one must be root; who is not has only the pipe, and is told.

import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Bed, expect, MailServer } from './bed.ts';
import { deliver } from './messenger.ts';

const SCENE = 'log';
const MESSAGES = 600; // a message has two lines: more than the disk, or the pipe, takes

function configOf(server: MailServer): object {
  return {
    listeners: [{ bind: ['127.0.0.1:0'] }],
    upstream: { servers: [`127.0.0.1:${server.port}`] },
    lost_address_guard: 'warn',
    policy: {
      version: 1,
      accepted_domains: ['local.example'],
      connectors: [{ name: 'all', remote_ip_ranges: ['any'] }],
    },
  };
}

/** How many were taken. */
async function deliverAll(port: number, block: number): Promise<number> {
  let taken = 0;
  for (let at = 0; at < MESSAGES; at += 20) {
    const from = (one: number): string => `127.${block}.${(at + one) >> 8}.${(at + one) & 0xff}`;
    const some = Array.from({ length: 20 }, (_, one) => deliver(port, from(one + 1)));
    taken += (await Promise.all(some)).filter(({ said }) => said === '250').length;
  }
  return taken;
}

export async function log(): Promise<object> {
  const server = await MailServer.start();
  const told = { disk: await fullDisk(server), pipe: await stuckPipe(server) };
  server.stop();
  return { log: told };
}

async function fullDisk(server: MailServer): Promise<object> {
  const folder = mkdtempSync(join(tmpdir(), 'postern-soak-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', folder], { stdio: 'ignore' });
  } catch {
    console.log('log: no tmpfs can be mounted, the full disk is left out');
    rmSync(folder, { recursive: true });
    return { left: 'out' };
  }
  try {
    writeFileSync(join(folder, 'ballast'), Buffer.alloc(128 * 1024));
    const file = join(folder, 'log');
    const descriptor = openSync(file, 'a');
    const bed = await Bed.start({ config: configOf(server), log: descriptor });
    closeSync(descriptor);
    bed.scene = 'log: full disk';
    const taken = await deliverAll(bed.port, 50);
    await delay(500);
    expect(SCENE, `a full disk: ${taken} of ${MESSAGES} messages are taken`, taken === MESSAGES);
    const full = readFileSync(file, 'latin1').length;
    rmSync(join(folder, 'ballast'));
    await delay(1_000);
    const more = readFileSync(file, 'latin1').length;
    expect(SCENE, `with room again it writes on (${full}, ${more} octets)`, more > full);
    execFileSync('mount', ['-o', 'remount,size=8m', folder], { stdio: 'ignore' });
    await delay(1_000);
    const code = await bed.stop();
    const lines = readFileSync(file, 'latin1').split('\n').slice(0, -1);
    const parsed = lines.map((line) => JSON.parse(line) as { msg: string });
    const messages = parsed.filter(({ msg }) => msg === 'message').length;
    expect(SCENE, `every line is whole, and none of ${messages} messages is missing`, messages === MESSAGES);
    expect(SCENE, `it exits with 0 (${code})`, code === 0);
    return { taken, octetsWhileFull: full, messages };
  } finally {
    execFileSync('umount', [folder], { stdio: 'ignore' });
    rmSync(folder, { recursive: true });
  }
}

async function stuckPipe(server: MailServer): Promise<object> {
  const bed = await Bed.start({ config: configOf(server), log: 'held' });
  bed.scene = 'log: stuck pipe';
  const taken = await deliverAll(bed.port, 51);
  expect(SCENE, `a stuck pipe: ${taken} of ${MESSAGES} messages are taken`, taken === MESSAGES);
  bed.readLog();
  await delay(2_000);
  const lost = (await bed.metrics()).get('postern_log_lines_lost_total') ?? Number.NaN;
  const ended = bed.lines.get('session ended all') ?? 0;
  expect(SCENE, `read again: ${ended} ends of sessions, ${lost} lines lost`, ended + lost >= MESSAGES);
  const code = await bed.stop();
  expect(SCENE, `it exits with 0 (${code})`, code === 0);
  return { taken, ended, lost };
}
