// One admitted client and its upstream twin: sockets, timers and backpressure around a Session.
//
// The session decides, this file carries out. Whatever is thrown inside the core ends here: 421, both sides destroyed,
// counted, and the process lives on (protocol.md 1.11: fail closed, never a plain pipe). The upstream is never sent a
// byte after the session closed, and never a FIN that could be read as the end of something: it is reset (upstream-end).
// Where STARTTLS ends here the client's socket is another one behind it; nothing else changes.

import type { Listed } from '../observe/roster.ts';
import { formatReply, INTERNAL_ERROR } from '../smtp/replies.ts';
import { AWAITING_GREETING, DOING, QUIT, Session } from '../smtp/session.ts';
import type { CloseReason, Decision, OwnReply, Question, SessionEvent, Wire } from '../smtp/types.ts';
import { type ByteStream, NOBODY, setPaused } from './byte-stream.ts';
import type { ConnectionOptions } from './connection-options.ts';
import { lingeringClose } from './lingering-close.ts';
import { type ClockWatched, SessionClock } from './session-clock.ts';
import { ClientSide, type SidesHeard, UpstreamSide } from './session-sides.ts';
import { CLIENT_ENDED, CLIENT_LOST, CLIENT_OCTETS, type StepRunner, Steps, UPSTREAM_OCTETS } from './session-steps.ts';
import { SessionWrites, type WritesOwner } from './session-writes.ts';
import { type LiveSession, type Outline, outlineOf, type Snapshot, snapshotOf } from './snapshot.ts';
import type { Reached } from './upstream.ts';
import { leaveBehindQuit } from './upstream-end.ts';

const NOTHING = (): void => {};

export class Connection implements Listed, Wire, LiveSession, ClockWatched, SidesHeard, StepRunner, WritesOwner {
  readonly #options: ConnectionOptions;
  readonly #session: Session;
  readonly #clock: SessionClock;
  readonly #writes: SessionWrites;
  readonly #openedAt = performance.now();
  row = -1;
  client: ByteStream; //  plain, then perhaps encrypted
  #giveUpDialling: () => void = NOTHING;
  #dialling = true; // until then time is the call's to watch
  #reached: Reached | null = null;
  #giveUpHandshake: (() => void) | null = null; // while it goes on: the client is not ours then
  #handshakeDue = false;
  upstream: ByteStream | null = null;
  #silent = false; // the upstream owed an answer and did not give it
  #held = false; //         by the session
  readonly steps: Steps;
  #arrived = 0; //          when the octets of the client came that are read now
  #kind = 0; //             of the step that is taken, and what came with it
  #chunk: Buffer | null = null;
  #closed = false;

  constructor(options: ConnectionOptions) {
    this.#options = options;
    this.client = options.client;
    this.#clock = new SessionClock(options.timeouts, this.#openedAt, this);
    this.#writes = new SessionWrites(options.queue, options.profile.tarpit, this);
    const { clientAddress } = options.ends;
    this.steps = new Steps(options.queue, clientAddress, this);
    this.#session = new Session(this, options.profile, clientAddress, options.handshake?.names ?? null);
  }

  /** Begins. Everything after this may end the connection, and `ended` may be called before it returns. */
  start(): void {
    const { early, handshake, upstream, watcher } = this.#options;
    if (handshake !== null) watcher.handshake(handshake);
    this.client.owner = new ClientSide(this);
    this.client.reads = 'commands';
    this.client.resume();
    this.#giveUpDialling = upstream.dial(this.#options, (reached, shortOf) => this.#answered(reached, shortOf));
    if (early !== null && early.length > 0) this.fromClient(early);
  }

  get clientAddress(): string {
    return this.#options.ends.clientAddress;
  }

  /** Whether a ban ends it. */
  get isBannable(): boolean {
    return this.#options.profile.mode === 'enforce' && this.#options.admitted.isBannable !== false;
  }

  /** A certificate that was verified there names its client. */
  isNamedBy(tls: ConnectionOptions['tls']): boolean {
    return this.#options.tls === tls && this.#session.isNamed;
  }

  get outline(): Outline {
    return outlineOf(this.#options, this.#session, this.#dialling);
  }

  /** `now` as of performance.now(). */
  snapshot(now: number): Snapshot {
    return snapshotOf(this.#options, this.#session, this.#clock.phases, {
      dialling: this.#dialling,
      unread: this.#clock.unread,
      untaken: this.#clock.untaken,
      inTarpit: this.#writes.toClient.waits,
      openedAt: this.#openedAt,
      now,
    });
  }

  /** Ends at the next transaction boundary (RFC 5321 §3.8: 421). */
  drain(own?: OwnReply, reason?: CloseReason): void {
    this.#run(() => this.#session.drain(own, reason));
  }

  /** Ends now. */
  shutDown(): void {
    this.#run(() => this.#session.shutDown());
  }

  // ---------------------------------------------------------------- Wire: what the session does to the world

  toClient(bytes: Uint8Array): void {
    this.#writes.addToClient(bytes);
  }

  toUpstream(bytes: Buffer): void {
    this.#writes.addToServer(bytes);
  }

