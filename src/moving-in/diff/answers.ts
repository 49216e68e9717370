// What a connector answers, as though it enforced: at the connection, at MAIL and at RCPT, each by itself.
//
// The same way as policy-question.ts goes, cut in three, so that what one part does not look at is not asked again and again.
// Every difference that is printed was put to policy-question.ts as a whole once more.

import type { Connector } from '../../policy/connector.ts';
import { formatIp, type Ip } from '../../policy/ip.ts';
import type { Answer } from '../../policy/policy-question.ts';
import { foldAscii } from '../../smtp/bytes.ts';
import type { ForwardPath } from '../../smtp/path.ts';
import type { Decision, Judge, Question } from '../../smtp/types.ts';

export const PASSES = 0;
export const REJECTED = 1;
export const DEFERRED = 2;
export const NO_CONNECTION = 3;
export const NO_SENDER = 4;

/** By the numbers above. */
export const ANSWERED: readonly Answer[] = ['proceed', 'reject', 'defer', 'refuse-connection', 'refuse-sender'];

/** Where a client has come to. */
export interface Door {
  readonly ip: Ip;
  readonly localIp: Ip;
  readonly localPort: number;
}

export function judgeAt(connector: Connector, { ip, localIp, localPort }: Door): Judge {
  return connector.judgeFor({ address: formatIp(ip), localAddress: formatIp(localIp), localPort });
}

export async function atConnection(connector: Connector | null, ip: Ip): Promise<number> {
  if (connector === null) return NO_CONNECTION;
  return (await connector.refusal(formatIp(ip))) === null ? PASSES : NO_CONNECTION;
}

/** A Promise only where names are asked for. */
export function atMail(judge: Judge, question: Question): number | Promise<number> {
  return after(judge(question), NO_SENDER);
}

export function atRcpt(
  connector: Connector,
  judge: Judge,
  question: Question,
  path: ForwardPath,
): number | Promise<number> {
  const { unqualifiedRecipients, relaysAnywhere } = connector.profile;
  if (path.bare && unqualifiedRecipients === 'reject' && foldAscii(path.address.local) !== 'postmaster')
    return REJECTED;
  if (path.gateway && !relaysAnywhere) return REJECTED;
  return after(judge(question), REJECTED);
}

function after(decision: Decision | Promise<Decision>, refused: number): number | Promise<number> {
  return decision instanceof Promise ? decision.then((one) => answerOf(one, refused)) : answerOf(decision, refused);
}

function answerOf(decision: Decision, refused: number): number {
  if (decision.action === 'proceed' && !decision.observed) return PASSES;
  const { reply } = decision;
  return reply !== undefined && reply.code < 500 ? DEFERRED : refused;
}
