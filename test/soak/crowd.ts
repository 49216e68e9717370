// As many sessions at once as one Postern may have, half of them in the middle of mail data with neither side reading: the server
// behind reads nothing, so Postern's writes find no room, so it reads nothing, so each client's writes find none.
//
// What must hold: all stand, and half of them are stuck in that way and stay so; a client that comes beside them is served; when the server reads
// again all of it flows; what they cost is bounded; and when they have gone nothing of them is there. A session is two
// descriptors, so who may have 20 000 has 9 900 sessions: what was asked for is cut to that, and said. Buffers of the kernel are
// small (network.ts), or it would swallow gigabytes first.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { descriptorLimit } from '../../src/config/host.ts';
import { Bed, expect, MailServer, watch } from './bed.ts';
import type { Held } from './holders.ts';
import { deliver } from './messenger.ts';
import { fullConnections, smallBuffers } from './network.ts';

const SCENE = 'crowd';
const SPARE = 200; // descriptors of a process beside its sessions
const OCTETS = 192 * 1024; // that each client in mail data would say
const BUFFER = 16 * 1024; // of the kernel, for each direction of each connection
const FLOWS_MS = 900_000;

export async function crowd(wanted: number): Promise<object> {
  const limit = descriptorLimit() ?? 1024;
  const sessions = Math.min(wanted, Math.floor((limit - SPARE) / 2));
  if (sessions < wanted) console.log(`crowd: ${limit} descriptors a process are ${sessions} sessions, not ${wanted}`);
  const largeBuffers = smallBuffers(BUFFER);
  if (largeBuffers === null) console.log('crowd: no network of its own (who is not root has none): nobody is stuck');
  const server = await MailServer.start();
  server.tell('stall');
  const most = sessions + 50;
  const bed = await Bed.start({
    config: {
      listeners: [{ bind: ['127.0.0.1:0'] }],
      upstream: { servers: [`127.0.0.1:${server.port}`], max_connections: most },
      lost_address_guard: 'warn',
      timeouts: { client_idle: '2h', data_idle: '2h', upstream_data: '2h', no_mail: '2h', min_data_rate: 0 },
      limits: { source: { connections: 100 }, connector: { connections: most } },
      policy: {
        version: 1,
        accepted_domains: ['local.example'],
        connectors: [{ name: 'all', remote_ip_ranges: ['any'] }],
      },
    },
  });
  bed.scene = SCENE;
  const before = bed.sample();
  const holders = watch(fork(join(import.meta.dirname, 'holders.ts')));
  const began = performance.now();
  const answer = once(holders, 'message');
  holders.send({
    port: bed.port,
    idle: sessions - Math.floor(sessions / 2),
    midData: Math.floor(sessions / 2),
    octets: OCTETS,
  });
  const [held] = (await answer) as [Held];
  const look = async (): Promise<Held> => {
    const seen = once(holders, 'message');
    holders.send('look');
    return ((await seen) as [Held])[0];
  };
  const seconds = Math.round((performance.now() - began) / 100) / 10;
  await delay(5_000);
  const crowded = bed.sample();
  const metrics = await bed.metrics();
  const phase = (name: string): number => metrics.get(`postern_sessions_by_phase{phase="${name}"}`) ?? 0;
  const inData = phase('mail-data');
  expect(SCENE, `${held.open} of ${sessions} stand, opened in ${seconds} s`, held.open === sessions);
  const half = Math.floor(sessions / 2);
  expect(SCENE, `${inData} of them in mail data`, inData === half);
  const full = fullConnections(server.port);
  if (largeBuffers !== null) {
    const unsent = `${held.unsent} octets wait in ${held.blocked} clients`;
    expect(SCENE, `${full} servers take no more, ${unsent}`, full === half && held.blocked === half);
  }
  server.tell('stall no more'); // for those who come now
  const served = await deliver(bed.port);
  expect(SCENE, `a client beside them is served in ${served.ms} ms: ${served.said}`, served.said === '250');
  if (largeBuffers !== null) {
    const still = await look();
    expect(SCENE, `not one moved meanwhile: ${still.unsent} octets`, still.unsent === held.unsent);
    server.tell('go on');
    const began = performance.now();
    let moving = still;
    while (moving.blocked > 0 && performance.now() - began < FLOWS_MS) {
      await delay(1_000);
      moving = await look();
    }
    const seconds = Math.round((performance.now() - began) / 1000);
    expect(SCENE, `the server reads again, and all flows in ${seconds} s (${moving.unsent} left)`, moving.unsent === 0);
  }
  holders.send('close');
  await once(holders, 'message');
  const left = await bed.quiet(120_000);
  await delay(2_000);
  const after = bed.sample();
  expect(SCENE, `no session is left (${left})`, left === 0);
  expect(
    SCENE,
    `descriptors are as they were (${before.descriptors}, ${after.descriptors})`,
    after.descriptors <= before.descriptors + 3,
  );
  const defects = (await bed.metrics()).get('postern_defects_total') ?? Number.NaN;
  expect(SCENE, `no defect (${defects})`, defects === 0);
  holders.kill();
  const code = await bed.stop();
  expect(SCENE, `it exits with 0 (${code})`, code === 0);
  server.stop();
  largeBuffers?.();
  const each = Math.round(((crowded.rssMiB - before.rssMiB) * 1024) / sessions);
  const rssMiB = { before: before.rssMiB, full: crowded.rssMiB, after: after.rssMiB };
  return {
    crowd: {
      sessions,
      inData,
      seconds,
      rssMiB,
      kibEach: each,
      servedBesideMs: served.ms,
      stuck: full,
      unsent: held.unsent,
    },
  };
}
