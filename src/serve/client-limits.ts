// Limits as a policy states them, turned into questions to the counts: what a connection, a login, a message and a recipient
// cost, and what a client hears when it is too much (design.md 6).
//
// The policy speaks first and a limit only ever adds a no: what policy refuses is charged to the refusal counters alone, and a
// count that cannot be had lets pass. A limit never touches a message half sent; octets are charged as they come and looked at
// with the next MAIL. Who is refused is told 421 (connection), 450 (rate) or 454 (login).
//
// A balancer's own check (ConnectionEnds.check) costs its source nothing and is not banned: it has a place of the connector, and no more.
// With its first MAIL it is a client like any other and pays as at connection time. Only failed logins count at once, for nobody
// checks by guessing passwords.
//
// A client that comes again at once when it was refused at connection time has gone beyond one limit, not beyond as many as it came
// times, and so has a message with many recipients beyond the rate of recipients.
//
// Not here: how anything is counted (limits/), limits of one session (smtp/), time-outs (proxy/phase-timers.ts).

import { bucketKey, justStruckKey, type Kind, type RateName } from '../limits/keys.ts';
import type { Asked, Entered, Seat, Strike, Taken } from '../limits/store.ts';
import type { Connector } from '../policy/connector.ts';
import type { Rate } from '../policy/document.ts';
import { parseIp } from '../policy/ip.ts';
import { networksOf } from '../policy/networks.ts';
import { BANNED, LOGINS_LIMITED } from '../smtp/replies.ts';
import type { Decision, Login, OwnReply, Question, SessionEvent } from '../smtp/types.ts';
import { CONNECTION_LIMITS, type Cost, chargesOf, isOwn, noPlaceReply, senderKey } from './limit-costs.ts';
import type { Limiter } from './limiter.ts';
import { when } from './when.ts';

const OCTETS_AT_ONCE = 65536; // charged together
const COMES_AGAIN = 5_000; //    ms in which refusals at connection time are one exceeding
const CHECKS = 'checks'; //      what balancers' checks are counted under, instead of a source
const PASS: Taken = { refused: -1, left: 0, banned: 'no' };

/** One connection, as limits see it: who it is, and what it has under way. */
export class ClientLimits {
  readonly #limiter: Limiter;
  readonly #address: string;
  #connector: Connector;
  #networks: readonly string[] = [];
  #source = '';
  #seat: Seat | null = null;
  #isCheck: boolean;
  #messageHit = false; // its recipients have counted towards a ban
  #octets = 0;
  #isGone = false;
  #excused: Set<string> | null = null; // limits of the session towards which something counts that others brought about
  #unanswered = 0; // RCPTs that the upstream has not answered
  #whenAnswered: (() => void) | null = null;

  /** `isCheck`: a balancer's own, as long as no MAIL comes. */
  constructor(limiter: Limiter, connector: Connector, address: string, isCheck = false) {
    this.#limiter = limiter;
    this.#address = address;
    this.#isCheck = isCheck;
    this.#connector = connector;
    this.#findSource();
  }

  /** The policy in force has changed; its limits act from the next question on. */
  set connector(connector: Connector) {
    this.#connector = connector;
    this.#findSource();
  }

