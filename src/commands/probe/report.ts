// What an administrator, or a machine, reads about an examination. Pure: text in, text out.
//
// --json prints one object:
//   target, client_address, logged_in: { user, mechanism } | null,
//   local_domain, local_domain_from, foreign_domain, greeting, verdict, because,
//   proof: { sender, recipient, reply } | null,
//   counts: { accepted, refused, deferred, lost },
//   login: null | { mechanism, outcome, reply, answers: [...] },
//   answers: [{ form, outer, sender, recipient, outcome, at, reply }]
// `verdict` is open | cannot tell | closed, `outcome` is accepted | refused | deferred | lost, `sender` and `recipient`
// are what followed MAIL FROM: and RCPT TO:. `client_address` is whom a PROXY header names, else null. With --expect-relay:
//   target, client_address, logged_in, greeting, verdict, answers: [{ sender, recipient, outcome, at, reply }]
// `verdict` is then as expected | not as expected | cannot tell. When the server could not be examined: target, verdict null and error.
//
// Invariant: what the server said is shown as printable ASCII only, since a terminal obeys other octets.

import { toPrintable } from '../../smtp/bytes.ts';
import type { Colour, Paint } from '../paint.ts';
import type { Reply } from './dialogue.ts';
import type { Examination, Expectation, Self, Subject } from './examine.ts';
import { type Form, SENDERS, type SenderKind, senderPath } from './forms.ts';
import {
  type Answer,
  type Asked,
  expectationOf,
  type LoginAnswer,
  type Outcome,
  untoldForms,
  type Verdict,
} from './verdict.ts';

const SENDER_HEADS: Record<SenderKind, string> = {
  null: '<>',
  local: 'local',
  literal: '@[ip]',
  foreign: 'foreign',
  bare: 'bare',
};
const CELLS: Record<Outcome, string> = { accepted: 'ACCEPTED', refused: 'refused', deferred: 'deferred', lost: 'lost' };
export const COLOURS: Record<Outcome, Colour> = {
  accepted: 'red',
  refused: 'green',
  deferred: 'yellow',
  lost: 'yellow',
};
const CELL = 10;

/** What stands above the table: whom we ask, about what, as whom. */
export function formatHead(target: string, subject: Subject, pace: number): string {
  const { names, forms, localFrom, greeting } = subject;
  const questions = forms.reduce((sum, form) => sum + form.senders.length, 0);
  const hint = localFrom === '--domain' ? '' : ' (if it receives mail for another domain, say --domain)';
  return [
    `Asking ${target} to relay, ${forms.length} forms in ${questions} questions, ${pace} ms apart. No message is ever sent.`,
    `  It greets:       ${formatReply(greeting)}`,
    ...selfLines(subject),
    `  Local domain:    ${names.local}, from ${localFrom}${hint}`,
    `  Foreign domain:  ${names.foreign}`,
    '',
    `  ${'RCPT TO: … after MAIL FROM: …'.padEnd(pathWidth(forms))}  ${cells(SENDERS.map((kind) => SENDER_HEADS[kind]))}`,
  ].join('\n');
}

/** Whom the server takes us for, where that is not plain. */
function selfLines({ client, loggedIn }: Self): string[] {
  return [
    ...(client === null ? [] : [`  Our address:     ${client}, as our PROXY header says`]),
    ...(loggedIn === null ? [] : [`  Logged in as:    ${toPrintable(loggedIn.user)} (AUTH ${loggedIn.mechanism})`]),
  ];
}

/** Whom it relays for, when it does. */
function whoWeAre({ client, loggedIn }: Self): string {
  const from = client === null ? '' : client;
  if (loggedIn === null) return from;
  return `${toPrintable(loggedIn.user)} when logged in${from === '' ? '' : ` from ${from}`}`;
}

/** What must be allowed, an answer a line, and whether it is. */
export function formatExpectation(target: string, expectation: Expectation, paint: Paint): string {
  const { answers, greeting } = expectation;
  const width = Math.max(...answers.map(({ recipient }) => recipient.length));
  const rows = answers.map(({ recipient, outcome, at, reply }) => {
    const colour = outcome === 'accepted' ? 'green' : outcome === 'refused' ? 'red' : 'yellow';
    const cell = paint(colour, `${outcome}${outcome !== 'accepted' && at === 'MAIL' ? '*' : ''}`.padEnd(CELL));
    return `  ${recipient.padEnd(width)}  ${cell}${formatReply(reply)}`;
  });
  return [
    `Asking ${target} to take what must be allowed. No message is ever sent.`,
    `  It greets:       ${formatReply(greeting)}`,
    ...selfLines(expectation),
    '',
    `  RCPT TO: … after MAIL FROM:${answers[0]?.sender ?? ''}`,
    ...rows,
    '',
    ...(answers.some(({ outcome, at }) => outcome !== 'accepted' && at === 'MAIL') ? [`  * at MAIL already`, ''] : []),
    expectationSentence(answers, paint),
  ].join('\n');
}

