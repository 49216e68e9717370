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
import type {
  Admission,
  Admitted,
  ConnectionEnds,
  ConnectionRefusal,
  Decision,
  Judge,
  OwnReply,
  Profile,
  Question,
  SessionEvent,
} from '../smtp/types.ts';
import { ClientLimits } from './client-limits.ts';
import { noPlaceReply } from './limit-costs.ts';
import type { Limiter } from './limiter.ts';
import { when } from './when.ts';

const NO_PLACE_ANY_MORE: Decision = {
  action: 'disconnect',
  reason: 'reload',
  rule: null,
  reply: CONFIGURATION_CHANGED,
};

const NO_TRANSACTION = -1;

const REASONS: Readonly<Record<NoPlace, ConnectionRefusal>> = {
  ban: 'banned',
  rate: 'connection_rate',
  source: 'connections',
  percent: 'connections_percent',
  connector: 'connections',
};

export class AdmissionControl {
  policy: Policy;
  readonly #limiter: Limiter;
  readonly broughtMail: (ends: ConnectionEnds) => void;

  /** `broughtMail` hears of each session that comes to MAIL, once. */
  constructor(policy: Policy, limiter: Limiter, broughtMail: (ends: ConnectionEnds) => void = () => {}) {
    this.policy = policy;
    this.#limiter = limiter;
    this.broughtMail = broughtMail;
  }

  /** Whether this address is one that no ban touches, on some connector. */
  neverBans(address: string): boolean {
    return this.policy.connectors.some((connector) => this.#limiter.isNeverBanned(connector, address));
  }

  /** Which connector answers, whether it takes this client, and whether there is room. */
  admit(ends: ConnectionEnds): Admission | Promise<Admission> {
    const { policy } = this;
    const connector = policy.connectorFor(ends);
    if (connector === null) return { admitted: false, connector: null, reply: NO_CONNECTOR, reason: 'no_connector' };
    const enforces = connector.mode === 'enforce';
    const refusal = connector.refusal(ends.clientAddress);
    if (!(refusal instanceof Promise) && refusal !== null && enforces) return denied(connector, refusal);
    const clientLimits = new ClientLimits(this.#limiter, connector, ends.clientAddress, ends.check);
    return when(clientLimits.enter(), ({ refused }) => {
      const full = refused === null ? null : noPlace(connector, refused);
      if (full !== null && enforces) return { admitted: false, connector: connector.name, ...full };
      // Who has to be looked up has a place meanwhile: slow DNS is no way around the limits.
      return when(refusal, (found) => {
        if (found === null || !enforces) {
          const observed = found !== null ? ({ reply: found, reason: 'connect' } as const) : (full ?? undefined);
          return new AdmittedClient(this, ends, policy, connector, clientLimits, observed);
        }
        clientLimits.leave();
        return denied(connector, found);
      });
    });
  }
}

/** One client that was let in. Its judge goes on to the policy in force with every MAIL; a transaction that is open when that MAIL is refused
 * stays with the judge that let it begin, or a sender that one policy allows would reach recipients that only the other does. */
class AdmittedClient implements Admitted {
  readonly admitted = true;
  readonly profile: Profile;
  readonly observed: Refusal | undefined;
  readonly #control: AdmissionControl;
  readonly #ends: ConnectionEnds;
  readonly #connector: Connector;
  readonly #limits: ClientLimits;
  #policy: Policy;
  #judge: Judge | null;
  #before: Judge | null = null;
  #judgedBefore = NO_TRANSACTION; // the transaction that went on when the judge changed
  #broughtMail = false;

  constructor(
    control: AdmissionControl,
    ends: ConnectionEnds,
    policy: Policy,
    connector: Connector,
    limits: ClientLimits,
    observed: Refusal | undefined,
  ) {
    this.profile = connector.profile;
    this.observed = observed;
    this.#control = control;
    this.#ends = ends;
    this.#connector = connector;
    this.#limits = limits;
    this.#policy = policy;
    this.#judge = connector.judgeFor(endsOf(ends));
  }

  get isBannable(): boolean {
    return this.#limits.isBannable;
  }

  judge(question: Question): Decision | Promise<Decision> {
    const { policy } = this.#control;
    if (question.protocolState === 'MAIL') this.#brings();
    if (this.#policy === policy || question.protocolState !== 'MAIL') return this.#decide(question);
    this.#policy = policy;
    const next = policy.connectorFor(this.#ends);
    const refusal = next?.mode === 'enforce' ? next.refusal(this.#ends.clientAddress) : null;
    return when(refusal, (found) => {
      // What the session was given when it began it would keep: another profile means another session.
      const { name, profile } = this.#connector;
      const same = next !== null && next.name === name && isDeepStrictEqual(next.profile, profile);
      if (question.transaction !== this.#judgedBefore) this.#before = this.#judge;
      this.#judgedBefore = question.transaction;
      this.#judge = same && found === null ? next.judgeFor(endsOf(this.#ends)) : null;
      if (same) this.#limits.connector = next;
      return this.#decide(question);
    });
  }

  #brings(): void {
    if (this.#broughtMail) return;
    this.#broughtMail = true;
    this.#control.broughtMail(this.#ends);
    if (this.#ends.check === true) this.#control.policy.cameFrom(this.#ends);
  }

  #decide(question: Question): Decision | Promise<Decision> {
    const judge = this.#judgeOf(question);
    if (judge === null) return NO_PLACE_ANY_MORE;
    return when(judge(question), (decision) => this.#limits.decide(question, decision));
  }

  #judgeOf({ protocolState, transaction }: Question): Judge | null {
    if (protocolState !== 'RCPT') return this.#judge;
    if (transaction === this.#judgedBefore) return this.#before;
    this.#judgedBefore = NO_TRANSACTION;
    return this.#judge;
  }

  heard(event: SessionEvent): void {
    this.#limits.heard(event);
  }

  release(): void {
    this.#limits.leave();
  }
}

interface Refusal {
  readonly reply: OwnReply;
  readonly reason: ConnectionRefusal;
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

function endsOf({ clientAddress, localAddress, localPort, lost }: ConnectionEnds): SessionEnds {
  return { address: clientAddress, localAddress, localPort, lost };
}
