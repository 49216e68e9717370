// A login as it goes by: AUTH or X-EXPS, the 334s and responses, and what the last reply says of it (RFC 4954).
//
// Only the upstream authenticates; 235 is its word. Which name it accepted is read by sasl.ts.

import { hiddenBy } from './causes.ts';
import type { Command } from './command.ts';
import { COMMAND, type Dialogue, SASL, TO_AUTH } from './dialogue.ts';
import * as replies from './replies.ts';
import { SaslExchange } from './sasl.ts';
import { NONE } from './transaction.ts';
import type { Decision } from './types.ts';

const CANCELLED = 501;

export function takeAuth(
  dialogue: Dialogue,
  command: Extract<Command, { verb: 'AUTH' | 'X-EXPS' }>,
  line: Buffer,
): void {
  dialogue.triedLogin = true;
  if (dialogue.profile.auth === 'require_tls' && !dialogue.tls) {
    dialogue.refuse(replies.AUTH_NEEDS_TLS, 'auth');
  } else if (!dialogue.offered.has(command.verb)) {
    dialogue.refuse(replies.NOT_AVAILABLE, hiddenBy(dialogue.profile, command.verb));
  } else if (dialogue.login !== null) {
    dialogue.refuse(replies.ALREADY_AUTHENTICATED);
  } else if (dialogue.transaction.state !== NONE) {
    dialogue.refuse(replies.NOT_IN_TRANSACTION); // RFC 4954 §4
  } else if (!dialogue.offered.offersMechanism(command.verb, command.mechanism)) {
    dialogue.refuse(replies.UNKNOWN_MECHANISM);
  } else if (dialogue.failedLogins >= dialogue.profile.limits.authFailures && dialogue.exceeds('auth_failures')) {
    dialogue.closeWith(replies.TOO_MANY_LOGINS, {
      origin: 'policy',
      what: 'too many failed logins',
      key: 'limits.session.auth_failures',
    });
  } else {
    const exchange = new SaslExchange(command.mechanism);
    if (command.initial !== null && !exchange.respondInitially(command.initial)) {
      dialogue.refuse(replies.BAD_RESPONSE);
      return;
    }
    askForLogin(dialogue, exchange, (decision) => {
      if (decision.action === 'proceed') {
        dialogue.exchange = exchange;
        dialogue.forwardAndHold(line, TO_AUTH);
      } else if (decision.action === 'disconnect') {
        dialogue.closeWith(decision.reply, {
          origin: 'policy',
          what: 'login refused',
          key: decision.rule ?? undefined,
        });
      } else if (!dialogue.isError()) {
        dialogue.say(decision.reply); // the log has it from askForLogin
      }
    });
  }
}

/** Whether this login may be tried at all: what has failed too often is not put to the upstream. */
function askForLogin(dialogue: Dialogue, exchange: SaslExchange, then: (decision: Decision) => void): void {
  const login = { mechanism: exchange.mechanism, name: exchange.name };
  const question = { ...dialogue.question('AUTH', '', null, '', []), login };
  dialogue.ask(question, (decision) => {
    const refused = decision.action !== 'proceed';
    if (refused || decision.observed) {
      const reply = decision.reply === undefined ? '' : dialogue.text(decision.reply);
      const says = refused ? 'reject' : 'would_reject';
      dialogue.wire.event({ name: 'login_refused', decision: says, login, rule: decision.rule, reply });
    }
    then(decision);
  });
}

export function takeResponse(dialogue: Dialogue, text: string, line: Buffer): void {
  dialogue.mode = COMMAND;
  const exchange = dialogue.exchange as SaslExchange;
  if (text === '*') {
    if (dialogue.isJunk()) return;
    if (exchange.isProven) loginFailed(dialogue, exchange, CANCELLED); // what the guess was worth, this 334 has told
    dialogue.exchange = null; // RFC 4954 §4: the upstream says 501
    dialogue.forwardAndHold(line, TO_AUTH);
    return;
  }
  const before = exchange.name;
  if (!exchange.respond(text)) {
    // The upstream waits for a response that it will not get: there is no way on.
    dialogue.closeWith(replies.BAD_RESPONSE, { origin: 'policy', what: 'authentication response refused' });
  } else if (exchange.name === before) {
    dialogue.forwardAndHold(line, TO_AUTH);
  } else {
    askForLogin(dialogue, exchange, ({ action, rule }) => {
      if (action === 'proceed') dialogue.forwardAndHold(line, TO_AUTH);
      else
        dialogue.closeWith(replies.TOO_MANY_LOGINS, {
          origin: 'policy',
          what: 'too many failed logins of this user',
          key: rule ?? undefined,
        });
    });
  }
}

/** `text` is what stands behind the code, of the last line. */
export function authAnswered(dialogue: Dialogue, code: number, text: string): void {
  const exchange = dialogue.exchange;
  if (code === 334 && exchange !== null) {
    exchange.challenge(text);
    dialogue.mode = SASL;
    return;
  }
  dialogue.exchange = null;
  if (exchange === null) return;
  if (code === 235) {
    dialogue.opaque = exchange.opaque;
    if (exchange.anonymous) return;
    dialogue.login = { mechanism: exchange.mechanism, name: exchange.name };
    dialogue.wire.event({ name: 'login', login: dialogue.login });
  } else if (code >= 400) {
    loginFailed(dialogue, exchange, code);
  }
}

function loginFailed(dialogue: Dialogue, { mechanism, name }: SaslExchange, code: number): void {
  dialogue.failedLogins++;
  dialogue.wire.event({ name: 'login_failed', login: { mechanism, name }, code });
}