function expectationSentence(answers: readonly Asked[], paint: Paint): string {
  const not = (outcome: Outcome) => answers.filter((answer) => answer.outcome === outcome).length;
  switch (expectationOf(answers)) {
    case 'as expected':
      return paint('green', `AS EXPECTED: ${answers.length === 1 ? 'it is' : `all ${answers.length} are`} allowed.`);
    case 'not as expected':
      return paint('red', `NOT AS EXPECTED: ${not('refused')} of ${answers.length} refused.`);
    case 'cannot tell':
      return paint('yellow', `CANNOT TELL: ${not('deferred')} of ${answers.length} deferred, ${not('lost')} lost.`);
  }
}

/** One row: the form, and what came of it with each sender. */
export function formatRow(form: Form, answers: readonly Answer[], width: number, paint: Paint): string {
  const row = SENDERS.map((sender) => {
    const answer = answers.find((one) => one.sender === sender);
    if (answer === undefined) return ' '.repeat(CELL);
    const star = answer.outcome === 'refused' && answer.at === 'MAIL' ? '*' : '';
    return paint(COLOURS[answer.outcome], `${CELLS[answer.outcome]}${star}`.padEnd(CELL));
  });
  return `  ${showPath(form.path).padEnd(width)}  ${row.join('').trimEnd()}`;
}

/** The width of the column that holds the forms. */
export function pathWidth(forms: readonly Form[]): number {
  return Math.max(...forms.map((form) => showPath(form.path).length));
}

/** What stands below the table: the login, the replies, the verdict and what to do. */
export function formatEnd(examination: Examination, verdict: Verdict, paint: Paint): string {
  const { answers, login } = examination;
  const star = answers.some((answer) => answer.outcome === 'refused' && answer.at === 'MAIL');
  const lines = star ? ['  * the sender was refused already, at MAIL', ''] : [''];
  lines.push('The replies:', ...replyCounts(examination).map((line) => `  ${line}`));
  lines.push('', loginSentence(login, examination), '', ...verdictLines(examination, verdict, paint));
  return lines.join('\n');
}

/** The verdict, and what follows from it. */
function verdictLines(examination: Examination, verdict: Verdict, paint: Paint): string[] {
  const { answers, names } = examination;
  const proof = verdict.proof === null ? [] : proofLines(verdict.proof, examination);
  switch (verdict.because) {
    case 'relays': {
      const who = whoWeAre(examination);
      if (who !== '')
        return [
          paint('red', `OPEN: this server relays for ${who}.`),
          ...proof,
          '  If that is meant, --expect-relay makes a test of it; what a stranger may do is asked without such a name.',
        ];
      return [
        paint('red', 'OPEN: this server relays for strangers.'),
        ...proof,
        '  Anybody can send mail to anybody through it. Forbid it to relay, or put Postern in front, and probe again.',
      ];
    }
    case 'IMCEA only':
      return [
        paint(
          'red',
          'OPEN: this server refuses plain foreign addresses, but took one wrapped in its own domain (IMCEA).',
        ),
        ...proof,
        '  Exchange 5.5 unwraps it and relays (MS99-027): install its service pack 4, or put Postern in front.',
        '  Any other server takes it for a name in its own domain, and bounces it; let it refuse unknown recipients.',
      ];
    case 'relays after a made-up login':
      return [
        paint('red', 'OPEN: this server believes any login, and then relays.'),
        ...proof,
        '  Turn off the Guest account (KB Q251149), or do not offer logins to the outside, and probe again.',
      ];
    case 'hidden only':
      return [
        paint(
          'yellow',
          'CANNOT TELL: this server refuses plain foreign addresses, but took one that hides behind its own domain.',
        ),
        ...proof,
        '  Old Exchange accepts these and bounces them later; a server that unwraps them is an open relay.',
        '  To be sure, send a real message this way to a mailbox of yours elsewhere. Postern refuses all these forms.',
      ];
    case 'no answer': {
      const untold = untoldForms(answers).length;
      return [
        paint('yellow', `CANNOT TELL: nothing was accepted, but ${count(untold, 'form')} got no real answer.`),
        ...lostLines(answers),
        '  A server that puts strangers off (greylisting, a limit) answers later: wait a few minutes and probe again.',
      ];
    }
    case 'refuses':
      return [
        paint(
          'green',
          `CLOSED: this server refuses to relay; not one of ${count(answers.length, 'question')} was accepted.`,
        ),
        ...lostLines(answers),
        `  This holds for ${examination.client ?? 'the address that it was asked from'}, and for ${names.local} as its own domain.`,
      ];
  }
}

function proofLines(proof: Answer, { names }: Examination): string[] {
  return [
    `  MAIL FROM:${senderPath(proof.sender, names)}`,
    `  RCPT TO:${showPath(proof.form.path)}`,
    `  was answered: ${formatReply(proof.reply)}`,
  ];
}

