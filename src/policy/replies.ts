// What the policy says to a client, and how a policy file may say it otherwise.

import { CONNECTION_REFUSED, RELAY_DENIED, TOO_MANY_CONNECTIONS } from '../smtp/replies.ts';
import type { OwnReply } from '../smtp/types.ts';
import type { ReplyName } from './document.ts';

export const DEFAULT_REPLIES: Readonly<Record<ReplyName, OwnReply>> = {
  relay: RELAY_DENIED,
  connect: CONNECTION_REFUSED,
  connections: TOO_MANY_CONNECTIONS,
  // Exchange's own sentences (Set-ReceiveConnector permission model)
  submit: { code: 530, enhanced: '5.7.1', text: 'Client was not authenticated' },
  sender: { code: 550, enhanced: '5.7.1', text: 'Client does not have permissions to send as this sender' },
  recipient: { code: 550, enhanced: '5.1.1', text: '<{recipient}>: Recipient address rejected: User unknown' },
  rate: { code: 450, enhanced: '4.7.1', text: 'Too much mail from {client_address}, try again later' },
};

// RFC 3207 §4
export const TLS_REQUIRED: OwnReply = { code: 530, enhanced: '5.7.0', text: 'Must issue a STARTTLS command first' };
export const CANNOT_TELL: OwnReply = {
  code: 451,
  enhanced: '4.7.1',
  text: '<{recipient}>: Cannot tell whether relaying is permitted, try again later',
};
export const CONNECT_CANNOT_TELL: OwnReply = {
  code: 421,
  enhanced: '4.7.1',
  text: 'Cannot tell who you are, try again later',
};
export const SENDER_CANNOT_TELL: OwnReply = {
  code: 451,
  enhanced: '4.7.1',
  text: 'Cannot tell whether this sender is permitted, try again later',
};

const CLOSES_CONNECTION: ReadonlySet<ReplyName> = new Set(['connect', 'connections']);
const placeholders = ['recipient', 'sender', 'client_address'];

/** Reads `550 5.7.1 Unable to relay for {recipient}`; without the dotted code none is ever sent. A string says what is
 * wrong. */
export function parseReply(name: ReplyName, text: string): OwnReply | string {
  const match = /^(?<code>[0-9]{3}) (?:(?<enhanced>[0-9]\.[0-9]{1,3}\.[0-9]{1,3}) )?(?<rest>.*)$/s.exec(text);
  if (match?.groups === undefined)
    return `'${text}' is no reply: a code and a text are wanted, as '550 5.7.1 Unable to relay'`;
  const { code = '', enhanced = null, rest = '' } = match.groups;
  if (!/^[\x20-\x7e]*$/.test(rest))
    return `'${text}' has characters that are not printable ASCII: a reply is one line of those`;
  if (rest.trim() === '') return `'${text}' has no text behind its code`;
  if (CLOSES_CONNECTION.has(name)) {
    if (code !== '421' && code !== '554') return `'${code}' cannot refuse a connection: 421 is wanted, or 554`;
  } else if (!/^[45]/.test(code)) return `'${code}' does not refuse: a code from 400 to 599 is wanted`;
  else if (code === '421') return `'421' would close the session: another code from 400 to 599 is wanted`;
  if (enhanced !== null && enhanced[0] !== code[0])
    return `'${enhanced}' contradicts ${code}: it must begin with ${code[0]}`;
  for (const [whole, placeholder = ''] of rest.matchAll(/\{([^}]*)\}/g)) {
    if (!placeholders.includes(placeholder))
      return `'${whole}' is not filled in: {recipient}, {sender} and {client_address} are`;
  }
  if (text.length > 510) return `a reply line has at most 512 octets with its line end, this has ${text.length + 2}`;
  return { code: Number(code), enhanced, text: rest };
}
