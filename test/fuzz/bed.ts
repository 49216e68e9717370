// The firewall of one setting between two servers that are there for one session at a time.

import { type OpenFirewall, openFirewall, startPostern } from '../helpers/postern.ts';
import { noRedis, type RedisServer, startRedis } from '../real/redis-server.ts';
import type { Setting } from './case.ts';
import { FuzzServer } from './server.ts';
import { configOf } from './settings.ts';

const REDIS_PORT = 6379;

/** What stands behind the firewall: a server of ours, or a wire to a real one. */
export type Behind = Pick<
  FuzzServer,
  'connections' | 'told' | 'accepted' | 'busy' | 'isAlone' | 'onActivity' | 'expect'
>;

/** What a session is played in. */
export interface Place {
  readonly setting: Setting;
  readonly port: number;
  readonly servers: Behind;
  readonly other: Behind;
  defects(): string[];
}

export class Bed implements Place {
  readonly setting: Setting;
  readonly port: number;
  readonly servers: FuzzServer;
  readonly other: FuzzServer;
  readonly #firewall: Omit<OpenFirewall, 'close'> & { close(): Promise<void> };
  readonly #redis: RedisServer | null;
  #read = 0;

  private constructor(
    setting: Setting,
    servers: FuzzServer,
    other: FuzzServer,
    firewall: OpenFirewall,
    redis: RedisServer | null,
  ) {
    this.setting = setting;
    this.servers = servers;
    this.other = other;
    this.port = firewall.port;
    this.#firewall = firewall;
    this.#redis = redis;
  }

  static async open(wanted: Setting): Promise<Bed> {
    const setting = wanted.runs === 'redis' && noRedis !== false ? { ...wanted, runs: 'workers' as const } : wanted;
    const servers = await FuzzServer.listen(setting);
    const other = await FuzzServer.listen(setting);
    const redis = setting.runs === 'redis' ? await startRedis() : null;
    const config = configOf(setting, { servers: servers.port, other: other.port, redis: redis?.port ?? REDIS_PORT });
    const start = setting.runs === 'here' ? openFirewall : startPostern;
    try {
      return new Bed(setting, servers, other, await start(config), redis);
    } catch (error) {
      await Promise.all([servers.close(), other.close(), redis?.stop()]);
      throw error;
    }
  }

  /** Log lines since this was asked last that say that a fault of ours was caught. */
  defects(): string[] {
    const lines = this.#firewall.logs.slice(this.#read);
    this.#read = this.#firewall.logs.length;
    return lines.filter((line) => line.includes('"msg":"defect"'));
  }

  async close(): Promise<void> {
    await this.#firewall.close();
    await Promise.all([this.servers.close(), this.other.close(), this.#redis?.stop()]);
  }
}
