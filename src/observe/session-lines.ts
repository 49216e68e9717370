// The lines and counts of one session: what is refused in it, by us or by the server, and the summary when it ends.
//
// Invariant: at most one summary for each session, and whatever a peer chose goes through `harmless`. An accepted recipient
// has no line of its own; a message has one, with all its recipients (message-lines.ts). Refusals are told one by one up to a
// limit (floods.ts), a command that is refused once for each verb and reply code; the rest is counted.
//
// What the server says of a recipient is the answer to the RCPT that it has not answered longest: it answers in order.

import type { Logger } from 'pino';
import type { CloseReason, ConnectionEnds, Handshake, Login, SessionEvent } from '../smtp/types.ts';
import { type Floods, SESSION_LINES } from './floods.ts';
import { fullKey, keyOfReason } from './keys.ts';
import { type FieldsOf, LINES, type LineName, write } from './lines.ts';
import { formatCause, harmless, visible } from './log.ts';
import { type IsLocal, Message, type MessageLines, type Put } from './message-lines.ts';
import type { Metrics } from './metrics.ts';
import type { Answer, ConnectorCounts } from './session-counts.ts';
import type { SessionObserver } from './session-observer.ts';
import { KEY_OF_STRAY, strayHeader } from './stray-headers.ts';
import { Client, type Who } from './who.ts';

type Of<Name extends SessionEvent['name']> = SessionEvent & { name: Name };

/** Who hears of every session what happens in it, beside its lines. */
export interface SessionsHeard {
  event(session: LoggedSession, event: SessionEvent): void;
  closed(reason: CloseReason): void;
}

/** Where sessions tell things. */
export interface Told {
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly floods: Floods;
  readonly messages: MessageLines;
  readonly isLocal: IsLocal;
  readonly now: () => number;
}

export class LoggedSession implements SessionObserver {
  octetsFromClient = 0;
  octetsFromUpstream = 0;
  heloName = '';
  server = '';
  readonly #to: Told;
  readonly #counts: ConnectorCounts;
  row = -1;
  readonly ends: ConnectionEnds;
  readonly number: number;
  readonly #heard: SessionsHeard | null;
  readonly #client: Client;
  readonly #openedAt: number;
  #login: Login | null = null;
  #encryption: (Handshake & { result: 'ok' }) | null = null;
  #loginFailures = 0;
  #messages = 0;
  #messagesRefused = 0;
  #sendersRefused = 0;
  #sendersRefusedByServer = 0;
  #message: Message | null = null; // the last one that had a recipient
  readonly #answers: Record<Answer, number> = { accepted: 0, deferred: 0, refused: 0, none: 0 };
  #refused = 0;
  #wouldRefuse = 0;
  #errors = 0;
  #told = 0;
  #untold = 0;
  #kinds: Set<string> | null = null; // of refused commands and of limits that were told
  readonly #unanswered: Put[] = []; // recipients that were put to the server
  #open = true;

  constructor(told: Told, ends: ConnectionEnds, connector: string, number: number, heard: SessionsHeard | null) {
    this.#to = told;
    this.#openedAt = told.now();
    this.#counts = told.metrics.connector(connector);
    this.ends = ends;
    this.#heard = heard;
    this.number = number;
    this.#client = new Client(number, ends, connector);
    told.metrics.sessionOpened(this);
  }

  get connector(): string {
    return this.#counts.name;
  }

  /** Null: nobody has logged in. */
  get login(): Login | null {
    return this.#login;
  }

  /** What a verified client certificate names; null in clear text. */
  get certificateNames(): readonly string[] | null {
    return this.#encryption?.names ?? null;
  }

  event(event: SessionEvent): void {
    this.#tellOf(event);
    this.#heard?.event(this, event);
  }

  #tellOf(event: SessionEvent): void {
    switch (event.name) {
      case 'recipient':
        this.#recipient(event);
        return;
      case 'sender':
        this.#sender(event);
        return;
      case 'message':
        this.#messages += 1;
        this.#counts.messages += 1;
        this.#messageAnswered(event, 'accepted');
        return;
      case 'replied':
        this.#to.metrics.replied(event.command, event.replyClass);
        return;
      case 'login':
        this.#login = event.login;
        this.#counts.logins += 1;
        return;
      case 'login_failed':
        this.#loginFailures += 1;
        this.#counts.failedLogins += 1;
        return;
      case 'opaque':
        write(this.#to.log, 'opaque', this.#who());
        return;
      case 'login_refused':
        this.#loginRefused(event);
        return;
      case 'answered':
        this.#answered(event);
        return;
      case 'refused':
        this.#commandRefused(event);
        return;
      case 'upstream_refused':
        this.#upstreamRefused(event);
        return;
      case 'ambiguous_end':
        this.#ambiguousEnd(event);
        return;
      case 'limited':
        this.#to.metrics.limited(event.kind, event.key);
        if (event.observed === true) this.#limitObserved(event.key);
        return;
    }
  }

