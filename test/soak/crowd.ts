// As many sessions at once as one Postern may have, half of them in the middle of mail data with neither side reading.
//
// What must hold: all stand; a client that comes beside them is served; what they cost is bounded; and when they have gone
// nothing of them is there. A session is two descriptors, so who may have 20 000 has 9 900 sessions: what was asked for is cut
// to that, and said.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { descriptorLimit } from '../../src/config/host.ts';
import { Bed, expect, MailServer, watch } from './bed.ts';
import type { Held } from './holders.ts';
import { deliver } from './messenger.ts';

const SCENE = 'crowd';
const SPARE = 200; // descriptors of a process beside its sessions
const OCTETS = 192 * 1024; // of a client that stops in mail data

export async function crowd(wanted: number): Promise<object> {
  const limit = descriptorLimit() ?? 1024;
  const sessions = Math.min(wanted, Math.floor((limit - SPARE) / 2));
  if (sessions < wanted) console.log(`crowd: ${limit} descriptors a process are ${sessions} sessions, not ${wanted}`);
  const server = await MailServer.start();
  server.tell('stall');
  const most = sessions + 50;
  const bed = await Bed.start({
    config: {
      listeners: [{ bind: ['127.0.0.1:0'] }],
      upstream: { servers: [`127.0.0.1:${server.port}`], max_connections: most },
      lost_address_guard: 'warn',
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
  const seconds = Math.round((performance.now() - began) / 100) / 10;
  await delay(5_000);
  const full = bed.sample();
  const metrics = await bed.metrics();
  const phase = (name: string): number => metrics.get(`postern_sessions_by_phase{phase="${name}"}`) ?? 0;
  const inData = phase('mail-data');
  expect(SCENE, `${held.open} of ${sessions} stand, opened in ${seconds} s`, held.open === sessions);
  expect(SCENE, `${inData} of them in mail data`, inData === Math.floor(sessions / 2));
  server.tell('go on'); // only those who ask for it: a new message is read
  const served = await deliver(bed.port);
  expect(SCENE, `a client beside them is served in ${served.ms} ms: ${served.said}`, served.said === '250');
  holders.send('close');
  await once(holders, 'message');
  const left = await bed.quiet(30_000);
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
  const each = Math.round(((full.rssMiB - before.rssMiB) * 1024) / sessions);
  const rssMiB = { before: before.rssMiB, full: full.rssMiB, after: after.rssMiB };
  return {
    crowd: { sessions, inData, seconds, rssMiB, kibEach: each, servedBesideMs: served.ms, unsent: held.unsent },
  };
}
