// One session with everything around it that may move: the client, the server behind, the judge, the clock, the operator.
//
// A step is one of the scenario's events, given to the session as the driver would give it; what the session does is
// noted, and then held against the references (client.ts, server.ts). The invariants that no reference can tell alone are
// here: what was approved, what a message goes with, who is waited for. Throws a Violation.

import { Session } from '../../src/smtp/session.ts';
import type { CloseReason, Decision, Profile, Question, SessionEvent, Wire } from '../../src/smtp/types.ts';
import { Client } from './client.ts';
import type { Event, Scenario } from './scenarios.ts';
import { type Answer, pathOf, Server, show, verbOf } from './server.ts';
import { Violation } from './violation.ts';

type Verdict = 'yes' | 'no' | 'cannot tell' | 'disconnect';

const VERDICTS: Readonly<Record<Verdict, Decision>> = {
  yes: { action: 'proceed', reason: 'rule', rule: null, observed: false },
  no: refusal('reject', 550, '5.7.1', 'no'),
  'cannot tell': refusal('reject', 451, '4.3.0', 'cannot tell'),
  disconnect: refusal('disconnect', 421, '4.3.2', 'disconnect'),
};

function refusal(action: 'reject' | 'disconnect', code: number, enhanced: string, text: string): Decision {
  return { action, reason: 'rule', rule: null, reply: { code, enhanced, text } };
}

/** What the session did in one step, in order. */
type Done =
  | { readonly to: 'client' | 'upstream'; readonly octets: string }
  | { readonly to: 'judge'; readonly question: Question; readonly verdict: Verdict };

const FORWARDED = {
  address: '192.0.2.1',
  port: 40000,
  name: null,
  localAddress: '203.0.113.5',
  localPort: 25,
};
const FOREIGN = /foreign/;

export class World implements Wire {
  readonly isOfTheModel = true;
  readonly scenario: Scenario;
  readonly session: Session;
  readonly client: Client;
  readonly server: Server;
  /** The question that the judge owes a decision for. */
  asked: Question | null = null;
  tarpitted = false;
  securing = false;
  closed: string | null = null;
  clientEnded = false;
  draining = false;
  /** Approved and not seen to go up: `sender>recipient` of RCPTs. */
  approved: readonly string[] = [];
  /** Of each RCPT that the server has not answered: what it was approved as. */
  pending: readonly string[] = [];
  done: Done[] = [];

  constructor(scenario: Scenario, profile: Profile) {
    this.scenario = scenario;
    this.client = new Client(!scenario.hasLimits);
    this.server = new Server(scenario.habits, scenario.keywords);
    this.session = new Session(this, profile, FORWARDED.address, null);
    if (scenario.forwards === true) this.session.forwardIdentity({ client: FORWARDED, attributes: ['ADDR', 'PROTO'] });
  }

  // --- Wire

  toClient(bytes: Uint8Array): void {
    this.#note({ to: 'client', octets: Buffer.from(bytes).toString('latin1') });
  }

  toUpstream(bytes: Buffer): void {
    this.#note({ to: 'upstream', octets: bytes.toString('latin1') });
  }

  judge(question: Question): Decision | null {
    if (this.asked !== null)
      throw new Violation('the driver’s contract', 'a second question before the first is answered');
    if (this.scenario.judge === 'late') {
      this.asked = question;
      return null;
    }
    const verdict = FOREIGN.test(question.recipient) ? 'no' : 'yes';
    this.#note({ to: 'judge', question, verdict });
    return VERDICTS[verdict];
  }

  tarpit(): void {
    this.tarpitted = true;
  }

  secureClient(): void {
    this.securing = true;
  }

  close({ what }: CloseReason): void {
    if (this.closed !== null) throw new Violation('the driver’s contract', 'a second close');
    this.closed = what;
    this.asked = null;
    this.securing = false;
    this.tarpitted = false;
  }

  hold(_on: boolean): void {}
  event(_event: SessionEvent): void {}

