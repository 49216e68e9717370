// A policy, ready to decide: which connector answers a client. compile.ts makes it; the connector's judge does the rest.

import { isUtf8Text, parseForwardPath } from '../smtp/path.ts';
import type { ConnectionEnds, OwnReply } from '../smtp/types.ts';
import type { ClientReader, Connector } from './connector.ts';
import { parseIp } from './ip.ts';
import type { Domains } from './judge.ts';
import { DEFAULT_REPLIES } from './replies.ts';
import type { Choice, Selection } from './selection.ts';

/** What no connector answers is refused with this. */
export const NO_CONNECTOR: OwnReply = DEFAULT_REPLIES.connect;

/** What of a door chooses the connector. */
export type Arrival = Pick<ConnectionEnds, 'clientAddress' | 'localAddress' | 'localPort' | 'lost' | 'check'>;

export class Policy {
  readonly connectors: readonly Connector[];
  readonly #domains: Domains;
  readonly #selection: Selection<Connector>;
  readonly #clientAt: ClientReader;
  /** Null when there is no guard, or it has spoken. */
  #onLostAddress: ((address: string) => void) | null;

  constructor(
    connectors: readonly Connector[],
    domains: Domains,
    selection: Selection<Connector>,
    clientAt: ClientReader,
    onLostAddress: ((address: string) => void) | null,
  ) {
    this.connectors = connectors;
    this.#domains = domains;
    this.#selection = selection;
    this.#clientAt = clientAt;
    this.#onLostAddress = onLostAddress;
  }

  /** The connector that answers at this door, null when none does: then the connection is refused. */
  connectorFor(ends: Arrival): Connector | null {
    if (ends.check !== true) this.cameFrom(ends);
    return this.choiceFor(ends)?.connector ?? null;
  }

  /** A client came: the guard speaks once of one whose own address was lost. A balancer's check is no client. */
  cameFrom(ends: Arrival): void {
    if (this.#onLostAddress === null || !this.#isLost(ends)) return;
    this.#onLostAddress(ends.clientAddress);
    this.#onLostAddress = null;
  }

  /** The same, with the range that decided. A question only: nobody stands there, so no lost address is told. */
  choiceFor(ends: Arrival): Choice<Connector> | null {
    const ip = parseIp(ends.clientAddress);
    return ip === null
      ? null
      : this.#selection.choose(ip, this.#isLost(ends), parseIp(ends.localAddress), ends.localPort);
  }

  /** Whether a forward-path, as written between its brackets, names accepted domains alone: then nothing is relayed. */
  isLocal(recipient: string): boolean {
    const octets = `<${recipient}>`;
    const path = parseForwardPath(octets, 0, isUtf8Text(octets));
    if (!('addresses' in path)) return false;
    return path.addresses.every(({ domain }) => domain === null || this.#domains.known.find(domain) === 'accepted');
  }

  #isLost({ clientAddress, localAddress, lost }: Arrival): boolean {
    const ip = parseIp(clientAddress);
    return lost === true || (ip !== null && this.#clientAt(ip, parseIp(localAddress)).lost);
  }
}
