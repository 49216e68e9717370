// One question to a policy as people ask it, in `explain` and in cases, put to the policy as a session would: connection,
// MAIL, RCPT, each with the replies that a client would hear.
//
// The grammar is the core's own; what needs no policy (a path that does not parse, a trick) is answered here as there.

import { foldAscii } from '../smtp/bytes.ts';
import { isUtf8Text, parseForwardPath, parseReversePath } from '../smtp/path.ts';
import { BAD_RECIPIENT, BAD_SENDER, formatReply, UNQUALIFIED_RECIPIENT } from '../smtp/replies.ts';
import type { Address, Decision, Login, OwnReply, Question } from '../smtp/types.ts';
import { parseDistinguishedName } from './certificate-subjects.ts';
import type { Connector } from './connector.ts';
import { parseIp } from './ip.ts';
import { parseEndpoint, type SourceEntry } from './lists.ts';
import { NO_CONNECTOR, type Policy } from './policy.ts';
import { toOctets } from './spellings.ts';

/** Text as people write it; it becomes octets when it is put to the policy. */
export interface PolicyQuestion {
  readonly source: string;
  readonly local: { readonly address: string; readonly port: number };
  readonly helo: string;
  /** `?` is a login whose name nobody can see; null is none. */
  readonly login: string | null;
  readonly tls: boolean;
  /** What a verified client certificate names. */
  readonly tlsSubject: readonly string[];
  readonly sender: string;
  readonly recipient: string;
}

/** What a person may say of a question; every word may be left out but `source` and `rcpt`. */
export interface PolicyQuestionWords {
  readonly source?: string | undefined;
  readonly rcpt?: string | undefined;
  readonly sender?: string | undefined;
  readonly login?: string | undefined;
  readonly local?: string | undefined;
  readonly helo?: string | undefined;
  readonly tls?: boolean | undefined;
  readonly tlsSubject?: readonly string[] | undefined;
}

/** An address of nobody: where a question does not say which of our addresses the client has connected to. */
export const ANY_LOCAL = { address: '0.0.0.0', port: 25 };

/** `address`, `address:port`, `[v6]:port`; port 25 where none is said. */
export function parseLocal(text: string): { address: string; port: number } | null {
  const endpoint = parseEndpoint(text);
  if (typeof endpoint === 'string' || endpoint.ip === null) return null;
  const address = endpoint.port === null ? text : text.slice(0, text.lastIndexOf(':'));
  return { address: address.replace(/^\[(.*)\]$/, '$1'), port: endpoint.port ?? 25 };
}

/** Reads the words; a string says what is wrong, each word spelled by `spell` (`--source`, `source`). */
export function readPolicyQuestion(
  words: PolicyQuestionWords,
  spell: (word: keyof PolicyQuestionWords) => string,
): PolicyQuestion | string {
  const { source = '', rcpt = '', sender = '', login = null, helo = '', tlsSubject = [] } = words;
  const tls = words.tls === true || tlsSubject.length > 0;
  const local = words.local === undefined ? ANY_LOCAL : parseLocal(words.local);
  if (source === '') return `who is the client? ${spell('source')} is wanted, an IP address`;
  if (parseIp(source) === null) return `${spell('source')}: ${JSON.stringify(source)} is not an address`;
  if (rcpt === '') return `to whom? ${spell('rcpt')} is wanted, an address`;
  if (login === '')
    return `${spell('login')}: nobody logs in without a name: leave it out, or ? for one that nobody sees`;
  if (tlsSubject.includes('')) return `${spell('tlsSubject')}: a certificate without a name names nobody: leave it out`;
  if (local === null) return `${spell('local')}: ${JSON.stringify(words.local)} is not IP:PORT, as 192.0.2.1:25`;
  return { source, local, helo, login, tls, tlsSubject, sender, recipient: rcpt };
}

export const UNQUALIFIED_GRAMMAR = 'no domain, and only Postmaster needs none';

export const ANSWERS = ['proceed', 'reject', 'defer', 'refuse-connection', 'refuse-sender'] as const;

export type Answer = (typeof ANSWERS)[number];

export function isAnswer(text: string): text is Answer {
  return (ANSWERS as readonly string[]).includes(text);
}

export interface Verdict {
  readonly answer: Answer;
  /** Where something was refused, or would be in observe; null when all proceeds. */
  readonly refusedAt: 'connection' | 'MAIL' | 'RCPT' | null;
  readonly connector: Connector | null;
  /** The range that made the connector answer. */
  readonly entry: SourceEntry | null;
  /** The decision of MAIL or RCPT, whichever came last; null when nobody was asked. */
  readonly decision: Decision | null;
  /** What ended it before the policy was asked: the core's grammar. */
  readonly grammar: string | null;
  /** As the client would hear it, with the enhanced code (observe: as it would, were it enforced); null when all proceeds. */
  readonly reply: string | null;
  /** At RCPT: what was asked, and the addresses that the path names. */
  readonly question: Question | null;
}