  #note(done: Done): void {
    if (this.closed !== null)
      throw new Violation('1.11 fail closed', `octets behind the close: ${JSON.stringify(done)}`);
    this.done.push(done);
  }

  // --- steps

  /** Whether this event can happen now. */
  may(event: Event): boolean {
    if (this.closed !== null) return false;
    const { server, client } = this;
    switch (event.who) {
      case 'client':
        if (this.clientEnded || this.securing) return false;
        return event.says === '' || (client.unanswered < this.scenario.room && !client.couldNotTell(event.says));
      case 'server':
        if (server.isGone || server.isAstray) return event.says === 'rest' ? server.rest !== '' : false;
        if (event.says === 'greeting' || event.says === 'bad greeting') return !server.greeted;
        if (event.says === 'end') return server.rest === '';
        if (event.says === 'rest') return server.rest !== '';
        if (event.says === 'surplus' || event.says === 'half surplus')
          return server.greeted && server.rest === '' && server.inbox === '';
        if (event.says === 'early no' || event.says === 'early ok')
          return server.isInside && server.rest === '' && server.greeted;
        return server.mayAnswer(event.says as Answer);
      case 'judge':
        return this.asked !== null && (event.says !== 'yes' || !FOREIGN.test(this.asked.recipient));
      case 'clock':
        return event.says === 'expire' || this.tarpitted;
      case 'operator':
        return !this.draining && !client.isDraining;
      case 'handshake':
        return this.securing;
    }
  }

  step(event: Event): void {
    this.done = [];
    const { server, client } = this;
    const mustEnd = this.#give(event);
    const isClosing = this.closed !== null;
    // What is answered in one step with what went up in it was not sent, so the order between the two does not matter.
    for (const done of this.done) if (done.to === 'judge') this.#judged(done.question, done.verdict);
    const heard = this.done.map((done) => (done.to === 'client' ? done.octets : '')).join('');
    if (heard !== '') client.hears(heard, isClosing);
    for (const done of this.done) if (done.to === 'upstream') this.#wentUp(done.octets, mustEnd);
    if (mustEnd && !isClosing) throw new Violation('1.9 order of replies', `the session goes on behind ${event.says}`);
    if (!isClosing) this.#isAlive();
    else if (server.isAstray && this.done.some(({ to }) => to === 'upstream'))
      throw new Violation('1.9 order of replies', 'octets to a server that is out of step');
  }

  /** What the session did in the last step, to read. */
  get told(): string[] {
    return this.done.map((done) =>
      done.to === 'judge'
        ? `judge: ${done.question.protocolState} ${done.verdict}`
        : `${done.to}: ${show(done.octets)}`,
    );
  }

  /** True: the session must be over behind it. */
  #give(event: Event): boolean {
    const { session, client } = this;
    switch (event.who) {
      case 'client':
        if (event.says === '') {
          this.clientEnded = true;
          session.clientEnded();
        } else {
          client.says(event.says);
          session.fromClient(Buffer.from(event.says, 'latin1'));
        }
        return false;
      case 'server':
        return this.#serverDoes(event.says);
      case 'judge': {
        const question = this.asked as Question;
        this.asked = null;
        this.done.push({ to: 'judge', question, verdict: event.says as Verdict });
        session.judged(VERDICTS[event.says as Verdict]);
        return false;
      }
      case 'clock':
        if (event.says === 'expire') session.expire();
        else {
          this.tarpitted = false;
          session.waited();
        }
        return event.says === 'expire';
      case 'operator':
        this.draining = true;
        client.isDraining = true;
        session.drain();
        return false;
      case 'handshake':
        this.securing = false;
        if (event.says === 'ok') {
          client.secured();
          session.clientSecured([]);
        } else session.handshakeFailed('no');
        return event.says !== 'ok';
    }
  }

  #serverDoes(says: string): boolean {
    const { session, server } = this;
    switch (says) {
      case 'greeting':
        server.greeted = true;
        session.fromUpstream(Buffer.from('220 :greeting\r\n', 'latin1'));
        return false;
      case 'bad greeting':
        server.greeted = true;
        session.fromUpstream(Buffer.from('554 :greeting\r\n', 'latin1'));
        return true;
      case 'end':
        server.isGone = true;
        session.upstreamEnded();
        return true;
      case 'rest': {
        const wasAstray = server.isAstray;
        session.fromUpstream(Buffer.from(server.saysRest(), 'latin1'));
        return wasAstray || server.isGone;
      }
      case 'surplus':
      case 'early ok':
      case 'early no': {
        const reply =
          says === 'surplus' ? '250 :surplus\r\n' : says === 'early ok' ? '250 :early\r\n' : '554 :early\r\n';
        session.fromUpstream(Buffer.from(server.saysUncalledFor(reply), 'latin1'));
        return true;
      }
      case 'half surplus':
        server.saysUncalledFor('25');
        server.rest = '0 :surplus\r\n';
        session.fromUpstream(Buffer.from('25', 'latin1'));
        return false;
      default:
        return this.#serverAnswers(says as Answer);
    }
  }

  #serverAnswers(answer: Answer): boolean {
    const { server, session, client } = this;
    const { sender, recipients } = server;
    const isMessage = server.mode === 1 || / LAST\r\n/i.test(server.next);
    const isRecipient = server.mode === 0 && verbOf(server.next) === 'RCPT';
    const approved = isRecipient ? (this.pending[0] ?? '') : '';
    const { said, line, code } = server.answers(answer, approved);
    if (isRecipient) {
      this.pending = this.pending.slice(1);
      if (code === 250 && approved.split('>')[1] !== pathOf(line))
        throw new Violation('the one sentence', `executed ${show(line)}; approved: ${approved}`);
    }
    if (isMessage && code === 250 && answer !== 'malformed') {
      const goes = recipients.map((pair) => pair.split('>') as [string, string]);
      const wrong = goes.find(([from]) => from !== sender);
      if (wrong !== undefined)
        throw new Violation('the one sentence', `a message of ${sender} to ${wrong[1]}, approved for ${wrong[0]}`);
      const believed = `${client.sender}>${client.recipients.join()}`;
      const taken = `${sender}>${goes.map(([, to]) => to).join()}`;
      if (believed !== taken)
        throw new Violation('1.10 state', `the server takes ${taken}; the client believes ${believed}`);
    }
    session.fromUpstream(Buffer.from(said, 'latin1'));
    return server.rest === '' && (server.isAstray || server.isGone);
  }

  // --- what it did

  #wentUp(octets: string, mustEnd: boolean): void {
    if (mustEnd) throw new Violation('1.9 order of replies', `${show(octets)} went up when all was over`);
    for (const read of this.server.hears(octets)) {
      if (read.kind !== 'line') {
        this.client.sentOctets(read.octets);
        continue;
      }
      const line = read.octets;
      this.client.sent(line);
      if (!/^\s*RCPT/i.test(line)) continue;
      const [approved, ...rest] = this.approved;
      if (approved === undefined || approved.split('>')[1] !== pathOf(line))
        throw new Violation('the one sentence', `${show(line)} went up; approved: ${approved}`);
      this.approved = rest;
      this.pending = [...this.pending, approved];
    }
  }

  #judged({ protocolState, sender, recipient }: Question, verdict: Verdict): void {
    if (verdict !== 'yes') this.client.refused(protocolState, protocolState === 'RCPT' ? recipient : sender, verdict);
    else if (protocolState === 'RCPT') this.approved = [...this.approved, `${sender}>${recipient}`];
  }

  /** Somebody must be able to move it on. */
  #isAlive(): void {
    const { server, client } = this;
    const waits = this.asked !== null || this.tarpitted || this.securing || !server.greeted || server.rest !== '';
    if (waits || server.next !== '' || server.isInside || server.isAstray) return;
    if (!client.isAnswered)
      throw new Violation('nobody waits for ever', `${JSON.stringify(client.said)} is never answered`);
    if (this.clientEnded)
      throw new Violation('nobody waits for ever', 'the client is gone, nothing is owed, and the session lives');
  }

  /** All of it but the session. */
  get state(): string {
    const { asked, tarpitted, securing, clientEnded, draining, approved, pending } = this;
    const flags = +tarpitted + 2 * +securing + 4 * +clientEnded + 8 * +draining;
    const question = asked === null ? '' : `${asked.protocolState} ${asked.sender}>${asked.recipient}`;
    return [this.server.state, this.client.state, question, flags, approved.join(), pending.join()].join('\x1c');
  }
}
