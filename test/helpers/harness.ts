// One Session between two ears, in memory: what the client and the upstream say goes in, what each of them hears is
// written down.
//
// It behaves as the driver does and no better: while the session holds, the client's octets wait outside; nothing is
// heard after the close; a judgement may come late. It breaks the test at once when the session breaks the contract of
// Wire (octets after the close, a second close, a call back from inside). It knows no SMTP.

import type { ClientIdentity } from '../../src/smtp/client-identity.ts';
import { Session } from '../../src/smtp/session.ts';
import type {
  Address,
  CloseReason,
  Decision,
  OwnReply,
  Profile,
  Question,
  SessionEvent,
  SessionLimits,
  Wire,
} from '../../src/smtp/types.ts';

/** The defaults of the product, as the documentation states them. */
export const DEFAULT_LIMITS: SessionLimits = {
  errors: 20,
  junkCommands: 100,
  recipientsPerMessage: 1000,
  messages: Number.POSITIVE_INFINITY,
  authFailures: 3,
  commandLine: 2048,
};

export const RELAY_DENIED: OwnReply = {
  code: 554,
  enhanced: '5.7.1',
  text: '<{recipient}>: Recipient address rejected: Relay access denied',
};

export const DEFAULT_PROFILE: Profile = {
  connector: 'internet',
  upstream: 'default',
  mode: 'enforce',
  relaysAnywhere: false,
  auth: 'offer',
  starttls: 'hide',
  exchangeVerbs: 'hide',
  chunking: 'offer',
  hideKeywords: new Set(),
  vrfy: 'forward',
  bareLf: 'reject',
  dotLines: 'pass',
  textLine: Number.POSITIVE_INFINITY,
  maxMessageSize: Number.POSITIVE_INFINITY,
  earlyTalker: 'hold',
  unqualifiedRecipients: 'reject',
  relayReply: RELAY_DENIED,
  limits: DEFAULT_LIMITS,
  tarpit: 0,
};

/** The small policy of the tests. Domains are exact. */
export interface TestPolicy {
  readonly accepted: readonly string[];
  readonly blocked?: readonly string[];
  readonly literals?: readonly string[];
  /** Who may reach foreign domains. */
  readonly relay?: 'nobody' | 'anyone' | 'authenticated';
  readonly relayReply?: OwnReply;
  readonly observe?: boolean;
  /** Reverse-paths (as written) that may not send. */
  readonly refusedSenders?: readonly string[];
  /** Users whose logins are not put to the upstream. */
  readonly refusedLogins?: readonly string[];
}

export type TestJudge = (question: Question) => Decision;

export function judgeBy(policy: TestPolicy): TestJudge {
  return (question) => {
    const refusal = REFUSALS[question.protocolState](policy, question);
    if (refusal === null) return { action: 'proceed', reason: 'accepted_domain', rule: null, observed: false };
    if (policy.observe) return { action: 'proceed', reason: refusal.reason, rule: null, observed: true };
    return refusal;
  };
}

type Refusal = Extract<Decision, { readonly reply: OwnReply }>;

const REFUSALS = { AUTH: refuseLogin, MAIL: refuseSender, RCPT: refuseRecipient } as const;

function refuseLogin(policy: TestPolicy, { login }: Question): Refusal | null {
  if (login === null || login.name === null || !policy.refusedLogins?.includes(login.name)) return null;
  const reply = { code: 454, enhanced: '4.7.0', text: 'Too many failed logins, try again later' };
  return { action: 'reject', reason: 'limit', rule: null, reply };
}

function refuseSender(policy: TestPolicy, question: Question): Refusal | null {
  if (!policy.refusedSenders?.includes(question.sender)) return null;
  const reply = { code: 530, enhanced: '5.7.1', text: 'Client was not authenticated' };
  return { action: 'reject', reason: 'submit', rule: null, reply };
}

function refuseRecipient(policy: TestPolicy, question: Question): Refusal | null {
  if (question.addresses.every((address) => mayReceive(policy, question, address))) return null;
  return { action: 'reject', reason: 'no_rule', rule: null, reply: policy.relayReply ?? RELAY_DENIED };
}

