// Policies and questions for tests: everything at its default, but what the test names.

import { type CompiledPolicy, compilePolicy } from '../../src/policy/compile.ts';
import type { ConnectorDocument, PolicyDocument } from '../../src/policy/document.ts';
import type { PolicyOptions } from '../../src/policy/options.ts';
import type { Policy } from '../../src/policy/policy.ts';
import { foldAscii } from '../../src/smtp/bytes.ts';
import type { Address, Decision, Login, Question } from '../../src/smtp/types.ts';

export const noon = Date.UTC(2026, 10, 22, 12);

export function connector(given: Partial<ConnectorDocument>): ConnectorDocument {
  return {
    name: 'internet',
    bindings: [],
    remote_ip_ranges: ['any'],
    connect: { allow: ['any'], deny: [] },
    submit: 'anyone',
    senders: { own_domains: 'allow', login_must_match: {}, own_address: 'free', others: 'allow' },
    rules: [],
    upstream: 'default',
    auth: 'offer',
    require_tls: false,
    starttls: 'hide',
    exchange_verbs: 'hide',
    chunking: 'offer',
    hide_keywords: [],
    vrfy: 'forward',
    bare_lf: 'reject',
    early_talker: 'hold',
    unqualified_recipients: 'reject',
    max_message_size: Number.POSITIVE_INFINITY,
    replies: {},
    mode: 'enforce',
    i_know_this_is_open: false,
    ...given,
  };
}

export function document(given: Partial<PolicyDocument>): PolicyDocument {
  return {
    version: 1,
    accepted_domains: ['local.example'],
    relay_domains: [],
    blocked_domains: [],
    accepted_literals: [],
    groups: {},
    user_domains: {},
    connectors: [connector({})],
    ...given,
  };
}

export function compile(given: Partial<PolicyDocument>, options: Partial<PolicyOptions> = {}): CompiledPolicy {
  return compilePolicy(document(given), { now: () => noon, ...options });
}

/** The policy, which must have no error. */
export function sound(given: Partial<PolicyDocument>, options: Partial<PolicyOptions> = {}): Policy {
  const { policy, problems } = compile(given, options);
  if (policy === null) throw new Error(problems.map(({ message }) => message).join('\n'));
  return policy;
}

/** Errors and warnings as `severity: message`, without what every test policy has. */
export function complaints(given: Partial<PolicyDocument>, options: Partial<PolicyOptions> = {}): string[] {
  return compile(given, options)
    .problems.filter(({ message }) => !message.includes('without STARTTLS'))
    .map(({ severity, message }) => `${severity}: ${message}`);
}

export function address(text: string): Address {
  const at = text.lastIndexOf('@');
  if (at === -1) return { local: text, domain: null, literal: null };
  const host = text.slice(at + 1);
  const literal = /^\[(.*)\]$/.exec(host)?.[1] ?? null;
  return { local: text.slice(0, at), domain: literal === null ? foldAscii(host) : null, literal };
}

export function login(name: string | null): Login {
  return { mechanism: name === null ? 'GSSAPI' : 'PLAIN', name };
}

/** A RCPT for these addresses; the first is the one as written. */
export function rcpt(recipients: string | string[], given: Partial<Question> = {}): Question {
  const addresses = [recipients].flat().map(address);
  const sender = given.sender ?? 'someone@sender.example';
  return {
    protocolState: 'RCPT',
    transaction: 0,
    helo: 'client.example',
    login: null,
    tls: false,
    tlsSubject: [],
    sender,
    senderAddress: sender === '' ? null : address(sender),
    recipient: [recipients].flat()[0] ?? '',
    addresses,
    ...given,
  };
}

export function mail(sender: string, given: Partial<Question> = {}): Question {
  return rcpt([], { protocolState: 'MAIL', sender, ...given });
}

/** What a client hears: `proceed`, or the code of the reply, or the reply itself without its code. */
export async function answer(
  policy: Policy,
  client: string,
  question: Question,
  local = '192.0.2.25',
): Promise<string> {
  const decision = await decide(policy, client, question, local);
  if (decision === null) return 'no connector';
  if (decision.action === 'proceed') return decision.observed ? 'would reject' : 'proceed';
  return `${decision.reply.code} ${decision.reason}`;
}

export async function decide(
  policy: Policy,
  client: string,
  question: Question,
  local = '192.0.2.25',
): Promise<Decision | null> {
  const connector = policy.connectorFor({ clientAddress: client, localAddress: local, localPort: 25 });
  return connector === null ? null : connector.judge({ address: client, localAddress: local, localPort: 25 }, question);
}
