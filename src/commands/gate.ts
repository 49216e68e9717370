// Who is let in, under which policy: the policy in force, the limits around it, and what happens to sessions when another
// policy takes its place.
//
// A reload is atomic: the new policy is whole before the old one goes. A session in mid-transaction finishes it under the
// old one; its next MAIL is judged by the new one; a session whose connector is gone, or that may not connect any more,
// hears 421 at that MAIL (design.md 3), and so does one whose connector now lets its sessions do other things on the wire.
// Counters live on, and changed limits act at that MAIL as well.

import { isDeepStrictEqual } from 'node:util';
import type { NoPlace } from '../limits/store.ts';
import type { Connector, SessionEnds } from '../policy/connector.ts';
import { NO_CONNECTOR, type Policy } from '../policy/policy.ts';
import { CONFIGURATION_CHANGED } from '../smtp/replies.ts';
import type { Admission, Decision, Door, DoorReason, Judge, OwnReply } from '../smtp/types.ts';
import { noPlaceReply } from './limits/cost.ts';
import type { Guest } from './limits/guest.ts';
import type { Limiter } from './limits/limiter.ts';
import { when } from './limits/when.ts';

const NO_PLACE_ANY_MORE: Decision = {
  action: 'disconnect',
  reason: 'reload',
  rule: null,
  reply: CONFIGURATION_CHANGED,
};

const REASONS: Readonly<Record<NoPlace, DoorReason>> = {
  ban: 'banned',
  rate: 'connection_rate',
  source: 'connections',
  percent: 'connections_percent',
  connector: 'connections',
};

export class Gate {
  policy: Policy;
  readonly #limiter: Limiter;
  readonly #broughtMail: (door: Door) => void;

  /** `broughtMail` hears of each session that comes to MAIL, once. */
  constructor(policy: Policy, limiter: Limiter, broughtMail: (door: Door) => void = () => {}) {
    this.policy = policy;
    this.#limiter = limiter;
    this.#broughtMail = broughtMail;
  }

  /** Whether this address is one that no ban touches, on some connector. */
  neverBans(address: string): boolean {
    return this.policy.connectors.some((connector) => this.#limiter.isNeverBanned(connector, address));
  }

  /** Which connector answers, whether it takes this client, and whether there is room. */
  admit(door: Door): Admission | Promise<Admission> {
    const { policy } = this;
    const connector = policy.connectorFor(door);
    if (connector === null) return { admitted: false, connector: null, reply: NO_CONNECTOR, reason: 'no_connector' };
    const enforces = connector.mode === 'enforce';
    const refusal = connector.refusal(door.clientAddress);
    if (!(refusal instanceof Promise) && refusal !== null && enforces) return denied(connector, refusal);
    const guest = this.#limiter.guest(connector, door.clientAddress, door.check);
    return when(guest.enter(), ({ refused }) => {
      const full = refused === null ? null : noPlace(connector, refused);
      if (full !== null && enforces) return { admitted: false, connector: connector.name, ...full };
      // Who has to be looked up has a place meanwhile: slow DNS is no way around the limits.
      return when(refusal, (found) => {
        if (found === null || !enforces) return this.#admission(door, policy, connector, guest, found, full);
        guest.leave();
        return denied(connector, found);
      });
    });
  }

  #admission(
    door: Door,
    policy: Policy,
    connector: Connector,
    guest: Guest,
    refusal: OwnReply | null,
    full: Refusal | null,
  ): Admission {
    return {
      admitted: true,
      profile: connector.profile,
      judge: this.#judgeFor(door, policy, connector, guest),
      observed: refusal !== null ? { reply: refusal, reason: 'connect' } : (full ?? undefined),
      heard: (event) => guest.heard(event),
      isBannable: () => guest.isBannable,
      release: () => guest.leave(),
    };
  }

  /** The judge of one session, which goes on to the policy in force with every MAIL. */
  #judgeFor(door: Door, first: Policy, connector: Connector, guest: Guest): Judge {
    let policy = first;
    let judge: Judge | null = connector.judgeFor(endsOf(door));
    let brought = false;
    const decide: Judge = (question) => {
      if (judge === null) return NO_PLACE_ANY_MORE;
      return when(judge(question), (decision) => guest.decide(question, decision));
    };
    return (question) => {
      if (question.protocolState === 'MAIL' && !brought) {
        brought = true;
        this.#broughtMail(door);
        if (door.check === true) this.policy.cameFrom(door);
      }
      if (policy === this.policy || question.protocolState !== 'MAIL') return decide(question);
      policy = this.policy;
      const next = policy.connectorFor(door);
      const refusal = next?.mode === 'enforce' ? next.refusal(door.clientAddress) : null;
      return when(refusal, (found) => {
        // What the session was given when it began it would keep: another profile means another session.
        const same =
          next !== null && next.name === connector.name && isDeepStrictEqual(next.profile, connector.profile);
        judge = same && found === null ? next.judgeFor(endsOf(door)) : null;
        if (same) guest.connector = next;
        return decide(question);
      });
    };
  }
}

interface Refusal {
  readonly reply: OwnReply;
  readonly reason: DoorReason;
  readonly key?: string;
}

function denied({ name }: Connector, reply: OwnReply): Admission {
  return { admitted: false, connector: name, reply, reason: 'connect' };
}

function noPlace({ replies }: Connector, refused: NoPlace): Refusal {
  const reply = noPlaceReply(refused, replies);
  const reason = REASONS[refused];
  return refused === 'connector' ? { reply, reason, key: 'limits.connector.connections' } : { reply, reason };
}

function endsOf({ clientAddress, localAddress, localPort, lost }: Door): SessionEnds {
  return { address: clientAddress, localAddress, localPort, lost };
}
