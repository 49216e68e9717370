// What the policy says to a client, and how a policy file may say it otherwise.

import * as replies from '../smtp/replies.ts';
import type { OwnReply } from '../smtp/types.ts';
import type { ReplyName } from './document.ts';

export const DEFAULT_REPLIES: Readonly<Record<ReplyName, OwnReply>> = {
  relay: replies.RELAY_DENIED,
  submit: replies.NOT_SUBMITTED, // this and the next: Exchange's own sentences (Set-ReceiveConnector permission model)
  sender: replies.SENDER_DENIED,
  recipient: replies.NO_SUCH_RECIPIENT,
  connect: replies.CONNECTION_REFUSED,
  connections: replies.TOO_MANY_CONNECTIONS,
  rate: replies.RATE_LIMITED,
};

const CLOSES_CONNECTION: ReadonlySet<ReplyName> = new Set(['connect', 'connections']);
const placeholders = ['recipient', 'sender', 'client_address'];

/** Reads `550 5.7.1 Unable to relay for {recipient}`; without the dotted code none is ever sent. A string says what is
 * wrong. */
export function parseReply(name: ReplyName, text: string): OwnReply | string {
  const match = /^(?<code>[0-9]{3}) (?:(?<enhanced>[0-9]\.[0-9]{1,3}\.[0-9]{1,3}) )?(?<rest>.*)/s.exec(text);
  if (match?.groups === undefined)
    return `'${text}' is no reply: a code and a text are wanted, as '550 5.7.1 Unable to relay'`;
  const { code, enhanced = null, rest } = match.groups as { code: string; enhanced?: string; rest: string };
  if (!/^[\x20-\x7e]*$/.test(rest))
    return `'${text}' has characters that are not printable ASCII: a reply is one line of those`;
  if (rest.trim() === '') return `'${text}' has no text behind its code`;
  if (CLOSES_CONNECTION.has(name)) {
    if (code !== '421' && code !== '554') return `'${code}' cannot refuse a connection: 421 is wanted, or 554`;
  } else if (!/^[45]/.test(code)) return `'${code}' does not refuse: a code from 400 to 599 is wanted`;
  else if (code === '421') return `'421' would close the session: another code from 400 to 599 is wanted`;
  if (enhanced !== null && enhanced[0] !== code[0])
    return `'${enhanced}' contradicts ${code}: it must begin with ${code[0]}`;
  for (const [whole, placeholder] of rest.matchAll(/\{([^}]*)\}/g)) {
    if (!placeholders.includes(placeholder as string))
      return `'${whole}' is not filled in: {recipient}, {sender} and {client_address} are`;
  }
  if (text.length > 510) return `a reply line has at most 512 octets with its line end, this has ${text.length + 2}`;
  return { code: Number(code), enhanced, text: rest };
}
