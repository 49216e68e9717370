// Sessions of a client that does nothing wrong, and what it has to hear: each reply's code, and whose it is, by the reference
// judge. Nothing of them may be refused, changed, lost, or answered out of turn.

import type { Backend } from '../helpers/backend.ts';
import {
  type Below,
  type Connector,
  oneOf,
  type Policy,
  type Session,
  type Setting,
  type Step,
  someOf,
} from './case.ts';
import {
  codeOf,
  connectorFor,
  type Facts,
  isObserved,
  mayConnect,
  outcomes,
  sameConnector,
  whyNoMail,
} from './reference.ts';
import { CLIENTS, LOCALS, namesOf, USERS, VALID } from './settings.ts';

/** Servers that answer as servers should, whatever they offer and however their replies come. */
const BACKENDS: readonly Backend[] = [
  {},
  {},
  {},
  { caps_remove: ['PIPELINING'] },
  { caps_remove: ['CHUNKING', 'SMTPUTF8', 'ENHANCEDSTATUSCODES', 'DSN'] },
  { strict_no_pipelining: true },
  { split_replies: 'every-byte' },
  { coalesce: true },
  { no_codes: true, caps_remove: ['ENHANCEDSTATUSCODES'] },
  { reply: { RCPT: '450 4.2.0 greylisted' } },
  { reply: { EOD: '554 5.6.0 no' } },
  { reply: { DATA: '451 4.3.0 later' } },
  { hello_again: 'keeps' },
  { mail_again: 'keeps recipients' },
  { bdat: 'u32' },
];

const RECIPIENTS = [
  'u@local.example',
  'u@local.example',
  'second.one@local.example',
  'UPPER@LOCAL.EXAMPLE',
  '"quoted one"@local.example',
  '"with \\"quote\\" and > in it"@local.example',
  "o'brien+tag/x=y@local.example",
  'two..dots.@local.example',
  'u@local.example.',
  'IMCEAEX-_O=ORG_CN=USER@local.example',
  'Postmaster',
  'u@wide.example',
  'u@below.wide.example',
  'u@deep.wide.example',
  'u@one.test',
  'u@[192.0.2.25]',
  'u@partner.example',
  'u@foreign.example',
  'second@far.example',
  'u@x.far.example',
  'u@blocked.example',
  'u@x.bad.example',
  'u@LOCAL.example.foreign.example',
];

const SENDERS = [
  's@sender.example',
  's@own.example',
  's@x.own.example',
  '',
  'other@elsewhere.example',
  's@local.example',
  'ALICE@own.example',
  'erin@own.example',
  'frank@OWN.example',
];
const NAMES = ['client.example', 'x.trusted.example', '[192.0.2.1]', 'host_with_underscore', 'pc'];

/** Text of a message: no line of it is a lone dot, or begins or ends so that another server would end there. */
const TEXT = [
  'Subject: x\r\n\r\n',
  'text\r\n',
  '..stuffed\r\n',
  '.. \r\n',
  'a bare \n in a line\r\n',
  'a bare \r in a line\r\n',
  'a NUL \0 in a line\r\n',
  'MAIL FROM:<a@b.example>\r\nRCPT TO:<victim@foreign.example>\r\nDATA\r\n',
  '\xc3\xa9\xff\x80\r\n',
  'x'.repeat(998),
  `${'long '.repeat(390)}\r\n`,
  'dots . in . it.\r\n',
  '\r\n',
];

function text(below: Below, dialect: Setting['dialect']): string {
  let all = '';
  const pieces = below(30) === 0 ? 300 : below(6);
  for (let at = 0; at < pieces; at++) {
    const piece = oneOf(below, TEXT);
    if (dialect === 'dotany' && piece.startsWith('.')) continue;
    all += piece;
  }
  return all === '' || all.endsWith('\r\n') ? all : `${all}\r\n`;
}

const base64 = (octets: string): string => Buffer.from(octets, 'latin1').toString('base64');

class Writer {
  readonly steps: Step[] = [];
  readonly #below: Below;
  readonly #pipelines: boolean;
  #saying = '';
  #arrives = '';
  #hears: string[] = [];

  constructor(below: Below, pipelines: boolean) {
    this.#below = below;
    this.#pipelines = pipelines;
  }

  /** A line, which the next may follow without waiting; `waits`: it is the last of its group. */
  line(line: string, hears: string | null, waits = false): void {
    this.octets(`${line}\r\n`, hears, waits);
  }

