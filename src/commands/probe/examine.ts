// The examination: puts every question to one server and writes down the answers.
//
// Each question is MAIL, RCPT, RSET. A connection carries a few of them, because servers count errors per connection
// (Exchange 2007: 5); a question whose connection broke is put once more on a new one.
// Invariant: DATA and BDAT are never sent, so that no message comes of it, whatever the server accepts.
// It deliberately does not speak TLS and does not guess domains: what the server calls itself is what it is asked about.

import { isIPv6 } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { toPrintable } from '../../smtp/bytes.ts';
import { type Destination, Dialogue, PROBE_TIMEOUTS, type ProbeTimeouts, type Reply } from './dialogue.ts';
import { type Form, formsFor, type Names, type SenderKind, senderPath } from './forms.ts';
import { type Credentials, chooseMechanism, logIn, type Mechanism, madeUp } from './login.ts';
import { type Answer, type Asked, type LoginAnswer, outcomeOf } from './verdict.ts';

export interface ProbeOptions {
  readonly to: Destination;
  /** A domain that the server receives mail for; null takes the name that it gives itself. */
  readonly domain: string | null;
  /** The client that a PROXY header names (`to.header`), which is whom we then say EHLO as. */
  readonly client?: string | null;
  /** Logs in first, on every connection. */
  readonly credentials?: Credentials | null;
  /** Milliseconds before each question. */
  readonly pace: number;
  readonly patience?: ProbeTimeouts;
  readonly wait?: (milliseconds: number) => Promise<unknown>;
  /** Called once before the first question, and after the last one of each form. */
  readonly onBegin?: (subject: Subject) => void;
  readonly onForm?: (form: Form, answers: readonly Answer[]) => void;
}

/** Whom the server takes us for. */
export interface Self {
  /** Null: the address that we come from. */
  readonly client: string | null;
  readonly loggedIn: { readonly user: string; readonly mechanism: Mechanism } | null;
}

/** The server, as it presented itself. */
export interface Subject extends Self {
  readonly greeting: Reply;
  readonly names: Names;
  readonly localFrom: '--domain' | 'the greeting' | 'the EHLO reply' | 'its address';
  readonly forms: readonly Form[];
}

export interface Examination extends Subject {
  readonly answers: readonly Answer[];
  /** null where no login is offered in clear text. */
  readonly login: LoginAnswer | null;
}

// Between Exchange's MaxProtocolErrors (5) and one connection a question.
const QUESTIONS_PER_CONNECTION = 4;
const RECONNECT_AFTER = [0, 1000, 5000];
// A server that hangs up is asked on, since that costs nothing; one that falls silent would cost a time-out a question.
const SILENCES = 3;
// RFC 2606 §3 keeps both for documentation: nobody's mailbox is named.
const FOREIGN = 'example.net';
const OTHER_FOREIGN = 'example.org';
const HOST_NAME = /^[a-z0-9_](?:[a-z0-9_-]*[a-z0-9])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9])?)+\.?$/i;

/** Examines one server; a string is the reason why it could not be. */
export async function examine(options: ProbeOptions): Promise<Examination | string> {
  const caller = new Caller(options);
  const first = await caller.call();
  if (typeof first === 'string') return first;

  const subject = { ...caller.self(first), ...subjectOf(first, options.domain) };
  options.onBegin?.(subject);
  const answers: Answer[] = [];
  for (const form of subject.forms) {
    for (const sender of form.senders) answers.push(await caller.ask(form, sender, subject.names));
    options.onForm?.(form, answers.slice(-form.senders.length));
  }
  const login = await caller.tryLogin(subject);
  await caller.hangUp();
  return { ...subject, answers, login };
}

/** What must be allowed, and what came of it. */
export interface Expectation extends Self {
  readonly greeting: Reply;
  readonly answers: readonly ExpectedAnswer[];
}

export interface ExpectedAnswer extends Asked {
  /** What followed `MAIL FROM:` and `RCPT TO:`. */
  readonly sender: string;
  readonly recipient: string;
}