  #findSource(): void {
    const { limits } = this.#connector;
    const ip = parseIp(this.#address);
    const networks = ip === null ? [this.#address] : networksOf(ip, limits.source);
    this.#source = networks[0] ?? '';
    this.#networks = this.#limiter.isNeverBanned(this.#connector, this.#address) ? [] : networks;
  }

  /** Whether it is a client, to whom a ban applies. */
  get isBannable(): boolean {
    return !this.#isCheck;
  }

  // ---------------------------------------------------------------- the connection

  /** Whether there is a place. Where the connector only observes it is counted all the same. */
  enter(): Entered | Promise<Entered> {
    const { limits, mode, name } = this.#connector;
    const { store, now } = this.#limiter;
    const { connection_rate, connections, connections_percent } = limits.source;
    const isCheck = this.#isCheck;
    const seat = { connector: name, source: isCheck ? CHECKS : this.#source };
    const entered = store.enter(
      {
        ...this.#asked(isCheck ? [] : this.#cost('source', 'connection_rate', connection_rate, 1, this.#source), true),
        seat,
        ofSource: isCheck ? Number.POSITIVE_INFINITY : connections,
        ofConnector: limits.connector.connections,
        percent: isCheck ? 100 : connections_percent,
        force: mode === 'observe',
      },
      now(),
    );
    return when(entered, (found) => {
      if (found.refused === null || mode === 'observe') this.#seat = seat;
      if (this.#isGone) this.#giveBackSeat(); // meanwhile
      if (found.banned === 'now') this.#tellBan();
      return found;
    });
  }

  /** The connection is gone. */
  leave(): void {
    this.#isGone = true;
    this.#chargeOctets();
    this.#giveBackSeat();
  }

  #giveBackSeat(): void {
    if (this.#seat !== null) this.#limiter.store.leave(this.#seat);
    this.#seat = null;
  }

  // ---------------------------------------------------------------- the dialogue

  /** What limits make of a decision of the policy. */
  decide(question: Question, decision: Decision): Decision | Promise<Decision> {
    if (question.protocolState === 'MAIL' && this.#isCheck) return this.#becomeClient(question, decision);
    const passes = decision.action === 'proceed' && !decision.observed;
    if (question.protocolState === 'RCPT') {
      // To be told 550 by us is as good to a harvester as to be told by the upstream.
      const harvests = decision.action !== 'proceed' && decision.reason === 'unknown_recipient';
      if (!passes && !harvests) return this.#counted(decision);
      return this.#recipient(question, decision);
    }
    if (!passes) return decision;
    return question.protocolState === 'MAIL' ? this.#message(question, decision) : this.#login(question, decision);
  }

  /** It brings mail, so it was no check: what it would have paid at connection time it pays now. */
  #becomeClient(question: Question, decision: Decision): Decision | Promise<Decision> {
    this.#isCheck = false;
    this.#giveBackSeat();
    return when(this.enter(), ({ refused }) => {
      if (refused === null) return this.decide(question, decision);
      const [kind, limit] = CONNECTION_LIMITS[refused];
      if (limit !== 'ban') this.#limiter.observer.limited(kind, limit);
      const rule = limit === 'ban' ? 'limits.ban' : `limits.${kind}.${limit}`;
      const reply = noPlaceReply(refused, this.#connector.replies);
      const refusal = this.#refusal(decision, rule, 'disconnect', reply);
      return refusal.action === 'proceed' ? this.decide(question, refusal) : refusal;
    });
  }

  /** Counts what happens. */
  heard(event: SessionEvent): void {
    switch (event.name) {
      case 'recipient':
        if (event.decision === 'reject' && event.reply.startsWith('5')) this.#charge(this.#harvest(1));
        return;
      case 'answered':
        this.#answered(event.code);
        return;
      case 'login_failed':
        if (event.code < 500) this.#excuse('auth_failures');
        else this.#charge(this.#guesses(event.login, 1));
        return;
      case 'octets':
        this.#octets += event.octets;
        if (this.#octets >= OCTETS_AT_ONCE) this.#chargeOctets();
        return;
      case 'limited':
        if (!AGAINST_THE_SERVER.has(event.key) || this.#excused?.has(event.key) === true) return;
        if (this.#connector.mode === 'enforce') this.#strike();
        return;
    }
  }

  #excuse(limit: string): void {
    this.#excused ??= new Set();
    this.#excused.add(limit);
  }

  #message(question: Question, decision: Decision): Decision | Promise<Decision> {
    this.#chargeOctets();
    this.#messageHit = false;
    const { limits, replies } = this.#connector;
    const { source, sender, connector } = limits;
    const costs = [
      ...this.#cost('source', 'message_rate', source.message_rate, 1, this.#source),
      ...this.#cost('source', 'byte_rate', source.byte_rate, 0, this.#source),
      ...this.#harvest(0),
      ...this.#ofLogin(question, 'message_rate', limits.login.message_rate),
      // The null path is everybody's: bounces are nobody's mail to count.
      ...(question.sender === ''
        ? []
        : this.#cost('sender', 'message_rate', sender.message_rate, 1, senderKey(question))),
      ...this.#cost('connector', 'message_rate', connector.message_rate, 1, ''),
    ];
    return this.#take(costs, (taken) => {
      if (taken.banned !== 'no') return this.#refusal(decision, 'limits.ban', 'disconnect', BANNED);
      return this.#verdict(costs, taken, decision, replies.rate);
    });
  }

  #recipient(question: Question, decision: Decision): Decision | Promise<Decision> {
    const { limits, replies } = this.#connector;
    const harvest = this.#harvest(0);
    const passes = decision.action === 'proceed';
    const costs = passes
      ? [
          ...harvest,
          ...this.#cost('source', 'recipient_rate', limits.source.recipient_rate, 1, this.#source),
          ...this.#ofLogin(question, 'recipient_rate', limits.login.recipient_rate),
        ]
      : harvest;
    const unanswered = this.#unanswered;
    return this.#takeDespiteBan(costs, (taken) => {
      const verdict = this.#verdict(costs, taken, decision, replies.rate);
      if (verdict !== decision || harvest.length === 0 || !passes) return this.#counted(verdict);
      return this.#whenHarmless(harvest, taken, decision, unanswered);
    });
  }

  /** Refusals that are still to come count too: a client that sends recipients in a heap learns no more than one that asks
   * for them one by one. `unanswered` were when the counts were asked; they have not heard of what came in meanwhile. */
  #whenHarmless(
    harvest: readonly Cost[],
    { left }: Taken,
    decision: Decision,
    unanswered: number,
  ): Decision | Promise<Decision> {
    if (unanswered < left || unanswered === 0) return this.#counted(decision);
    const askAgain = (): Decision | Promise<Decision> => {
      const now = this.#unanswered;
      return this.#takeDespiteBan(harvest, (taken) => {
        const verdict = this.#verdict(harvest, taken, decision, this.#connector.replies.rate);
        return verdict === decision ? this.#whenHarmless(harvest, taken, decision, now) : this.#counted(verdict);
      });
    };
    if (this.#unanswered < unanswered) return askAgain();
    return new Promise<void>((resolve) => {
      this.#whenAnswered = resolve;
    }).then(askAgain);
  }

  #login({ login }: Question, decision: Decision): Decision | Promise<Decision> {
    const costs = this.#guesses(login, 0);
    return this.#take(costs, (taken) => {
      if (taken.banned !== 'no') return this.#refusal(decision, 'limits.ban', 'disconnect', BANNED);
      return this.#verdict(costs, taken, decision, LOGINS_LIMITED);
    });
  }

  /** Every decision on a RCPT passes here once: which of them the upstream will answer. */
  #counted(decision: Decision): Decision {
    if (decision.action === 'proceed') this.#unanswered++;
    return decision;
  }

  #answered(code: number): void {
    this.#unanswered--;
    if (code >= 500) this.#charge(this.#harvest(1));
    const goOn = this.#whenAnswered;
    this.#whenAnswered = null;
    goOn?.();
  }

  #chargeOctets(): void {
    const { byte_rate } = this.#connector.limits.source;
    if (this.#octets > 0) this.#charge(this.#cost('source', 'byte_rate', byte_rate, this.#octets, this.#source));
    this.#octets = 0;
  }

  // ---------------------------------------------------------------- questions

  #take(costs: readonly Cost[], then: (taken: Taken) => Decision | Promise<Decision>): Decision | Promise<Decision> {
    if (costs.length === 0) return then(PASS);
    const taken = this.#limiter.store.take(this.#asked(costs), this.#limiter.now());
    return when(taken, (found) => {
      if (found.banned === 'now') this.#tellBan();
      return then(found);
    });
  }

  /** Who was banned in mid-transaction may end it, but within the limits: to who is banned nothing is charged, so it is asked
   * again as if nobody were. */
  #takeDespiteBan(
    costs: readonly Cost[],
    then: (taken: Taken) => Decision | Promise<Decision>,
  ): Decision | Promise<Decision> {
    const unbanned: Asked = { networks: [], charges: chargesOf(costs), strike: null };
    return this.#take(costs, (taken) =>
      taken.banned === 'was' ? when(this.#limiter.store.take(unbanned, this.#limiter.now()), then) : then(taken),
    );
  }

  #verdict(costs: readonly Cost[], taken: Taken, decision: Decision, reply: OwnReply): Decision {
    const refused = costs[taken.refused];
    if (refused === undefined) return decision;
    this.#limiter.observer.limited(refused.kind, refused.rate);
    if (!isOwn(refused)) this.#excuse('errors'); // a 450 to MAIL is one
    if (refused.rate === 'recipient_rate' && isOwn(refused)) this.#messageHit = true;
    return this.#refusal(decision, `limits.${refused.kind}.${refused.rate}`, 'reject', reply);
  }

  /** In observe it goes on, and is told. What policy refuses itself stays refused, only later to be known. */
  #refusal(decision: Decision, rule: string, action: 'reject' | 'disconnect', reply: OwnReply): Decision {
    if (this.#connector.mode === 'enforce') return { action, reason: 'limit', rule, reply };
    return decision.action === 'proceed'
      ? { action: 'proceed', reason: 'limit', rule, observed: true, reply }
      : decision;
  }

  #asked(costs: readonly Cost[], atDoor = false): Asked {
    return {
      networks: this.#isCheck ? [] : this.#networks,
      charges: chargesOf(costs),
      strike: this.#strikeFor(costs, atDoor),
    };
  }

  /** Its own faults are those of the source, and guesses of a login. What others can bring about – a sender or a login used up
   * from elsewhere, a connector that is full – bans nobody. They stand first. */
  #strikeFor(costs: readonly Cost[], atDoor = false): Strike | null {
    const { limits, mode, name } = this.#connector;
    const { after } = limits.ban;
    if (after === null || mode === 'observe' || this.#networks.length === 0 || this.#isCheck) return null;
    const others = costs.findIndex((cost) => !isOwn(cost) || (this.#messageHit && cost.rate === 'recipient_rate'));
    const charge = { key: bucketKey('source', 'strikes', name, this.#source), ...after, cost: 1 };
    const once = { key: justStruckKey(charge.key), limit: 1, window: COMES_AGAIN, cost: 1 };
    return {
      charge,
      faults: others === -1 ? costs.length : others,
      network: this.#source,
      for: limits.ban.for,
      ...(atDoor ? { once } : {}),
    };
  }

  /** A limit of the session was exceeded: counts as one of the source's. */
  #strike(): void {
    const strike = this.#strikeFor([]);
    if (strike === null) return;
    const tooMuch = { ...strike.charge, cost: Number.MAX_SAFE_INTEGER }; // fits nowhere, so that it is a fault
    this.#take([{ kind: 'source', rate: 'strikes', charge: tooMuch }], () => PROCEED);
  }

  #tellBan(): void {
    this.#limiter.observer.banned({ network: this.#source, for: this.#connector.limits.ban.for, by: 'limits' });
  }

  #charge(costs: readonly Cost[]): void {
    if (costs.length > 0) this.#limiter.store.charge(chargesOf(costs), this.#limiter.now());
  }

  /** Nothing where there is no limit. */
  #cost(kind: Kind, rate: RateName, limit: Rate, cost: number, ...names: string[]): Cost[] {
    if (limit === null) return [];
    return [{ kind, rate, charge: { key: bucketKey(kind, rate, this.#connector.name, ...names), ...limit, cost } }];
  }

  #harvest(cost: number): Cost[] {
    const { rejected_recipient_rate } = this.#connector.limits.source;
    return this.#cost('source', 'rejected_recipient_rate', rejected_recipient_rate, cost, this.#source);
  }

  #guesses(login: Login | null, cost: number): Cost[] {
    const { source, login: ofLogin } = this.#connector.limits;
    const ofSource = this.#cost('source', 'auth_failure_rate', source.auth_failure_rate, cost, this.#source);
    const limit = ofLogin.auth_failure_rate;
    if (login === null || login.name === null || limit === null) return ofSource;
    const users = this.#connector.userKeys(login);
    return [
      ...ofSource,
      ...users.flatMap((user) => this.#cost('login', 'auth_failure_rate', limit, cost, user, this.#source)),
    ];
  }

  #ofLogin({ login }: Question, rate: RateName, limit: Rate): Cost[] {
    if (login === null || limit === null) return [];
    // Kerberos shows no name: then it is who comes from there.
    const names = login.name === null ? [`? ${this.#source}`] : this.#connector.userKeys(login);
    return names.flatMap((name) => this.#cost('login', rate, limit, 1, name));
  }
}

/** Limits of a session that a client exceeds against the server, not by having much mail. */
const AGAINST_THE_SERVER = new Set(['errors', 'junk_commands', 'auth_failures']);
const PROCEED: Decision = { action: 'proceed', reason: 'limit', rule: null, observed: false };
