// Honest and faulty clients, and what may befall a relay beside them: a round of each, over and over, until the time is over.
//
// In each round clients come for a while, then all go; then everything must be at zero again, and what honest clients were told
// must be what metrics, log and server say. Where a worker is killed its counts since they were last asked are gone with it
// (ARCHITECTURE.md, Several workers), so that round compares nothing but the zeros.

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { noRedis, startRedis } from '../real/redis-server.ts';
import { Bed, expect, MailServer, watch } from './bed.ts';
import type { Counts, Load } from './clients.ts';

const SCENE = 'mixed';
const ROUND_S = 25; // of clients
const QUIET_MS = 20_000;
const HONEST = 30;
const FAULTY = 60;

interface Place {
  readonly bed: Bed;
  readonly server: MailServer;
  readonly redis: Awaited<ReturnType<typeof startRedis>> | null;
  readonly config: (variant: number) => object;
  variant: number;
}

type Trouble = (place: Place) => Promise<void>;

/** Each goes on through one round; `kill` loses counts. */
const TROUBLES: Readonly<Record<string, { readonly lasts: Trouble; readonly kills?: true }>> = {
  nothing: { lasts: async () => {} },
  'the server restarts': {
    lasts: async ({ server }) => {
      for (let times = 0; times < 3; times++) {
        await delay(5_000);
        await server.kill();
        await delay(1_000);
        await server.up();
      }
    },
  },
  reloads: {
    lasts: async (place) => {
      for (let times = 0; times < 20; times++) {
        await delay(1_000);
        place.bed.write(place.config(++place.variant));
        place.bed.child.kill('SIGHUP');
      }
    },
  },
  bans: {
    lasts: async ({ bed }) => {
      for (let times = 0; times < 10; times++) {
        await delay(1_000);
        await bed.ask('/bans', { method: 'POST', body: JSON.stringify({ source: '127.21.0.0/16', for: '10m' }) });
        await delay(1_000);
        await bed.ask(`/bans/${encodeURIComponent('127.21.0.0/16')}`, { method: 'DELETE' });
      }
    },
  },
  'Redis is killed': {
    lasts: async ({ redis }) => {
      for (let times = 0; redis !== null && times < 2; times++) {
        await delay(4_000);
        await redis.kill();
        await delay(4_000);
        await redis.restart();
      }
    },
  },
  'workers are killed': {
    kills: true,
    lasts: async ({ bed }) => {
      for (let times = 0; times < 4; times++) {
        await delay(5_000);
        bed.child.kill('SIGUSR2');
      }
    },
  },
  'all of it': {
    kills: true,
    lasts: async (place) => {
      const all = Object.entries(TROUBLES).filter(([name]) => name !== 'all of it');
      await Promise.all(all.map(([, { lasts }]) => lasts(place)));
    },
  },
};

