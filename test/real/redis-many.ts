// Several Redis that stand for each other: a master with a replica and three Sentinels, and a cluster of three masters, one of
// which has a replica: that which keeps our counters. All on the loopback, with nothing written that stays.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '../helpers/free-port.ts';
import { type RedisServer, startRedis } from './redis-server.ts';

export interface ManyRedis {
  /** As in the configuration. */
  readonly state: string;
  /** Who answers for our counters at first. */
  readonly master: RedisServer;
  /** All that may answer, the master first. */
  readonly servers: readonly RedisServer[];
  stop(): Promise<void>;
}

const SLOTS = 16_384;
const WITHIN_MS = 20_000;

/** Default of Redis is 30 s until a silent master is down; here it is `downAfter` ms. */
export async function startSentinels(downAfter = 1_000): Promise<ManyRedis> {
  const master = await startRedis();
  const replica = await startRedis(['--replicaof', '127.0.0.1', `${master.port}`]);
  const folder = mkdtempSync(join(tmpdir(), 'postern-sentinels-'));
  const ports = [await freePort(), await freePort(), await freePort()];
  const sentinels = await Promise.all(
    ports.map((port) => {
      const file = join(folder, `${port}.conf`);
      const watched = `sentinel monitor limits 127.0.0.1 ${master.port} 2
sentinel down-after-milliseconds limits ${downAfter}
sentinel failover-timeout limits ${5 * downAfter}
`;
      writeFileSync(file, `port ${port}\nbind 127.0.0.1\ndir ${folder}\n${watched}`);
      return startRedis([file], 'redis-sentinel', port);
    }),
  );
  // They hear of each other, and of the replica, through the master, every few seconds.
  for (const sentinel of sentinels) {
    await until(async () => /slaves=1,sentinels=3/.test(await sentinel.ask('INFO', 'sentinel')), 'Sentinels');
  }
  const servers = [master, replica];
  return {
    state: `redis+sentinel://${ports.map((port) => `127.0.0.1:${port}`).join(',')}/limits/0`,
    master,
    servers,
    async stop() {
      await Promise.all([...sentinels, ...servers].map((one) => one.stop()));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Default of Redis is 15 s until a silent node is down; here it is `downAfter` ms. */
export async function startCluster(downAfter = 1_000): Promise<ManyRedis> {
  const startNode = async () => {
    // Its bus would else be 10 000 above its port, among those of outgoing connections.
    const bus = ['--cluster-port', `${await freePort()}`, '--cluster-node-timeout', `${downAfter}`];
    return startRedis(['--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1', ...bus]);
  };
  const nodes = [await startNode(), await startNode(), await startNode(), await startNode()];
  const [first, , , replica] = nodes as [RedisServer, RedisServer, RedisServer, RedisServer];
  const masters = nodes.slice(0, 3);
  for (const [i, { port }] of nodes.entries()) {
    const bus = Number(/@(\d+)/.exec(await (nodes[i] as RedisServer).ask('CLUSTER', 'NODES'))?.[1]);
    if (i > 0) await first.ask('CLUSTER', 'MEET', '127.0.0.1', `${port}`, `${bus}`);
  }
  const share = Math.ceil(SLOTS / masters.length);
  for (const [i, node] of masters.entries()) {
    const last = Math.min(SLOTS, (i + 1) * share) - 1;
    await node.ask('CLUSTER', 'ADDSLOTSRANGE', `${i * share}`, `${last}`);
  }
  const slot = Number((await first.ask('CLUSTER', 'KEYSLOT', 'postern:{limits}:bans')).replace(':', ''));
  const master = masters[Math.floor(slot / share)] as RedisServer;
  for (const node of nodes) {
    await until(async () => {
      const info = await node.ask('CLUSTER', 'INFO');
      return /cluster_state:ok/.test(info) && /cluster_known_nodes:4/.test(info);
    }, 'cluster');
  }
  const id = (await master.ask('CLUSTER', 'MYID')).split('\r\n').at(-1) ?? '';
  await until(async () => (await replica.ask('CLUSTER', 'REPLICATE', id)).startsWith('+OK'), 'replica');
  await until(async () => /master_link_status:up/.test(await replica.ask('INFO', 'replication')), 'replica');
  return {
    state: `redis+cluster://${masters.map(({ port }) => `127.0.0.1:${port}`).join(',')}`,
    master,
    servers: [master, replica, ...masters.filter((node) => node !== master)],
    async stop() {
      await Promise.all(nodes.map((node) => node.stop()));
    },
  };
}

async function until(holds: () => Promise<boolean>, what: string): Promise<void> {
  for (const end = Date.now() + WITHIN_MS; !(await holds()); await delay(50)) {
    if (Date.now() > end) throw new Error(`${what}: not ready within ${WITHIN_MS / 1000} s`);
  }
}
