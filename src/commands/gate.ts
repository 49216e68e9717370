// Who is let in, under which policy: the policy in force, and what happens to sessions when another one takes its place.
//
// A reload is atomic: the new policy is whole before the old one goes. A session in mid-transaction finishes it under the
// old one; its next MAIL is judged by the new one; a session whose connector is gone, or that may not connect any more,
// hears 421 at that MAIL (design.md 3). What a connector lets its sessions do on the wire is settled when they begin.

import type { Connections } from '../limits/connections.ts';
import { parseIp } from '../policy/ip.ts';
import { NO_CONNECTOR, type Policy } from '../policy/policy.ts';
import { SERVER_BUSY } from '../smtp/replies.ts';
import type { Admission, Decision, Door, Judge } from '../smtp/types.ts';

const CONFIGURATION_CHANGED: Decision = {
  action: 'disconnect',
  reason: 'reload',
  rule: null,
  reply: { code: 421, enhanced: '4.3.2', text: 'Configuration changed, please connect again' },
};

export class Gate {
  policy: Policy;
  readonly #connections: Connections;

  constructor(policy: Policy, connections: Connections) {
    this.policy = policy;
    this.#connections = connections;
  }

  /** Which connector answers, whether it takes this client, and whether there is room. */
  admit(door: Door): Admission {
    const connector = this.policy.connectorFor(door);
    if (connector === null) return { admitted: false, connector: null, reply: NO_CONNECTOR, reason: 'no_connector' };
    const { name, limits, replies, profile } = connector;
    const enforced = connector.mode === 'enforce';
    const refusal = connector.refusal(door.clientAddress);
    if (refusal !== null && enforced) return { admitted: false, connector: name, reply: refusal, reason: 'connect' };
    const network = networkOf(door.clientAddress);
    const reached = this.#connections.reached(name, network, {
      source: limits.source.connections,
      connector: limits.connector.connections,
    });
    // The upstream's own limit is not policy: it holds in observe as well.
    if (reached === 'upstream') {
      return { admitted: false, connector: name, reply: SERVER_BUSY, reason: 'upstream_connections' };
    }
    if (reached !== null && enforced) {
      return { admitted: false, connector: name, reply: replies.connections, reason: 'connections' };
    }
    const release = this.#connections.open(name, network);
    return { admitted: true, profile, judge: this.#judgeFor(door, name), release };
  }

  /** The judge of one session, which goes on to the policy in force with every MAIL. */
  #judgeFor(door: Door, connector: string): Judge {
    let policy = this.policy;
    let judge = judgeOf(policy, door, connector);
    return (question) => {
      if (policy !== this.policy && question.protocolState === 'MAIL') {
        policy = this.policy;
        judge = judgeOf(policy, door, connector);
      }
      return judge === null ? CONFIGURATION_CHANGED : judge(question);
    };
  }
}

/** Null when this connector does not answer, or does not take the client, under that policy. */
function judgeOf(policy: Policy, door: Door, name: string): Judge | null {
  const connector = policy.connectorFor(door);
  if (connector === null || connector.name !== name) return null;
  if (connector.mode === 'enforce' && connector.refusal(door.clientAddress) !== null) return null;
  return connector.judgeFor({
    address: door.clientAddress,
    localAddress: door.localAddress,
    localPort: door.localPort,
  });
}

/** What counts as one source: an IPv4 address, or the /64 that one customer is given. */
function networkOf(address: string): string {
  const ip = parseIp(address);
  return typeof ip === 'bigint' ? (ip >> 64n).toString(16) : address;
}