  /** One that failed ends the session, whose summary says why. */
  handshake(handshake: Handshake): void {
    this.#to.metrics.handshake(handshake.result);
    if (handshake.result !== 'ok') return;
    this.#encryption = handshake;
    const { unverified } = handshake;
    if (unverified !== null) this.#tell('client_certificate', () => ({ why: harmless(unverified) }));
  }

  delay(seconds: number): void {
    this.#to.metrics.delay(seconds);
  }

  closed(reason: CloseReason): void {
    if (!this.#open) return;
    this.#open = false;
    for (const { decision, reason: why } of this.#unanswered) this.#counts.recipient(decision, why, 'none');
    this.#answers.none = this.#unanswered.length;
    this.#to.metrics.sessionEnded(this);
    this.#counts.sessionEnded(reason.origin);
    this.#tellUnended();
    this.#tellEnd(reason);
    this.#heard?.closed(reason);
  }

  #tellEnd(reason: CloseReason): void {
    if (this.#messages === 0 && !this.#to.floods.mayTellEnd(this.ends.clientAddress, this.#untold)) return;
    const { protocol, cipher, subject = null } = this.#encryption ?? {};
    write(this.#to.log, 'session_ended', {
      ...this.#who(),
      encryption_protocol: protocol,
      encryption_cipher: cipher,
      ccert_subject: subject === null ? undefined : harmless(subject),
      server: this.server || undefined,
      messages: this.#messages,
      messages_refused_by_server: this.#messagesRefused || undefined,
      senders_refused: this.#sendersRefused || undefined,
      senders_refused_by_server: this.#sendersRefusedByServer || undefined,
      recipients_accepted: this.#answers.accepted,
      recipients_refused: this.#refused,
      recipients_refused_by_server: this.#answers.refused || undefined,
      recipients_deferred: this.#answers.deferred || undefined,
      recipients_unanswered: this.#answers.none || undefined,
      recipients_would_refuse: this.#wouldRefuse || undefined,
      login_failures: this.#loginFailures || undefined,
      errors: this.#errors || undefined,
      repeated: this.#untold || undefined,
      octets_from_client: this.octetsFromClient,
      octets_from_upstream: this.octetsFromUpstream,
      seconds: Math.round(this.#to.now() - this.#openedAt) / 1000,
      origin: reason.origin,
      what: reason.what,
      key: fullKey(this.#counts.name, reason.key),
      cause: formatCause(reason.cause),
    });
  }

  #recipient(event: Of<'recipient'>): void {
    const { decision, reason, rule } = event;
    if (this.#message?.number !== event.transaction) {
      this.#tellUnended();
      this.#message = new Message(event, this.#to.now(), this.#who());
    }
    if (decision === 'reject') {
      this.#refused += 1;
      this.#counts.recipient(decision, reason, 'none');
      this.#message.refuse(event);
    } else {
      this.#unanswered.push(this.#message.put(event, this.#unanswered.length < SESSION_LINES, this.#to.isLocal));
      if (decision === 'proceed') return;
      this.#wouldRefuse += 1;
    }
    this.#tell(decision === 'reject' ? 'recipient_refused' : 'recipient_would_be_refused', () => ({
      sender: harmless(event.sender),
      recipient: harmless(event.recipient),
      protocol_state: 'RCPT',
      decision,
      reason,
      rule: rule ?? undefined,
      key: keyOfReason(this.#counts.name, reason, rule),
      trace: event.trace === undefined ? undefined : harmless(event.trace()),
      reply: harmless(event.reply.trimEnd()),
    }));
  }

