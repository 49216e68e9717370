// The firewall of one setting between two servers that are there for one session at a time.

import { type OpenFirewall, openFirewall, startPostern } from '../helpers/postern.ts';
import { noRedis, type RedisServer, startRedis } from '../real/redis-server.ts';
import type { Policy, Setting } from './case.ts';
import { FuzzServer } from './server.ts';
import { configOf, namesOf, type Ports } from './settings.ts';

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
  /** Reloads, unless it is in force already: the setting's policy, or its next. */
  putInForce(which: 'policy' | 'next'): Promise<void>;
  defects(): string[];
}

export class Bed implements Place {
  readonly setting: Setting;
  readonly port: number;
  readonly servers: FuzzServer;
  readonly other: FuzzServer;
  readonly #firewall: Omit<OpenFirewall, 'close'> & { close(): Promise<void> };
  readonly #redis: RedisServer | null;
  readonly #ports: Ports;
  #inForce: 'policy' | 'next' = 'policy';
  #read = 0;

  private constructor(
    setting: Setting,
    [servers, other]: readonly [FuzzServer, FuzzServer],
    ports: Ports,
    firewall: OpenFirewall,
    redis: RedisServer | null,
  ) {
    this.setting = setting;
    this.servers = servers;
    this.other = other;
    this.#ports = ports;
    this.port = firewall.port;
    this.#firewall = firewall;
    this.#redis = redis;
  }

  static async open(wanted: Setting): Promise<Bed> {
    const setting = wanted.runs === 'redis' && noRedis !== false ? { ...wanted, runs: 'workers' as const } : wanted;
    const servers = await FuzzServer.listen(setting);
    const other = await FuzzServer.listen(setting);
    const redis = setting.runs === 'redis' ? await startRedis() : null;
    const ports = { servers: servers.port, other: other.port, redis: redis?.port ?? REDIS_PORT };
    const config = configOf(setting, ports);
    const resolve = async (address: string): Promise<readonly string[] | null> => namesOf(address);
    const start = setting.runs === 'here' ? openFirewall(config, { resolve }) : startPostern(config);
    try {
      return new Bed(setting, [servers, other], ports, await start, redis);
    } catch (error) {
      await Promise.all([servers.close(), other.close(), redis?.stop()]);
      throw error;
    }
  }

  async putInForce(which: 'policy' | 'next'): Promise<void> {
    if (which === this.#inForce || this.setting.next === null) return;
    this.#inForce = which;
    await this.#firewall.reload(configOf(this.setting, this.#ports, this.setting[which] as Policy));
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
