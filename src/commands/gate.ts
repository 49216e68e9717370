// Who is let in, under which policy: the policy in force, and what happens to sessions when another one takes its place.
//
// A reload is atomic: the new policy is whole before the old one goes. A session in mid-transaction finishes it under the
// old one; its next MAIL is judged by the new one; a session whose connector is gone, or that may not connect any more,
// hears 421 at that MAIL (design.md 3), and so does one whose connector now lets its sessions do other things on the wire.

import { isDeepStrictEqual } from 'node:util';
import type { Connections } from '../limits/connections.ts';
import type { Connector, SessionEnds } from '../policy/connector.ts';
import { parseIp } from '../policy/ip.ts';
import { NO_CONNECTOR, type Policy } from '../policy/policy.ts';
import type { Admission, Decision, Door, Judge, OwnReply } from '../smtp/types.ts';

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
  admit(door: Door): Admission | Promise<Admission> {
    const { policy } = this;
    const connector = policy.connectorFor(door);
    if (connector === null) return { admitted: false, connector: null, reply: NO_CONNECTOR, reason: 'no_connector' };
    const refusal = connector.refusal(door.clientAddress);
    if (!(refusal instanceof Promise)) return this.#admit(door, policy, connector, refusal);
    return refusal.then((found) => this.#admit(door, policy, connector, found));
  }

  #admit(door: Door, policy: Policy, connector: Connector, refusal: OwnReply | null): Admission {
    const { name, limits, replies, profile } = connector;
    const enforced = connector.mode === 'enforce';
    if (refusal !== null && enforced) return { admitted: false, connector: name, reply: refusal, reason: 'connect' };
    const network = networkOf(door.clientAddress);
    const reached = this.#connections.reached(name, network, {
      source: limits.source.connections,
      connector: limits.connector.connections,
    });
    if (reached !== null && enforced) {
      return { admitted: false, connector: name, reply: replies.connections, reason: 'connections' };
    }
    const observed =
      refusal !== null
        ? ({ reply: refusal, reason: 'connect' } as const)
        : reached !== null
          ? ({ reply: replies.connections, reason: 'connections' } as const)
          : undefined;
    const release = this.#connections.open(name, network);
    return { admitted: true, profile, judge: this.#judgeFor(door, policy, connector), observed, release };
  }

  /** The judge of one session, which goes on to the policy in force with every MAIL. */
  #judgeFor(door: Door, first: Policy, connector: Connector): Judge {
    let policy = first;
    let judge: Judge | null = connector.judgeFor(endsOf(door));
    return (question) => {
      if (policy === this.policy || question.protocolState !== 'MAIL')
        return judge?.(question) ?? CONFIGURATION_CHANGED;
      policy = this.policy;
      const next = policy.connectorFor(door);
      const refusal = next?.mode === 'enforce' ? next.refusal(door.clientAddress) : null;
      const goOn = (found: OwnReply | null): Decision | Promise<Decision> => {
        // What the session was given when it began it would keep: another profile means another session.
        const same =
          next !== null && next.name === connector.name && isDeepStrictEqual(next.profile, connector.profile);
        judge = same && found === null ? next.judgeFor(endsOf(door)) : null;
        return judge?.(question) ?? CONFIGURATION_CHANGED;
      };
      return refusal instanceof Promise ? refusal.then(goOn) : goOn(refusal);
    };
  }
}

function endsOf({ clientAddress, localAddress, localPort, lost }: Door): SessionEnds {
  return { address: clientAddress, localAddress, localPort, lost };
}

/** What counts as one source: an IPv4 address, or the /64 that one customer is given. */
function networkOf(address: string): string {
  const ip = parseIp(address);
  return typeof ip === 'bigint' ? (ip >> 64n).toString(16) : address;
}