/** Asks for these recipients and no other; a string is the reason why they could not be asked for. */
export async function askExpected(
  options: ProbeOptions,
  sender: string,
  recipients: readonly string[],
): Promise<Expectation | string> {
  const caller = new Caller(options);
  const first = await caller.call();
  if (typeof first === 'string') return first;
  const answers: ExpectedAnswer[] = [];
  for (const recipient of recipients) answers.push({ sender, recipient, ...(await caller.put(sender, recipient)) });
  await caller.hangUp();
  return { ...caller.self(first), greeting: first.dialogue.greeting, answers };
}

interface Call {
  readonly dialogue: Dialogue;
  readonly ehlo: Reply;
  readonly mechanism: Mechanism | null;
  asked: number;
}

function subjectOf(call: Call, domain: string | null): Omit<Subject, keyof Self> {
  const { greeting, serverAddress } = call.dialogue;
  const literal = literalOf(serverAddress);
  const [local, localFrom] = localDomain(domain, greeting, call.ehlo, literal);
  const foreign = local === FOREIGN || local.endsWith(`.${FOREIGN}`) ? OTHER_FOREIGN : FOREIGN;
  const names: Names = { local, foreign, literal };
  return { greeting, names, localFrom, forms: formsFor(names) };
}

function localDomain(
  given: string | null,
  greeting: Reply,
  ehlo: Reply,
  literal: string,
): [string, Subject['localFrom']] {
  if (given !== null) return [given.toLowerCase(), '--domain'];
  const greeted = hostName(greeting);
  if (greeted !== null) return [greeted, 'the greeting'];
  const named = hostName(ehlo);
  if (named !== null) return [named, 'the EHLO reply'];
  return [literal, 'its address'];
}

/** RFC 5321 §4.2: the first word of both replies is the server's name. */
function hostName(reply: Reply): string | null {
  const word = reply.text.split(/[ \n]/, 1)[0] ?? '';
  return HOST_NAME.test(word) ? word.replace(/\.$/, '').toLowerCase() : null;
}

/** RFC 5321 §4.1.3. */
function literalOf(address: string): string {
  return isIPv6(address) ? `[IPv6:${address}]` : `[${address}]`;
}

/** Keeps one connection at a time and replaces it when it is used up or gone. */
class Caller {
  readonly #options: ProbeOptions;
  readonly #wait: (milliseconds: number) => Promise<unknown>;
  #call: Call | null = null;
  /** Why no further connection will be tried. */
  #gone: string | null = null;
  #before = false;
  #silences = 0;

  constructor(options: ProbeOptions) {
    this.#options = options;
    this.#wait = options.wait ?? sleep;
  }

  self({ mechanism }: Call): Self {
    const { client = null, credentials } = this.#options;
    return { client, loggedIn: credentials && mechanism ? { user: credentials.user, mechanism } : null };
  }

  async ask(form: Form, sender: SenderKind, names: Names): Promise<Answer> {
    return { form, sender, ...(await this.put(senderPath(sender, names), form.path)) };
  }

  /** One question: what follows `MAIL FROM:`, and what follows `RCPT TO:`. */
  async put(sender: string, recipient: string): Promise<Asked> {
    await this.#wait(this.#options.pace);
    const asked = await this.#putOnce(sender, recipient);
    return asked.reply.code !== 421 && asked.outcome !== 'lost' ? asked : await this.#putOnce(sender, recipient);
  }