function mayReceive(policy: TestPolicy, question: Question, address: Address): boolean {
  if (address.domain === null && address.literal === null) return true; // a bare name has passed the profile already
  if (address.domain !== null && policy.blocked?.includes(address.domain)) return false;
  if (policy.relay === 'anyone') return true;
  if (policy.relay === 'authenticated' && question.login !== null && question.login.name !== null) return true;
  if (address.literal !== null) return policy.literals?.includes(address.literal) ?? false;
  return policy.accepted.includes(address.domain ?? '');
}

export interface HarnessOptions {
  readonly profile?: Partial<Profile>;
  readonly policy?: TestPolicy;
  /** The client's; '' when left out. */
  readonly address?: string;
  /** Instead of the small policy. */
  readonly judge?: TestJudge;
  /** `late`: every judgement comes through Session.judged, after the call that asked for it has returned.
   * `asked`: only when the test calls answer(). */
  readonly judgement?: 'now' | 'late' | 'asked';
  /** Hands client octets in although the session holds: what was read before the pause took effect. */
  readonly pushy?: boolean;
  /** The attributes with which the upstream is told of FORWARDED before every MAIL. */
  readonly forward?: readonly string[];
  /** Keywords that the server offered to an EHLO of ours. */
  readonly heardBefore?: readonly string[];
  /** The client came through TLS from the start, with a certificate that names these. */
  readonly names?: readonly string[];
}

/** Who the client is then. */
const FORWARDED: ClientIdentity = {
  address: '192.0.2.1',
  port: 40000,
  name: 'pc.example',
  localAddress: '203.0.113.5',
  localPort: 25,
};

export class Harness implements Wire {
  readonly session: Session;
  readonly events: SessionEvent[] = [];
  readonly questions: Question[] = [];
  closed: CloseReason | null = null;
  holding = false;
  /** The session waits for the client's handshake. */
  securing = false;
  /** Writes to either side. */
  writes = 0;
  /** How often something was held back. */
  tarpits = 0;
  /** The client reads what it is sent; else the session gets no further turn. */
  reads = true;
  /** How often the session gave way. */
  turns = 0;
  /** Something is held back now. */
  inTarpit = false;
  readonly #judge: TestJudge;
  readonly #judgement: 'now' | 'late' | 'asked';
  readonly #pushy: boolean;
  readonly #toClient: Buffer[] = [];
  readonly #toUpstream: Buffer[] = [];
  readonly #waiting: Array<Buffer | 'end'> = [];
  #unanswered: Decision | null = null;
  #inside = false;

  constructor(options: HarnessOptions = {}) {
    this.#judge = options.judge ?? judgeBy(options.policy ?? { accepted: ['local.example'] });
    this.#judgement = options.judgement ?? 'now';
    this.#pushy = options.pushy ?? false;
    const profile = { ...DEFAULT_PROFILE, ...options.profile };
    this.session = new Session(this, profile, options.address ?? '', options.names ?? null);
    const { forward = [], heardBefore = [] } = options;
    if (heardBefore.length > 0) this.session.serverHasHeardEhlo(ehloReply(['mail.local.example', ...heardBefore]));
    if (forward.length > 0) this.session.forwardIdentity({ client: FORWARDED, attributes: forward });
  }

  // --- what the two sides, the judge and the operator do

  clientSays(octets: string | Uint8Array): void {
    this.#fromClient(fresh(octets));
  }

  upstreamSays(octets: string | Uint8Array): void {
    this.#enter(() => this.session.fromUpstream(fresh(octets)));
  }

  clientEnds(): void {
    this.#fromClient('end');
  }

  upstreamEnds(): void {
    this.#enter(() => this.session.upstreamEnded());
  }