function lostLines(answers: readonly Answer[]): string[] {
  const lost = answers.filter((answer) => answer.outcome === 'lost');
  const deferred = answers.filter((answer) => answer.outcome === 'deferred');
  const first = lost[0];
  return [
    ...(deferred.length === 0 ? [] : [`  ${count(deferred.length, 'question')} deferred.`]),
    ...(first === undefined ? [] : [`  ${count(lost.length, 'question')} lost: ${toPrintable(first.reply.text)}.`]),
  ];
}

function loginSentence(login: LoginAnswer | null, { loggedIn }: Self): string {
  if (loggedIn !== null) return `Login: as ${toPrintable(loggedIn.user)}, so none with a made-up name was tried.`;
  if (login === null) return 'Login: none is offered in clear text (LOGIN or PLAIN), so none was tried.';
  const said = formatReply(login.reply);
  if (login.outcome !== 'accepted') return `Login: a made-up name (AUTH ${login.mechanism}) was not accepted: ${said}`;
  const relays = login.answers.some((answer) => answer.outcome === 'accepted')
    ? 'relays for it'
    : 'still does not relay';
  return `Login: A MADE-UP NAME WAS ACCEPTED (AUTH ${login.mechanism}): ${said}\n  The server ${relays}. Its Guest account is on (KB Q251149).`;
}

/** Every different reply with its count, the most frequent first; what we wrote ourselves is left out of it. */
function replyCounts({ answers, names }: Examination): string[] {
  const counts = new Map<string, number>();
  for (const answer of answers) {
    let reply = formatReply(answer.reply);
    for (const written of [answer.form.path, senderPath(answer.sender, names)]) {
      const bare = toPrintable(/<(.*)>/s.exec(written)?.[1] ?? written);
      if (bare !== '') reply = reply.replaceAll(bare, '…');
    }
    reply = reply.replace(/<[^<>]*@[^<>]*>/g, '<…>');
    counts.set(reply, (counts.get(reply) ?? 0) + 1);
  }
  const sorted = [...counts].sort((a, b) => b[1] - a[1]);
  const shown = sorted.slice(0, REPLIES_SHOWN).map(([reply, times]) => `${String(times).padStart(4)} × ${reply}`);
  const rest = sorted.length - shown.length;
  return rest === 0 ? shown : [...shown, `     … and ${rest} more; --json has them all`];
}

const REPLIES_SHOWN = 8;

/** The shape that the file head documents, with a line feed at its end. */
export function formatJson(target: string, examination: Examination, verdict: Verdict): string {
  const { answers, login, names, localFrom, greeting } = examination;
  const show = (answer: Answer) => ({
    form: answer.form.name,
    outer: answer.form.outer,
    sender: senderPath(answer.sender, names),
    recipient: answer.form.path,
    outcome: answer.outcome,
    at: answer.at,
    reply: formatReply(answer.reply),
  });
  const counts = { accepted: 0, refused: 0, deferred: 0, lost: 0 };
  for (const answer of answers) counts[answer.outcome] += 1;
  const { proof } = verdict;
  const document = {
    target,
    ...selfJson(examination),
    local_domain: names.local,
    local_domain_from: localFrom,
    foreign_domain: names.foreign,
    greeting: formatReply(greeting),
    verdict: verdict.verdict,
    because: verdict.because,
    proof: proof && {
      sender: senderPath(proof.sender, names),
      recipient: proof.form.path,
      reply: formatReply(proof.reply),
    },
    counts,
    login: login && {
      mechanism: login.mechanism,
      outcome: login.outcome,
      reply: formatReply(login.reply),
      answers: login.answers.map(show),
    },
    answers: answers.map(show),
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}

function selfJson({ client, loggedIn }: Self): object {
  return { client_address: client, logged_in: loggedIn };
}

/** The shape that the file head documents for --expect-relay. */
export function formatExpectationJson(target: string, expectation: Expectation): string {
  const { answers, greeting } = expectation;
  const document = {
    target,
    ...selfJson(expectation),
    greeting: formatReply(greeting),
    verdict: expectationOf(answers),
    answers: answers.map((answer) => ({ ...answer, reply: formatReply(answer.reply) })),
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}

export function formatJsonError(target: string, error: string): string {
  return `${JSON.stringify({ target, verdict: null, error }, null, 2)}\n`;
}

/** Code and first line, or our own sentence where there was no reply. */
export function formatReply(reply: Reply): string {
  const text = toPrintable(reply.text.split('\n', 1)[0] ?? '');
  return reply.code === 0 ? text : `${reply.code} ${text}`.trimEnd();
}

/** The path as a terminal may show it. */
export function showPath(path: string): string {
  return path.replaceAll('\0', '\\x00');
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}

function cells(heads: readonly string[]): string {
  return heads
    .map((head) => head.padEnd(CELL))
    .join('')
    .trimEnd();
}