  #answered({ code, reply }: Of<'answered'>): void {
    const put = this.#unanswered.shift();
    if (put === undefined) return;
    const answer: Answer = code < 300 ? 'accepted' : code < 500 ? 'deferred' : 'refused';
    this.#answers[answer] += 1;
    this.#counts.recipient(put.decision, put.reason, answer);
    put.message.answer(put, answer, reply);
    if (answer === 'accepted') return;
    this.#tell(`recipient_${answer}_by_server`, () => ({
      origin: 'upstream',
      server: this.server || undefined,
      sender: harmless(put.message.sender),
      recipient: harmless(put.recipient),
      protocol_state: 'RCPT',
      decision: put.decision,
      reason: put.reason,
      answer,
      reply: harmless(reply),
    }));
  }

  #upstreamRefused(event: Of<'upstream_refused'>): void {
    const { protocolState, sender, code, reply } = event;
    const what = protocolState === 'MAIL' ? 'sender' : 'message';
    const answer = code < 500 ? 'deferred' : 'refused';
    this.#counts.refused(what, 'upstream');
    if (what === 'message') {
      this.#messagesRefused += 1;
      this.#messageAnswered(event, answer);
    } else this.#sendersRefusedByServer += 1;
    this.#tell(`${what}_${answer}_by_server`, () => ({
      origin: 'upstream',
      server: this.server || undefined,
      sender: sender === '' ? undefined : harmless(sender),
      protocol_state: protocolState,
      answer,
      reply: harmless(reply),
    }));
  }

  /** One that was taken is always told; the others as refusals are. */
  #messageAnswered(event: Of<'message'> | Of<'upstream_refused'>, answer: 'accepted' | 'deferred' | 'refused'): void {
    const message =
      this.#message?.number === event.transaction ? this.#message : new Message(event, this.#to.now(), this.#who());
    message.answered();
    const relays = answer === 'accepted' ? message.relayed : null;
    const relayed = relays !== null;
    this.#counts.message(answer === 'accepted' ? (relayed ? 'relayed' : 'local') : answer);
    if (relayed) this.#counts.relayed(relays);
    if (!this.#to.messages.wants(relayed)) return;
    const fields = () => ({
      ...message.formatted(answer === 'accepted'),
      server: this.server,
      relayed,
      octets: event.octets,
      seconds: Math.round(this.#to.now() - message.since) / 1000,
      answer,
      reply: harmless(event.reply),
    });
    if (answer === 'accepted') this.#to.messages.write({ ...this.#who(), ...fields() }, relayed);
    else this.#tell('message', fields);
  }

  #tellUnended(message = this.#message): void {
    if (!this.#to.messages.wantsUnended(message)) return;
    this.#tell('message_unended', () => ({ ...message.unended(), server: this.server || undefined }));
  }

  #sender(event: Of<'sender'>): void {
    const { decision, reason, rule } = event;
    if (decision === 'reject') this.#sendersRefused += 1;
    this.#counts.refused('sender', decision === 'reject' ? 'policy' : 'observed');
    this.#tell(decision === 'reject' ? 'sender_refused' : 'sender_would_be_refused', () => ({
      sender: harmless(event.sender),
      protocol_state: 'MAIL',
      decision,
      reason,
      rule: rule ?? undefined,
      trace: event.trace === undefined ? undefined : harmless(event.trace()),
      key: keyOfReason(this.#counts.name, reason, rule),
      reply: harmless(event.reply.trimEnd()),
    }));
  }

  #loginRefused({ login, decision, rule, reply }: Of<'login_refused'>): void {
    this.#counts.refused('login', decision === 'reject' ? 'policy' : 'observed');
    this.#tell(decision === 'reject' ? 'login_refused' : 'login_would_be_refused', () => ({
      sasl_method: harmless(login.mechanism),
      sasl_username: login.name === null ? undefined : harmless(login.name),
      protocol_state: 'AUTH',
      decision,
      reason: 'limit',
      rule: rule ?? undefined,
      key: keyOfReason(this.#counts.name, 'limit', rule),
      reply: harmless(reply),
    }));
  }

  /** Once for each verb and reply code. What somebody else should not have sent us is a warning that says how to mend it. */
  #commandRefused({ verb, said, reply, key }: Of<'refused'>): void {
    this.#errors += 1;
    this.#counts.refused('command', 'policy');
    if (!this.#isFirst(`${verb} ${reply.slice(0, 3)}`)) {
      this.#untold += 1;
      return;
    }
    const hint = strayHeader(verb);
    const fields = () => ({
      verb: verb || undefined,
      said: harmless(said),
      decision: 'reject',
      key: hint === null ? fullKey(this.#counts.name, key) : KEY_OF_STRAY,
      reply: harmless(reply),
    });
    if (hint !== null && this.#to.floods.isFirst(verb, this.ends.clientAddress)) {
      write(this.#to.log, hint, { ...this.#who(), ...fields() });
    } else this.#tell('command_refused', fields);
  }

  /** Once a session for each; the limit on recipients has a line for each recipient. */
  #limitObserved(key: string): void {
    if (key === 'recipients_per_message' || !this.#isFirst(`limit ${key}`)) return;
    const setting = key === 'max_message_size' ? key : `limits.session.${key}`;
    this.#tell('limit_observed', () => ({
      decision: 'would_reject',
      reason: 'limit',
      key: fullKey(this.#counts.name, setting),
    }));
  }

  /** Whether this session has not yet told of this kind; true is taken as told. */
  #isFirst(kind: string): boolean {
    this.#kinds ??= new Set();
    if (this.#kinds.has(kind)) return false;
    if (this.#kinds.size < SESSION_LINES) this.#kinds.add(kind);
    return true;
  }

  #ambiguousEnd({ octets, offset, key }: Of<'ambiguous_end'>): void {
    this.#counts.refused('message', 'policy');
    const fields = () => ({
      protocol_state: 'DATA',
      decision: 'reject',
      octets: visible(octets),
      offset,
      key: fullKey(this.#counts.name, key),
    });
    this.#tell(key === 'bare_lf' ? 'ambiguous_end' : 'dot_line', fields);
  }

  /** A line about a refusal, where neither this session nor its source has had too many; `fields` is asked only then. */
  #tell<Name extends LineName>(name: Name, fields: () => Omit<FieldsOf<Name>, keyof Who> & Partial<Who>): void {
    if (!this.#to.log.isLevelEnabled(LINES[name].level)) return;
    if (this.#told >= SESSION_LINES) {
      this.#untold += 1;
    } else if (this.#to.floods.mayTell(this.ends.clientAddress)) {
      this.#told += 1;
      write(this.#to.log, name, { ...this.#who(), ...fields() } as unknown as FieldsOf<Name>);
    }
  }

  #who(): Who {
    return this.#client.fields(this.heloName, this.#login);
  }
}