  /** The judge answers the question that it was asked last. */
  answer(): void {
    const decision = this.#unanswered;
    if (decision === null) throw new Error('the judge was not asked');
    this.#enter(() => {
      this.#unanswered = null;
      this.session.judged(decision);
    });
  }

  /** The client's handshake is complete, if one is due. */
  shakeHands(names: readonly string[] = []): void {
    if (!this.securing) return;
    this.securing = false;
    this.#enter(() => this.session.clientSecured(names));
  }

  drain(): void {
    this.#enter(() => this.session.drain());
  }

  /** What else the driver does. */
  does(act: (session: Session) => void): void {
    this.#enter(() => act(this.session));
  }

  /** What was held back is out. */
  waited(): void {
    this.inTarpit = false;
    this.#enter(() => this.session.waited());
  }

  get asked(): boolean {
    return this.#unanswered !== null;
  }

  /** All that the client has heard, as latin-1. */
  get clientHeard(): string {
    return Buffer.concat(this.#toClient).toString('latin1');
  }

  /** All that the upstream has heard, as latin-1. */
  get upstreamHeard(): string {
    return Buffer.concat(this.#toUpstream).toString('latin1');
  }

  /** What the client has heard since this was asked last. */
  takeClientHeard(): string {
    return Buffer.concat(this.#toClient.splice(0)).toString('latin1');
  }

  /** What the upstream has heard since this was asked last. */
  takeUpstreamHeard(): string {
    return Buffer.concat(this.#toUpstream.splice(0)).toString('latin1');
  }

  // --- Wire

  toClient(bytes: Uint8Array): void {
    this.#open('toClient');
    this.writes++;
    this.#toClient.push(Buffer.from(bytes));
  }

  toUpstream(bytes: Uint8Array): void {
    this.#open('toUpstream');
    this.writes++;
    this.#toUpstream.push(Buffer.from(bytes));
  }

  tarpit(): void {
    this.#open('tarpit');
    this.tarpits++;
    this.inTarpit = true;
  }

  hold(on: boolean): void {
    this.#open('hold');
    this.holding = on;
  }

  judge(question: Question): Decision | null {
    this.#open('judge');
    if (this.#unanswered !== null) throw new Error('a second question before the first one is answered');
    this.questions.push(question);
    const decision = this.#judge(question);
    if (this.#judgement === 'now') return decision;
    this.#unanswered = decision;
    return null;
  }

  event(event: SessionEvent): void {
    this.events.push(event);
  }

  secureClient(): void {
    this.#open('secureClient');
    if (this.holding || this.securing) throw new Error('a handshake while the client is held, or a second one');
    this.securing = true;
  }

  close(reason: CloseReason): void {
    this.#open('close');
    this.securing = false;
    this.inTarpit = false;
    this.closed = reason;
    this.#waiting.length = 0;
    this.#unanswered = null;
  }

  // --- the driver

  #fromClient(input: Buffer | 'end'): void {
    if (this.closed !== null) return;
    const wait = this.#waiting.length > 0 || (this.holding && (input === 'end' || !this.#pushy));
    if (wait) this.#waiting.push(input);
    else this.#enter(() => this.#give(input));
  }

  #give(input: Buffer | 'end'): void {
    if (input === 'end') this.session.clientEnded();
    else this.session.fromClient(input);
  }

  #enter(call: () => void): void {
    this.#step(call);
    this.#takeTurns();
    while (this.closed === null && !this.holding) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#step(() => this.#give(next));
      this.#takeTurns();
    }
  }

  #takeTurns(): void {
    while (this.reads && this.session.hasHadItsTurn) {
      this.turns++;
      this.#step(() => this.session.goOn());
    }
  }

  #step(call: () => void): void {
    if (this.closed !== null) return;
    this.#inside = true;
    call();
    while (this.#judgement === 'late' && this.#unanswered !== null) {
      const decision = this.#unanswered;
      this.#unanswered = null;
      this.session.judged(decision);
    }
    this.#inside = false;
  }

  #open(call: string): void {
    if (!this.#inside) throw new Error(`${call} outside of any call into the session`);
    if (this.closed !== null) throw new Error(`${call} after close (${this.closed.what})`);
  }
}

function ehloReply(lines: readonly string[]): Buffer {
  const last = lines.length - 1;
  return Buffer.from(lines.map((line, at) => `250${at === last ? ' ' : '-'}${line}\r\n`).join(''), 'latin1');
}

/** Chunks that are handed in may be forwarded as they are, so that each one must be a copy of its own. */
function fresh(octets: string | Uint8Array): Buffer {
  return typeof octets === 'string' ? Buffer.from(octets, 'latin1') : Buffer.from(octets);
}
