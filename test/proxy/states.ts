// The states of a session, how a test brings one there, and what a client hears when the upstream is lost in it.

import type { Decision, Judge } from '../../src/smtp/types.ts';
import { settled } from './peer.ts';
import { asked, type Pair, type Rig } from './rig.ts';

export const STATES = {
  'before the greeting': (rig) => connected(rig),
  'between commands': (rig) => rig.introduced(),
  'while a reply is awaited': (rig) => sayInto(rig.introduced(), 'NOOP\r\n'),
  'in a login': (rig) => inLogin(rig),
  'in a transaction': (rig) => rig.addressed(),
  'while a go-ahead is awaited': (rig) => sayInto(rig.addressed(), 'DATA\r\n'),
  'in mail data': (rig) => sayInto(rig.inMailData(), 'Subject: a half\r\n'),
  'while a confirmation is awaited': (rig) => sayInto(rig.inMailData(), 'whole\r\n.\r\n'),
} satisfies Record<string, (rig: Rig) => Promise<Pair>>;

export type State = keyof typeof STATES;

export const EVERY_STATE = Object.keys(STATES) as State[];

export const TIMEOUT = '421 4.4.2 Timeout, closing transmission channel\r\n';
export const LOST = '421 4.4.2 Connection to the mail server lost, try again later\r\n';
const NEVER_THERE = '421 4.3.2 Service not available, try again later\r\n';
const NOT_CONFIRMED = '451 4.4.2 Connection to the mail server lost before it confirmed the message\r\n';

export function lossReply(state: State): string {
  if (state === 'before the greeting') return NEVER_THERE;
  return state === 'while a confirmation is awaited' ? NOT_CONFIRMED : LOST;
}

/** Both ends of the upstream connection know that it stands. */
async function connected(rig: Rig): Promise<Pair> {
  const pair = await rig.dialled();
  await settled();
  return pair;
}

/** The client says it, and the upstream hears it. */
export async function sayInto(opening: Promise<Pair>, text: string): Promise<Pair> {
  const pair = await opening;
  pair.client.say(text);
  await pair.upstream.hears(text);
  return pair;
}

async function inLogin(rig: Rig): Promise<Pair> {
  const pair = await rig.introduced();
  await asked(pair, 'AUTH LOGIN', '334 VXNlcm5hbWU6');
  return pair;
}

const PROCEED: Decision = { action: 'proceed', reason: 'accepted_domain', rule: null, observed: false };
const NEVER: Promise<Decision> = new Promise(() => {});

/** A judge that never comes to a decision about a recipient. */
export const undecided: Judge = ({ protocolState }) => (protocolState === 'MAIL' ? PROCEED : NEVER);

/** A session that waits for one; the rig has that judge. */
export async function awaitingDecision(rig: Rig): Promise<Pair> {
  const pair = await rig.introduced();
  await asked(pair, 'MAIL FROM:<s@sender.example>', '250 2.1.0 ok');
  pair.client.say('RCPT TO:<user@local.example>\r\n');
  await settled();
  return pair;
}
