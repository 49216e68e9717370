// Cases: questions to a policy with the answers that are expected, one a line, beside the policy.
//
//   reject   10.9.1.1                              -> x@foreign.example   # comment
//   proceed  10.1.1.1  login=CORP\alice tls sender=a@example.com -> x@foreign.example
//
// tls_subject= is what a verified client certificate names, and means tls; a name with blanks cannot be said here.
// What a line does not say is not so: no login, no TLS, no name in DNS, the null sender. A backslash is a backslash.

import { foldName } from './domains.ts';
import { parseIp } from './ip.ts';
import { ANSWERS, ANY_LOCAL, type Answer, isAnswer, type PolicyQuestion, parseLocal } from './policy-question.ts';

export interface Case {
  readonly line: number;
  readonly expected: Answer;
  readonly asked: PolicyQuestion;
  /** The client's confirmed names; null when DNS would not answer. */
  readonly names: readonly string[] | null;
}

export interface BadCase {
  readonly line: number;
  readonly problem: string;
}

const REPEATABLE = new Set(['tls', 'tls_subject', 'ptr']);
const WORDS = 'login=, tls_subject=, local=, sender=, ptr= and helo=';

export function parseCases(text: string): (Case | BadCase)[] {
  const cases: (Case | BadCase)[] = [];
  for (const [i, written] of text.split('\n').entries()) {
    const content = written.replace(/(^|\s)#.*/, '').trim();
    if (content !== '') cases.push(parseCase(content, i + 1));
  }
  return cases;
}

function parseCase(content: string, line: number): Case | BadCase {
  const bad = (problem: string): BadCase => ({ line, problem });
  const arrow = content.indexOf('->');
  if (arrow === -1) return bad('no recipient: the line ends in -> and an address');
  const recipient = content.slice(arrow + 2).trim();
  if (recipient === '') return bad('no recipient behind ->');
  // It would be no address, and a reject would be right for another reason than was meant.
  const behind = /\s(\S.*)/.exec(recipient.replace(/"(?:\\.|[^"\\])*"/g, ''))?.[1];
  if (behind !== undefined)
    return bad(`'${behind}' stands behind the recipient: what is said of the client stands before ->`);
  const words = content.slice(0, arrow).trim().split(/\s+/);
  const [expected, source = ''] = words as [string, ...string[]];
  if (!isAnswer(expected)) return bad(`'${expected}' is no answer: ${ANSWERS.join(', ')} are`);
  if (parseIp(source) === null) return bad(`'${source}' is no address: the source stands behind the answer`);
  const nobody = { helo: '', login: null as string | null, tls: false, tlsSubject: [] as string[], sender: '' };
  const asked = { source, local: ANY_LOCAL, ...nobody };
  let names: string[] | null = [];
  const said = new Set<string>();
  for (const word of words.slice(2)) {
    const equals = word.indexOf('=');
    const key = equals === -1 ? word : word.slice(0, equals);
    const value = word.slice(equals + 1);
    if (said.has(key) && !REPEATABLE.has(key)) return bad(`'${key}=' stands twice: a client says it once`);
    said.add(key);
    if (key === 'tls' && equals === -1) asked.tls = true;
    else if (equals === -1) return bad(`'${word}' is not known: tls, ${WORDS} are`);
    else if (key === 'sender') asked.sender = value;
    else if (value === '') return bad(`'${word}' has nothing behind its =`);
    else if (key === 'login') asked.login = value;
    else if (key === 'helo') asked.helo = value;
    else if (key === 'tls_subject') {
      asked.tls = true;
      asked.tlsSubject.push(value);
    } else if (key === 'ptr') names = value === '?' ? null : [...(names ?? []), foldName(value)];
    else if (key === 'local') {
      const local = parseLocal(value);
      if (local === null) return bad(`'${value}' is no local address: 192.0.2.1 or 192.0.2.1:25 is wanted`);
      asked.local = local;
    } else return bad(`'${key}=' is not known: ${WORDS} are`);
  }
  return { line, expected, asked: { ...asked, recipient }, names };
}