  hold(on: boolean): void {
    this.#held = on;
    this.steer();
  }

  judge(question: Question): Decision | null {
    const decision = this.#options.admitted.judge(question);
    if (!(decision instanceof Promise)) return decision;
    decision.then(
      (later) => this.#run(() => this.#session.judged(later)),
      (error) => this.#failed(error),
    );
    return null;
  }

  event(event: SessionEvent): void {
    this.#options.watcher.heloName = this.#session.helo;
    if (event.name === 'message') this.#clock.phases.broughtMail(performance.now());
    this.#options.watcher.event(event);
    this.#options.admitted.heard?.(event);
  }

  tarpit(): void {
    this.#writes.addWait();
  }

  secureClient(): void {
    this.#handshakeDue = true; // when the 220 is on its way
  }

  close(reason: CloseReason): void {
    this.#closed = true;
    this.#writes.end();
    this.#giveUpDialling();
    this.steps.end();
    if (this.upstream !== null) {
      if (reason === QUIT) leaveBehindQuit(this.upstream);
      else this.upstream.reset();
    }
    this.upstream = null;
    if (this.#reached !== null) this.#reached.ended(this.#howItServed(this.#reached, reason));
    this.#clock.end();
    if (this.#giveUpHandshake === null) lingeringClose(this.client, this.#options.queue, this.clientAddress);
    else this.#giveUpHandshake();
    this.#options.watcher.heloName = this.#session.helo;
    this.#options.watcher.closed(reason);
    this.#options.ended();
  }

  #howItServed({ greeting }: Reached, { origin }: CloseReason): 'silent' | 'served' | 'neither' {
    if (this.#silent && origin === 'upstream') return 'silent';
    return this.#options.watcher.octetsFromUpstream > greeting.length ? 'served' : 'neither';
  }

  // ---------------------------------------------------------------- sockets

  clientDrained(): void {
    this.#clock.unread.empty();
    this.#clock.phases.waitsFor(this.#session.doing, true, performance.now()); // it was the client that kept us waiting
    this.steer();
    this.#giveWay();
    if (this.#handshakeDue) this.#shakeHands();
  }

  upstreamDrained(): void {
    this.#clock.untaken.empty();
    this.#clock.phases.excuse(performance.now());
    this.steer();
  }

  /** The client's stream is the handshake's, until that has ended; once the kernel has our 220. */
  #shakeHands(): void {
    if (this.steps.areWaiting || !this.#writes.toClient.isEmpty || this.#clock.unread.isFull) return;
    this.#handshakeDue = false;
    if (this.client.hasUnheard) {
      this.client.resume(); // it came in clear text before our 220 went out: the session hears it, and ends itself
      return;
    }
    this.client.owner = NOBODY;
    this.#giveUpHandshake = this.#options.tls.secure(this.client.toSocket(), (handshake, secured) => {
      this.#giveUpHandshake = null;
      this.#options.watcher.handshake(handshake);
      if (handshake.result !== 'ok' || secured === null) {
        const key = handshake.result === 'timeout' ? 'timeouts.tls_handshake' : undefined;
        this.#run(() => this.#session.handshakeFailed(handshake.result === 'ok' ? '' : handshake.why, key));
        return;
      }
      this.client = secured;
      this.client.owner = new ClientSide(this);
      this.client.reads = 'commands';
      this.client.resume();
      this.steer();
      this.#run(() => this.#session.clientSecured(handshake.names));
    });
  }

  /** A server has greeted, or none will. */
  #answered(reached: Reached | null, shortOf: string | null): void {
    this.#dialling = false;
    this.#giveUpDialling = NOTHING; // what it holds is not needed any more
    this.#reached = reached;
    const now = performance.now();
    this.#clock.phases.waitsFor(AWAITING_GREETING, true, now);
    if (reached === null) {
      this.#run(() => (shortOf === null ? this.#session.upstreamEnded() : this.#session.cannotDial(shortOf)), now);
      return;
    }
    this.#options.watcher.server = reached.server;
    this.upstream = reached.stream;
    if (reached.stream !== null) reached.stream.owner = new UpstreamSide(this);
    if (reached.forwarding !== null) this.#session.forwardIdentity(reached.forwarding);
    if (reached.list !== null) this.#session.serverHasHeardEhlo(reached.list);
    this.fromUpstream(reached.greeting);
  }

