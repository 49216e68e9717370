// Logs in on one connection: with a name that somebody has, or with one that nobody ever had.
//
// One mechanism, tried once: a password that is wrong is not said again in another way, and counts once where guesses are
// counted. CRAM-MD5 comes first, since it does not show the password; there is no TLS here.
// Invariant: what the server says back never brings a secret to the screen.

import { createHmac, randomBytes } from 'node:crypto';
import type { Dialogue, Reply } from './dialogue.ts';

export type Mechanism = 'CRAM-MD5' | 'PLAIN' | 'LOGIN';

/** Octets as latin-1, as they stand in the file. */
export interface Credentials {
  readonly user: string;
  readonly password: string;
}

/** Of the mechanisms that the EHLO reply offers, the first of `known`. */
export function chooseMechanism<Known extends Mechanism>(ehlo: Reply, known: readonly Known[]): Known | null {
  const offered = new Set(
    ehlo.text
      .toUpperCase()
      .split('\n')
      .filter((line) => /^AUTH[ =]/.test(line))
      .flatMap((line) => line.slice(5).split(/[ =]/)),
  );
  return known.find((mechanism) => offered.has(mechanism)) ?? null;
}

/** KB Q251149: with the Guest account on, Exchange 5.5 answers 235 to a name that it never heard of. */
export function madeUp(): Credentials {
  return { user: `postern-probe-${randomBytes(6).toString('hex')}`, password: randomBytes(12).toString('hex') };
}

/** The reply that ended it. RFC 4954 §4: 334 asks for more. */
export async function logIn(dialogue: Dialogue, mechanism: Mechanism, who: Credentials): Promise<Reply> {
  const { user, password } = who;
  if (mechanism === 'PLAIN') {
    const response = base64(`\0${user}\0${password}`);
    return withoutSecrets(await dialogue.say(`AUTH PLAIN ${response}`), [response, password]);
  }
  let reply = await dialogue.say(`AUTH ${mechanism}`);
  if (mechanism === 'CRAM-MD5') {
    if (reply.code !== 334) return reply;
    // RFC 2195 §2: the digest is keyed with the password.
    const challenge = Buffer.from(reply.text, 'base64');
    const digest = createHmac('md5', Buffer.from(password, 'latin1')).update(challenge).digest('hex');
    const response = base64(`${user} ${digest}`);
    return withoutSecrets(await dialogue.say(response), [response, password]);
  }
  for (const response of [user, password]) {
    if (reply.code !== 334) return reply;
    reply = withoutSecrets(await dialogue.say(base64(response)), [base64(password), password]);
  }
  return reply;
}

/** A server that takes no logins may quote the line that it did not understand. */
function withoutSecrets({ code, text }: Reply, secrets: readonly string[]): Reply {
  return { code, text: secrets.reduce((shown, secret) => shown.replaceAll(secret, '…'), text) };
}

function base64(text: string): string {
  return Buffer.from(text, 'latin1').toString('base64');
}
