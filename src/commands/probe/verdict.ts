// The verdict: what the answers prove. Pure.
//
// Invariant: "closed" is said only when nothing was accepted and every form that would prove a relay was really refused.
// A server that put such a form off (greylisting), or hung up on it, has not told, and so is not called closed.
// It deliberately does not guess from reply texts: the class of the reply code is all that servers agree on.

import type { Reply } from './dialogue.ts';
import type { Form, SenderKind } from './forms.ts';

/** `lost`: the connection ended, nothing came in time, or what came was not SMTP. */
export type Outcome = 'accepted' | 'refused' | 'deferred' | 'lost';

/** What came of a question: this sender, and then this recipient. */
export interface Asked {
  readonly outcome: Outcome;
  /** The command that decided: MAIL when the sender was refused already. */
  readonly at: 'MAIL' | 'RCPT';
  /** What the server said, or a sentence of ours when it said nothing. */
  readonly reply: Reply;
}

export interface Answer extends Asked {
  readonly form: Form;
  readonly sender: SenderKind;
}

/** A login that nobody ever had, tried where the server offers one in clear text. */
export interface LoginAnswer {
  readonly mechanism: 'LOGIN' | 'PLAIN';
  readonly outcome: Outcome;
  readonly reply: Reply;
  /** The plain form asked again once the server had believed the login; else empty. */
  readonly answers: readonly Answer[];
}

export interface Verdict {
  readonly verdict: 'open' | 'cannot tell' | 'closed';
  /** Why, in one sentence part: the report builds its sentence on it. */
  readonly because: 'relays' | 'IMCEA only' | 'relays after a made-up login' | 'hidden only' | 'no answer' | 'refuses';
  /** What proves it; null when nothing was accepted. */
  readonly proof: Answer | null;
}

/** RFC 5321 §4.2.1: the first digit says it all. */
export function outcomeOf(reply: Reply): Outcome {
  if (reply.code >= 200 && reply.code < 300) return 'accepted';
  if (reply.code >= 400 && reply.code < 500) return 'deferred';
  if (reply.code >= 500 && reply.code < 600) return 'refused';
  return 'lost';
}

export function verdictOf(answers: readonly Answer[], login: LoginAnswer | null): Verdict {
  const accepted = answers.filter((answer) => answer.outcome === 'accepted');
  const relayed = accepted.find((answer) => answer.form.outer === 'foreign');
  if (relayed !== undefined) return { verdict: 'open', because: 'relays', proof: relayed };

  const afterLogin = login?.answers.find((answer) => answer.outcome === 'accepted');
  if (afterLogin !== undefined) {
    return { verdict: 'open', because: 'relays after a made-up login', proof: afterLogin };
  }
  // Open until shown otherwise: Exchange 5.5 says the same 250 as a server to which this is a name like any other.
  const encapsulated = accepted.find((answer) => answer.form.outer === 'imcea');
  if (encapsulated !== undefined) return { verdict: 'open', because: 'IMCEA only', proof: encapsulated };

  const hidden = accepted[0];
  if (hidden !== undefined) return { verdict: 'cannot tell', because: 'hidden only', proof: hidden };

  if (untoldForms(answers).length > 0) return { verdict: 'cannot tell', because: 'no answer', proof: null };
  return { verdict: 'closed', because: 'refuses', proof: null };
}

/** The forms that would prove a relay and got no real answer. A MAIL refused alone does not settle a form while another
 * sender was put off: to dislike a sender is not to refuse to relay. */
export function untoldForms(answers: readonly Answer[]): Form[] {
  const forms = new Set(answers.map((answer) => answer.form).filter((form) => form.outer !== 'own'));
  return [...forms].filter((form) => {
    const own = answers.filter((answer) => answer.form === form);
    const settled = own.some(
      (answer) => answer.outcome === 'accepted' || (answer.outcome === 'refused' && answer.at === 'RCPT'),
    );
    return !settled && own.some((answer) => answer.outcome === 'deferred' || answer.outcome === 'lost');
  });
}

/** What these answers come to: one that was accepted is a relay, whatever came of the others. */
export function worstOutcome(answers: readonly Answer[]): Outcome {
  for (const outcome of WORST_FIRST) {
    if (answers.some((answer) => answer.outcome === outcome)) return outcome;
  }
  return 'lost';
}

const WORST_FIRST: readonly Outcome[] = ['accepted', 'lost', 'deferred', 'refused'];

/** Whether all is allowed that must be. */
export function expectationOf(answers: readonly Asked[]): 'as expected' | 'not as expected' | 'cannot tell' {
  if (answers.some(({ outcome }) => outcome === 'refused')) return 'not as expected';
  return answers.every(({ outcome }) => outcome === 'accepted') ? 'as expected' : 'cannot tell';
}

/** The exit code of `postern probe`. */
export function exitCodeOf(verdict: Verdict['verdict'] | ReturnType<typeof expectationOf>): number {
  return verdict === 'open' || verdict === 'not as expected' ? 1 : verdict === 'cannot tell' ? 2 : 0;
}