  fromClient(chunk: Buffer): void {
    if (this.#closed) return;
    this.#writes.lent(false);
    this.#options.watcher.octetsFromClient += chunk.length;
    const now = performance.now();
    if (this.#arrived === 0) this.#arrived = now;
    this.#clock.phases.heard(chunk.length, now);
    this.steps.spent(chunk.length, 0);
    this.steps.take(CLIENT_OCTETS, chunk);
  }

  fromUpstream(chunk: Buffer): void {
    this.#options.watcher.octetsFromUpstream += chunk.length;
    this.steps.spent(chunk.length, 0);
    this.steps.take(UPSTREAM_OCTETS, chunk);
  }

  takeStep(kind: number, chunk: Buffer | null): void {
    this.#kind = kind;
    this.#chunk = chunk;
    this.#run(null);
  }

  goOn(): void {
    this.#run(() => this.#session.goOn());
  }

  #taken(): void {
    const chunk = this.#chunk as Buffer;
    this.#chunk = null;
    if (this.#kind === CLIENT_OCTETS) this.#readClient(chunk);
    else if (this.#kind === UPSTREAM_OCTETS) this.#session.fromUpstream(chunk);
    else if (this.#kind === CLIENT_ENDED) this.#session.clientEnded();
    else if (this.#kind === CLIENT_LOST) this.#session.clientLost();
    else {
      const { octetsFromUpstream } = this.#options.watcher;
      // It greeted, and then answered not a single command.
      this.#silent = this.#session.waitsForUpstream && octetsFromUpstream <= (this.#reached?.greeting.length ?? 0);
      this.#session.upstreamEnded();
    }
  }

  #readClient(chunk: Buffer): void {
    const isMailData = this.#session.isMailData(chunk.length);
    this.#session.fromClient(chunk);
    if (this.#closed) return; // who lingers reads in a way of its own
    const stays = this.#session.inMailData;
    this.client.reads = stays ? 'mail data' : 'commands';
    this.#writes.lent(isMailData && stays && this.client.isLending);
  }

  /** Every step of the session goes through here: the one catch, the one flush, the one look at the clock. Null: the one that is taken. */
  #run(step: (() => void) | null, now = performance.now()): void {
    if (this.#closed) return;
    this.#step(step, now);
    const done = performance.now();
    this.steps.spent(0, done - now);
    this.#answeredAt(done);
  }

  /** All that the client said was read, and what follows from it is written. */
  #answeredAt(now: number): void {
    if (this.#arrived === 0 || this.#writes.isDue || this.steps.areWaiting) return;
    this.#options.watcher.delay((now - this.#arrived) / 1000);
    this.#arrived = 0;
  }

  #step(step: (() => void) | null, now: number): void {
    const before = this.#session.progress;
    try {
      if (step === null) this.#taken();
      else step();
    } catch (error) {
      this.#failed(error);
      return;
    }
    if (this.#closed) return;
    this.#writes.step(this.#handshakeDue || this.#session.hasHadItsTurn);
    this.#giveWay();
    if (this.#handshakeDue) this.#shakeHands();
    if (this.#closed) return;
    this.#clock.phases.waitsFor(this.#session.doing, this.#session.progress !== before, now);
    if (!this.#dialling) this.#clock.watch();
  }

  written(now: number, ms: number): void {
    this.steps.spent(0, ms);
    this.#answeredAt(now);
    this.steer(); // a server is handed over paused, and this may be the first that is written
  }

  /** Others first; and nothing is read for a client that has not taken what it was sent. */
  #giveWay(): void {
    if (this.#session.hasHadItsTurn && !this.#clock.unread.isFull) this.steps.giveWay();
  }

  #failed(error: unknown): void {
    if (this.#closed) return;
    this.#options.defect(error, DOING[this.#session.doing] ?? '');
    this.#writes.toClient.replace(formatReply(INTERNAL_ERROR, true));
    this.close({ origin: 'defect', what: 'internal error', cause: error });
  }

  clientIsFull(): void {
    this.#clock.unread.fill(this.client, performance.now());
    this.steer();
  }

  serverIsFull(): void {
    if (this.upstream !== null) this.#clock.untaken.fill(this.upstream, performance.now());
    this.steer();
  }

  /** The tarpit held back what was behind, and both sides with it. */
  waitIsOver(): void {
    this.#writes.flush();
    if (this.#writes.toClient.waits) return;
    this.#run(() => this.#session.waited());
    this.#clock.phases.waitsFor(this.#session.doing, true, performance.now()); // it was ours
    this.steer();
  }

  /** A side that cannot take more pauses whoever would make us write to it: both, for the client. */
  steer(): void {
    if (this.#closed) return;
    this.#writes.giveBack();
    const { waits } = this.#writes.toClient;
    const { areWaiting } = this.steps;
    const both = this.#clock.unread.isFull || waits || areWaiting;
    const wait = both || this.#held || this.#clock.untaken.isFull;
    if (this.#giveUpHandshake === null) setPaused(this.client, wait, areWaiting);
    if (this.upstream !== null) setPaused(this.upstream, both, areWaiting);
  }

  // ---------------------------------------------------------------- time, as the session clock tells it

  get doing(): number {
    return this.#session.doing;
  }

  /** What has come, or is to go out, waits for us. */
  get isOurMove(): boolean {
    return this.steps.areWaiting || this.#writes.toClient.waits;
  }

  serverIsStuck(): void {
    this.#silent = true;
    this.#run(() => this.#session.upstreamEnded());
  }

  clientIsStuck(): void {
    this.close({ origin: 'client', what: 'timeout while the client reads nothing', key: 'timeouts.client_idle' });
  }

  expired(key: string): void {
    this.#silent = this.#session.waitsForUpstream;
    this.#run(() => this.#session.expire(key));
  }
}
