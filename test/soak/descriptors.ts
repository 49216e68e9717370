// A Postern that runs out of descriptors, again and again, and back: it says so, it serves on, and it holds none for ever.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Bed, expect, MailServer, watch } from './bed.ts';
import type { Held } from './holders.ts';
import { deliver } from './messenger.ts';

const SCENE = 'descriptors';
const LIMIT = 200;
const TIMES = 5;

export async function descriptors(): Promise<object> {
  const server = await MailServer.start();
  const bed = await Bed.start({
    descriptors: LIMIT,
    config: {
      listeners: [{ bind: ['127.0.0.1:0'] }],
      upstream: { servers: [`127.0.0.1:${server.port}`] },
      lost_address_guard: 'warn',
      policy: {
        version: 1,
        accepted_domains: ['local.example'],
        connectors: [{ name: 'all', remote_ip_ranges: ['any'] }],
      },
    },
  });
  bed.scene = SCENE;
  await bed.quiet(1_000);
  const before = bed.sample();
  const stood: number[] = [];
  for (let times = 0; times < TIMES; times++) {
    const holders = watch(fork(join(import.meta.dirname, 'holders.ts')));
    const answer = once(holders, 'message');
    holders.send({ port: bed.port, idle: LIMIT, midData: 0, octets: 0 });
    const [{ open }] = (await answer) as [Held];
    stood.push(open);
    holders.kill();
    await delay(500);
    let served = '';
    for (let tries = 0; tries < 20 && served !== '250'; tries++) served = (await deliver(bed.port)).said;
    expect(
      SCENE,
      `time ${times + 1}: ${open} of ${LIMIT} stood, then one is served (${served})`,
      served === '250' && open < LIMIT,
    );
  }
  const left = await bed.quiet(10_000);
  await delay(6_000); // connections of the admin port that are kept alive
  const after = bed.sample();
  const metrics = await bed.metrics();
  const short = metrics.get('postern_shortages_total{code="EMFILE"}') ?? 0;
  expect(SCENE, `it was short of them ${short} times and counted it`, short > 0);
  expect(SCENE, `no session is left (${left})`, left === 0);
  expect(
    SCENE,
    `descriptors are as they were (${before.descriptors}, ${after.descriptors})`,
    after.descriptors <= before.descriptors + 3,
  );
  expect(SCENE, 'no defect', metrics.get('postern_defects_total') === 0);
  const code = await bed.stop();
  expect(SCENE, `it exits with 0 (${code})`, code === 0);
  server.stop();
  return { descriptors: { limit: LIMIT, stood, shortages: short } };
}