  async tryLogin(subject: Subject): Promise<LoginAnswer | null> {
    if (this.#options.credentials) return null; // nobody logs in twice
    await this.hangUp();
    const call = await this.call();
    if (typeof call === 'string') return null;
    const mechanism = chooseMechanism(call.ehlo, ['LOGIN', 'PLAIN']);
    if (mechanism === null) return null;

    const reply = await logIn(call.dialogue, mechanism, madeUp());
    const outcome = outcomeOf(reply);
    const answers: Answer[] = [];
    const form = subject.forms[0];
    if (outcome === 'accepted' && form !== undefined) {
      for (const sender of ['null', 'local', 'foreign'] satisfies SenderKind[]) {
        answers.push({ form, sender, ...(await this.#putOn(call, senderPath(sender, subject.names), form.path)) });
      }
    }
    return { mechanism, outcome, reply, answers };
  }

  /** The connection for the next question; a string is the reason why there is none. */
  async call(): Promise<Call | string> {
    if (this.#call !== null && this.#call.asked < QUESTIONS_PER_CONNECTION) return this.#call;
    await this.hangUp();
    if (this.#gone !== null) return this.#gone;
    // A server that was never there will not be there in a second; one that was may only want a pause.
    let why = '';
    for (const pause of this.#before ? RECONNECT_AFTER : [0]) {
      if (pause > 0) await this.#wait(pause);
      const call = await openCall(this.#options);
      if (typeof call !== 'string') {
        this.#before = true;
        this.#call = call;
        return call;
      }
      why = call;
    }
    this.#gone = why;
    return why;
  }

  async hangUp(): Promise<void> {
    const call = this.#call;
    this.#call = null;
    if (call === null) return;
    await call.dialogue.say('QUIT');
    call.dialogue.close();
  }

  async #putOnce(sender: string, recipient: string): Promise<Asked> {
    const call = await this.call();
    if (typeof call === 'string') return { outcome: 'lost', at: 'MAIL', reply: { code: 0, text: call } };
    return await this.#putOn(call, sender, recipient);
  }

  async #putOn(call: Call, sender: string, recipient: string): Promise<Asked> {
    call.asked += 1;
    let at: Answer['at'] = 'MAIL';
    let reply = await call.dialogue.say(`MAIL FROM:${sender}`);
    if (outcomeOf(reply) === 'accepted') {
      at = 'RCPT';
      reply = await call.dialogue.say(`RCPT TO:${recipient}`);
    }
    // RFC 5321 §3.8: with a 421 the server has ended the connection, whether it hangs up or not.
    const over = reply.code === 421 || outcomeOf(await call.dialogue.say('RSET')) !== 'accepted';
    if (call.dialogue.silent) this.#silences += 1;
    if (this.#silences >= SILENCES) this.#gone = 'the server has stopped answering';
    if (over) {
      call.dialogue.close();
      if (this.#call === call) this.#call = null;
    }
    return { outcome: outcomeOf(reply), at, reply };
  }
}

/** Connects, says hello and logs in; a string is the reason why that failed. */
async function openCall({ to, client, credentials, patience = PROBE_TIMEOUTS }: ProbeOptions): Promise<Call | string> {
  const dialogue = await Dialogue.open(to, patience);
  if (typeof dialogue === 'string') return dialogue;
  let saidHello = false;
  const why = (what: string, reply: Reply) => {
    dialogue.close();
    const said = reply.code === 0 ? reply.text : formatLine(reply);
    return `${what}: ${toPrintable(said)}${client && !saidHello ? NO_HEADER : ''}`;
  };

  if (dialogue.greeting.code === 0) return why('it does not greet as a mail server does', dialogue.greeting);
  if (outcomeOf(dialogue.greeting) !== 'accepted') return why('it refuses to talk to this address', dialogue.greeting);
  const name = literalOf(client ?? dialogue.ownAddress);
  let ehlo = await dialogue.say(`EHLO ${name}`);
  // Behind a header it may be the header that was refused as a command: then every reply would be one too early.
  if (outcomeOf(ehlo) === 'refused' && !client) ehlo = await dialogue.say(`HELO ${name}`);
  if (outcomeOf(ehlo) !== 'accepted') return why('it refuses our EHLO', ehlo);
  saidHello = true;
  if (!credentials) return { dialogue, ehlo, mechanism: null, asked: 0 };

  const mechanism = chooseMechanism(ehlo, ['CRAM-MD5', 'PLAIN', 'LOGIN']);
  if (mechanism === null) {
    dialogue.close();
    return /^STARTTLS\b/im.test(ehlo.text) ? NO_LOGIN_IN_CLEAR : NO_LOGIN;
  }
  const reply = await logIn(dialogue, mechanism, credentials);
  if (outcomeOf(reply) !== 'accepted') return why(`it refuses the login (AUTH ${mechanism})`, reply);
  return { dialogue, ehlo, mechanism, asked: 0 };
}

function formatLine({ code, text }: Reply): string {
  return `${code} ${text.split('\n', 1)[0]}`;
}

const NO_HEADER = ' (does it take a PROXY header from this address?)';
const NO_LOGIN = 'it offers no login that we know (CRAM-MD5, PLAIN, LOGIN)';
const NO_LOGIN_IN_CLEAR = 'it offers no login in clear text, only behind STARTTLS, which probe does not speak';
