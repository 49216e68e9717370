// The old server of the road on this machine: one house, at the places from which it is seen.
//
// The network says where a connection comes from (a PROXY header); Postern's machine and a stranger are seen as themselves.

import type { House, ReceivedMessage } from './house.ts';
import { POSTERN, SERVER } from './office.ts';
import { type OldExchange, startOldExchange } from './old-exchange.ts';
import type { OldSystem, Stage } from './old-systems.ts';

const HOST = '127.0.0.1';
const STRANGER = '203.0.113.99';

export class OldServer {
  readonly #system: OldSystem;
  readonly #messages: ReceivedMessage[] = [];
  #house: House;
  readonly #doors: OldExchange[] = [];

  constructor(system: OldSystem) {
    this.#system = system;
    this.#house = system.house('open');
  }

  async start(now: () => Date): Promise<void> {
    const house: House = {
      tongue: this.#house.tongue,
      hasAccount: (name, password) => this.#house.hasAccount(name, password),
      whyNotFrom: (caller, sender) => this.#house.whyNotFrom(caller, sender),
      whyNotTo: (caller, recipient) => this.#house.whyNotTo(caller, recipient),
      journal: this.#house.journal,
    };
    const ends = (address: string, localPort: number) => ({ address, port: 50_000, localAddress: SERVER, localPort });
    const common = { host: HOST, port: 0, now, house, onMessage: (one: ReceivedMessage) => this.#messages.push(one) };
    this.#doors.push(
      await startOldExchange({ ...common, proxied: true }),
      await startOldExchange({ ...common, ends: ends(POSTERN, 25) }),
      await startOldExchange({ ...common, ends: ends(POSTERN, 2525) }),
      await startOldExchange({ ...common, ends: ends(STRANGER, 25) }),
    );
  }

  /** Where its ports are on this machine. */
  get ports(): {
    readonly network: number;
    readonly world: number;
    readonly devices: number;
    readonly stranger: number;
  } {
    const [network = 0, world = 0, devices = 0, stranger = 0] = this.#doors.map(({ port }) => port);
    return { network, world, devices, stranger };
  }

  become(stage: Stage): void {
    this.#house = this.#system.house(stage);
  }

  /** The messages since this was asked last. */
  taken(): ReceivedMessage[] {
    return this.#messages.splice(0);
  }

  async close(): Promise<void> {
    for (const door of this.#doors) await door.close();
  }
}