/** `chosen`: of the troubles; none: all. */
export async function mixed(minutes: number, seed: number, chosen: readonly string[]): Promise<object> {
  const troubles = Object.entries(TROUBLES).filter(([name]) => chosen.length === 0 || chosen.includes(name));
  if (troubles.length === 0) throw new Error(`--trouble: there are ${Object.keys(TROUBLES).join(', ')}`);
  const server = await MailServer.start();
  const redis = noRedis === false ? await startRedis() : null;
  if (redis === null) console.log(`no Redis: ${noRedis}`);
  const config = (variant: number): object => ({
    listeners: [{ bind: ['127.0.0.1:0'] }],
    upstream: { servers: [`127.0.0.1:${server.port}`], max_connections: 500, max_wait: '2s' },
    workers: 2,
    state: redis === null ? 'memory' : `redis://127.0.0.1:${redis.port}/0`,
    lost_address_guard: 'warn',
    limits: { source: { connections: 20, message_rate: '10000/1h' }, connector: { connections: 1000 } },
    timeouts: { client_idle: '4s', command: '4s', data_idle: '4s', upstream_reply: '8s', upstream_final: '1m' },
    policy: {
      version: 1,
      accepted_domains: ['local.example', `v${variant}.example`],
      connectors: [
        { name: 'honest', remote_ip_ranges: ['127.10.0.0-127.13.255.255'] },
        { name: 'faulty', remote_ip_ranges: ['127.20.0.0-127.23.255.255'] },
      ],
    },
  });
  const bed = await Bed.start({ config: config(0) });
  const clients = watch(fork(join(import.meta.dirname, 'clients.ts')));
  const place: Place = { bed, server, redis, config, variant: 0 };
  await bed.quiet(QUIET_MS);
  const idleDescriptors = bed.sample().descriptors;
  const rounds: object[] = [];
  const live: object[] = [];
  const sum = { sessions: 0, accepted: 0, refused: 0, putOff: 0, cutOff: 0 };
  const until = performance.now() + minutes * 60_000;
  for (let number = 0; number === 0 || performance.now() < until; number++) {
    const [name, trouble] = troubles[number % troubles.length] as (typeof troubles)[number];
    bed.scene = name;
    const round = `round ${number} (${name})`;
    const before = await countsOf(place);
    const load: Load = { port: bed.port, honest: HONEST, faulty: FAULTY, seconds: ROUND_S, seed: seed + number };
    const answer = once(clients, 'message');
    clients.send(load);
    await trouble.lasts(place);
    const [told] = (await answer) as [Counts];
    bed.scene = 'quiet';
    const left = await bed.quiet(QUIET_MS);
    await delay(1_500); // the log, the places at Redis, reports of workers
    const after = await countsOf(place);
    const { rssMiB, descriptors } = bed.sample();
    const seen = {
      log: after.log - before.log,
      metrics: after.metrics - before.metrics,
      server: after.server - before.server,
    };
    expect(SCENE, `${round}: no session is left (${left})`, left === 0);
    const spare = descriptors - idleDescriptors; // two workers, their loops and their connections come and go
    expect(SCENE, `${round}: descriptors are as they were (${descriptors}, idle ${idleDescriptors})`, spare <= 12);
    expect(SCENE, `${round}: honest clients heard what they should ${told.wrong.join('; ')}`, told.wrong.length === 0);
    if (trouble.kills !== true) {
      const all = `told ${told.accepted}, metrics ${seen.metrics}, log ${seen.log}, server ${seen.server}`;
      // A server that was killed may have taken what nobody was told: then it is more.
      const agree = told.accepted === seen.metrics && told.accepted === seen.log;
      const server = name === 'the server restarts' ? true : seen.server === told.accepted;
      expect(SCENE, `${round}: messages add up: ${all}`, agree && server);
      const ended = after.ended - before.ended;
      const lines = after.lines - before.lines;
      expect(SCENE, `${round}: sessions add up: metrics ${ended}, log ${lines}`, ended === lines);
    }
    expect(SCENE, `${round}: no defect, no line lost`, after.defects === 0 && after.lost === 0);
    for (const key of Object.keys(sum) as (keyof typeof sum)[]) sum[key] += told[key];
    const { wrong, ...counted } = told;
    rounds.push({ round: number, trouble: name, rssMiB, descriptors, ...counted, ...seen });
    if (bed.child.exitCode !== null) break;
    if (number % troubles.length === troubles.length - 1) live.push(...(await liveOf(bed)));
  }
  live.push(...(await liveOf(bed)));
  clients.kill();
  const code = await bed.stop();
  expect(SCENE, `it drains and exits with 0 (${code})`, code === 0);
  const faults = [...bed.warnings.keys()].filter((line) => /"level":"error"/.test(line));
  const real = faults.filter((line) => !/upstream|worker|state|redis/i.test(line));
  expect(SCENE, `no line of level error that nothing explains ${real.slice(0, 3).join()}`, real.length === 0);
  expect(
    SCENE,
    `nothing unhandled on stderr ${bed.stderr.replace(/^postern: listening.*\n/, '').slice(0, 500)}`,
    !/Error|at /.test(bed.stderr.replace(/^postern: listening.*\n/gm, '')),
  );
  server.stop();
  await redis?.stop();
  return { minutes, seed, rounds, sum, live };
}

/** What is alive when all garbage is collected: each time all troubles had their turn, and in the end. */
async function liveOf(bed: Bed): Promise<object[]> {
  bed.scene = 'collected';
  const threads = await bed.live();
  const { seconds, rssMiB } = bed.sample();
  for (const { thread, heapUsed, external } of threads)
    console.log(
      `     ${SCENE}: alive in thread ${thread}: heap ${heapUsed} MiB, outside ${external} MiB; RSS ${rssMiB} MiB`,
    );
  return [{ seconds, rssMiB, threads }];
}

async function countsOf({ bed, server }: Place) {
  const metrics = await bed.metrics();
  const total = (name: string): number =>
    [...metrics].filter(([key]) => key.startsWith(name)).reduce((sum, [, value]) => sum + value, 0);
  const lines = (msg: string): number =>
    [...bed.lines].filter(([key]) => key.startsWith(msg)).reduce((sum, [, value]) => sum + value, 0);
  return {
    metrics: metrics.get('postern_messages_total{connector="honest"}') ?? 0,
    log: bed.lines.get('message honest') ?? 0,
    server: await server.messages('honest'),
    ended: total('postern_sessions_total{') - refused(metrics),
    lines: lines('session ended'),
    defects: metrics.get('postern_defects_total') ?? Number.NaN,
    lost: metrics.get('postern_log_lines_lost_total') ?? Number.NaN,
  };
}

function refused(metrics: ReadonlyMap<string, number>): number {
  return [...metrics]
    .filter(([key]) => key.startsWith('postern_sessions_total{') && key.includes('outcome="refused"'))
    .reduce((sum, [, value]) => sum + value, 0);
}