export async function answerQuestion(policy: Policy, asked: PolicyQuestion): Promise<Verdict> {
  const { source, local } = asked;
  const ends = { clientAddress: source, localAddress: local.address, localPort: local.port };
  const choice = policy.choiceFor(ends);
  const connector = choice?.connector ?? null;
  const end = (answer: Answer, more: Partial<Verdict>, reply: OwnReply | null): Verdict => ({
    answer,
    connector,
    entry: choice?.entry ?? null,
    decision: null,
    grammar: null,
    question: null,
    refusedAt: answer === 'refuse-connection' ? 'connection' : 'RCPT',
    ...more,
    reply: reply === null ? null : spoken(reply, asked),
  });
  if (connector === null) return end('refuse-connection', {}, NO_CONNECTOR);
  const refusal = await connector.refusal(source);
  if (refusal !== null && connector.mode === 'enforce') return end('refuse-connection', {}, refusal);

  const sender = readSender(asked.sender);
  if (sender === null)
    return end('refuse-sender', { grammar: 'the sender is no reverse-path', refusedAt: 'MAIL' }, BAD_SENDER);
  const judge = connector.judgeFor({ address: source, localAddress: local.address, localPort: local.port });
  const mail = questionOf(asked, 'MAIL', sender, '', []);
  const may = await judge(mail);
  if (may.action !== 'proceed')
    return end(
      isDeferral(may) ? 'defer' : 'refuse-sender',
      { decision: may, question: mail, refusedAt: 'MAIL' },
      may.reply,
    );

  const path = readRecipient(asked.recipient);
  if (typeof path === 'string') {
    const reply = path === 'trick' ? connector.profile.relayReply : BAD_RECIPIENT;
    const grammar =
      path === 'trick' ? 'a source route, or an address hidden so that nobody can judge it' : 'no forward-path';
    return end('reject', { decision: may, grammar }, reply);
  }
  const question = questionOf(asked, 'RCPT', sender, path.written, path.addresses);
  if (path.bare && connector.profile.unqualifiedRecipients === 'reject' && foldAscii(path.local) !== 'postmaster')
    return end('reject', { grammar: UNQUALIFIED_GRAMMAR, question }, UNQUALIFIED_RECIPIENT);
  if (path.gateway && !connector.profile.relaysAnywhere)
    return end(
      'reject',
      { grammar: 'a gateway address that nobody can judge', question },
      connector.profile.relayReply,
    );
  const decision = await judge(question);
  if (decision.action === 'proceed') {
    if (decision.observed) return end('proceed', { decision, question }, decision.reply ?? null);
    if (may.observed) return end('proceed', { decision: may, question, refusedAt: 'MAIL' }, may.reply ?? null);
    return end('proceed', { decision, question, refusedAt: refusal === null ? null : 'connection' }, refusal);
  }
  return end(isDeferral(decision) ? 'defer' : 'reject', { decision, question }, decision.reply);
}

function isDeferral(decision: Exclude<Decision, { action: 'proceed' }>): boolean {
  return decision.reply.code < 500;
}

interface Sender {
  readonly written: string;
  readonly address: Address | null;
}

function readSender(text: string): Sender | null {
  const octets = bracketed(text);
  const path = parseReversePath(octets, 0, isUtf8Text(octets));
  return path === null || path.end !== octets.length ? null : { written: path.written, address: path.address };
}

interface Recipient {
  readonly written: string;
  readonly local: string;
  readonly addresses: readonly Address[];
  readonly bare: boolean;
  readonly gateway: boolean;
}

function readRecipient(text: string): Recipient | 'trick' | 'syntax' {
  const octets = bracketed(text);
  const path = parseForwardPath(octets, 0, isUtf8Text(octets));
  if (!('address' in path)) return path.trick ? 'trick' : 'syntax';
  if (path.end !== octets.length) return 'syntax';
  return { ...path, local: path.address.local };
}

function bracketed(text: string): string {
  const octets = toOctets(text);
  return octets.startsWith('<') ? octets : `<${octets}>`;
}

function questionOf(
  asked: PolicyQuestion,
  protocolState: Question['protocolState'],
  sender: Sender,
  recipient: string,
  addresses: readonly Address[],
): Question {
  return {
    protocolState,
    transaction: 0,
    helo: toOctets(asked.helo),
    login: loginOf(asked.login),
    tls: asked.tls,
    tlsSubject: asked.tlsSubject.map((name) => parseDistinguishedName(name) ?? toOctets(name)),
    sender: sender.written,
    senderAddress: sender.address,
    recipient,
    addresses,
  };
}

function loginOf(name: string | null): Login | null {
  if (name === null) return null;
  return name === '?' ? { mechanism: 'GSSAPI', name: null } : { mechanism: 'PLAIN', name };
}

function spoken(reply: OwnReply, { recipient, sender, source }: PolicyQuestion): string {
  const fill = {
    recipient: toOctets(recipient).replace(/^<|>$/g, ''),
    sender: toOctets(sender).replace(/^<|>$/g, ''),
    client_address: source,
  };
  return formatReply(reply, true, fill).toString('latin1').trimEnd();
}