  octets(octets: string, hears: string | null, waits = false): void {
    this.#saying += octets;
    if (!hears?.startsWith('!')) this.#arrives += octets;
    if (hears !== null) this.#hears.push(hears);
    if (waits || !this.#pipelines || this.#below(3) === 0) this.flush();
  }

  flush(): void {
    if (this.#saying === '') return;
    const say = this.#saying;
    this.steps.push({ say, cuts: cutsOf(this.#below, say.length), hears: this.#hears, arrives: this.#arrives });
    this.#saying = '';
    this.#arrives = '';
    this.#hears = [];
  }
}

/** Mostly none, sometimes a few, seldom everywhere. */
export function cutsOf(below: Below, length: number): number[] {
  const kind = below(6);
  if (kind > 2 || length < 2) return [];
  if (kind === 0 && length < 600) return Array.from({ length: length - 1 }, (_, at) => at + 1);
  const some = Array.from({ length: 1 + below(4) }, () => 1 + below(length - 1));
  return [...new Set(some)].toSorted((one, other) => one - other);
}

export function randomHeader(below: Below): Session['header'] {
  const source = oneOf(below, CLIENTS);
  const six = source.includes(':');
  const local = oneOf(below, LOCALS);
  return { version: below(2) === 0 ? 1 : 2, source, destination: six ? `::ffff:${local}` : local };
}

/** Who the client is, at its first word. */
export function factsOf(setting: Setting, header: Session['header']): Facts {
  const client = (header?.source ?? '127.0.0.1').replace(/^::ffff:/, '');
  const local = header === null ? '127.0.0.1:0' : `${header.destination.replace(/^::ffff:/, '')}:25`;
  return {
    client,
    local,
    login: null,
    tls: setting.clientTls === 'implicit',
    sender: '',
    helo: '',
    names: namesOf(client),
    observes: setting.observes,
    valid: setting.lists ? VALID : null,
  };
}

/** What a session is judged by: a reload changes it. */
interface Ground {
  policy: Policy;
  /** null: there is no place left for it. */
  at: Connector | null;
}

/** `backend`: the server's ways, where they are known already. */
export function legitimateSession(below: Below, setting: Setting, backend = oneOf(below, BACKENDS)): Session {
  const header = setting.proxied ? randomHeader(below) : null;
  const facts: { -readonly [Key in keyof Facts]: Facts[Key] } = factsOf(setting, header);
  const connector = connectorFor(setting.policy, facts);
  const gone = new Set([
    ...(backend.caps_remove ?? []),
    ...(backend.strict_no_pipelining ? ['PIPELINING'] : []),
    ...(connector?.hide_keywords ?? []),
  ]);
  const writer = new Writer(below, !gone.has('PIPELINING') && below(3) > 0);
  const finish = (): Session => ({ header, backend, steps: writer.steps, end: 'fin', legitimate: true });
  const may = connector === null ? 'reject' : isObserved(connector, facts) ? 'proceed' : mayConnect(connector, facts);
  if (connector === null || may !== 'proceed') {
    if (setting.clientTls === 'implicit') return finish(); // there is no handshake in which to hear anything
    writer.steps.push({ hears: [may === 'defer' ? '!421' : '!554'] });
    if (may !== 'defer') writer.line('QUIT', '!221', true); // a 421 is the end (RFC 5321 §3.8)
    return finish();
  }
  writer.steps.push({ hears: ['220'] });
  const hello = (): void => {
    facts.helo = oneOf(below, NAMES);
    writer.line(`EHLO ${facts.helo}`, '250', true);
  };
  const ground: Ground = { policy: setting.policy, at: connector };
  const reload = (): void => {
    writer.flush();
    writer.steps.push({ reload: true });
    ground.policy = ground.policy === setting.policy ? (setting.next as Policy) : setting.policy;
    ground.at = sameConnector(ground.policy, setting.policy, connector, facts);
  };
  hello();
  if (connector.starttls === 'terminate' && !facts.tls && below(3) > 0) {
    writer.line('STARTTLS', '!220', true);
    writer.steps.push({ tls: true });
    facts.tls = true;
    hello();
  }
  if (connector.auth !== 'hide' && (connector.auth !== 'require_tls' || facts.tls) && below(2) === 0) {
    facts.login = oneOf(below, USERS);
    logIn(below, writer, facts.login);
  }
  for (let count = 1 + below(3); count > 0; count--) {
    const chunks = !gone.has('CHUNKING') && connector.chunking !== 'hide' && below(3) === 0;
    if (setting.next !== null && below(4) === 0) reload();
    const as = { ...facts, sender: oneOf(below, SENDERS) };
    const later = setting.next !== null && below(4) === 0 ? reload : (): void => {};
    if (!transaction(below, writer, { setting, facts: as, backend, gone, chunks, ...ground, later })) return finish();
    if (below(4) === 0) writer.line('NOOP', '250', true);
    if (below(6) === 0) writer.line('VRFY someone', connector.vrfy === 'refuse' ? '!252' : '252', true);
    if (below(5) === 0) writer.line('RSET', '250');
    if (below(8) === 0) hello();
  }
  writer.line('QUIT', '221', true);
  return finish();
}

function logIn(below: Below, writer: Writer, user: string): void {
  const secret = `\0${user}\0secret`;
  const way = below(3);
  if (way === 0) writer.line(`AUTH PLAIN ${base64(secret)}`, '235', true);
  else if (way === 1) {
    writer.line('AUTH PLAIN', '334', true);
    writer.line(base64(secret), '235', true);
  } else {
    writer.line('AUTH LOGIN', '334', true);
    writer.line(base64(user), '334', true);
    writer.line(base64('secret'), '235', true);
  }
}

interface Transaction extends Ground {
  readonly setting: Setting;
  readonly facts: Facts;
  readonly backend: Backend;
  /** Keywords that the client is not offered. */
  readonly gone: ReadonlySet<string>;
  readonly chunks: boolean;
  /** What happens in the middle of it, and concerns the next one only. */
  readonly later: () => void;
}

/** False when the session is over with it. */
function transaction(
  below: Below,
  writer: Writer,
  { policy, at, setting, facts, backend, ...more }: Transaction,
): boolean {
  const { gone, chunks, later } = more;
  const mail = `MAIL FROM:<${facts.sender}>`;
  if (at === null) {
    writer.line(mail, '!421', true);
    return false;
  }
  const refusal = whyNoMail(policy, at, facts);
  if (refusal !== null) {
    if (refusal !== 'unsure') writer.line(mail, `!${refusal}`, true);
    return true;
  }
  const parameters = oneOf(below, ['', '', ' SIZE=100', ' BODY=8BITMIME', gone.has('DSN') ? '' : ' RET=HDRS ENVID=x']);
  writer.line(`${mail}${parameters}`, '250');
  later();
  const server = backend.reply?.RCPT?.slice(0, 3) ?? '250';
  let taken = 0;
  for (const recipient of someOf(below, RECIPIENTS, below(2) === 0 ? 15 : 40)) {
    const [answer = 'reject', ...others] = outcomes(policy, at, facts, recipient);
    if (others.length > 0) continue; // nobody can say what is due
    if (answer === 'proceed' && server === '250') taken++;
    const notify = below(6) === 0 && !gone.has('DSN') ? ' NOTIFY=SUCCESS,FAILURE' : '';
    const ours = codeOf(policy, recipient, answer);
    writer.line(`RCPT TO:<${recipient}>${notify}`, ours === null ? server : `!${ours}`);
  }
  const isOver = taken === 0;
  if (isOver || below(6) === 0) {
    if (isOver && below(2) === 0) writer.line('DATA', '!503', true);
    writer.line('RSET', '250');
    return true;
  }
  const body = text(below, setting.dialect);
  if (chunks) chunked(below, writer, body, backend.reply?.EOD?.slice(0, 3) ?? '250');
  else if (backend.reply?.DATA !== undefined) {
    writer.line('DATA', backend.reply.DATA.slice(0, 3), true);
    writer.line('RSET', '250', true);
  } else {
    writer.line('DATA', '354', true);
    writer.octets(`${body}.\r\n`, backend.reply?.EOD?.slice(0, 3) ?? '250');
  }
  return true;
}

function chunked(below: Below, writer: Writer, body: string, last: string): void {
  let rest = body;
  for (let count = below(3); count > 0 && rest.length > 1; count--) {
    const piece = rest.slice(0, 1 + below(rest.length - 1));
    writer.octets(`BDAT ${piece.length}\r\n${piece}`, '250');
    rest = rest.slice(piece.length);
  }
  writer.octets(`BDAT ${rest.length} LAST\r\n${rest}`, last);
}
