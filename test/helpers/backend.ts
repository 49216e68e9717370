// What a stand-in mail server says and how it misbehaves: the corpus's `backend` options, and the voice that obeys them.
//
// The voice turns a verb and the reply a plain server would give into actions. It has no sockets and no clock, and it
// does not know what a reply means: it only returns the code that was really said.

/** How the server behaves; the keys are the corpus's. A VERB may also be EOD (the reply to the end of mail data), RCPT0
 * (RCPT without MAIL) or MAIL2 (MAIL inside a transaction). Strings are latin-1. */
export interface Backend {
  readonly caps_add?: readonly string[];
  /** Keywords; each takes its whole EHLO line out. */
  readonly caps_remove?: readonly string[];
  readonly reply?: Readonly<Record<string, string>>;
  readonly raw_reply?: Readonly<Record<string, string>>;
  /** The same, in several writes. */
  readonly raw_reply_parts?: Readonly<Record<string, readonly string[]>>;
  readonly delay_ms?: Readonly<Record<string, number>>;
  /** With its CRLF; '' = none. */
  readonly greeting?: string;
  /** unsupported: 500; reject-nodrain: 552; after both the payload is read as commands. u32: the size as C reads it. */
  readonly bdat?: 'normal' | 'unsupported' | 'u32' | 'reject-nodrain';
  readonly xexch50?: boolean;
  readonly ntlm?: boolean;
  /** layer: after AUTH GSSAPI, whatever is wrapped in a SASL security layer is unwrapped and executed. */
  readonly gssapi?: 'layer';
  /** The reply after the first line of mail data; what follows is read as commands. */
  readonly data_early?: string;
  /** Closes at the first octet of mail data, or instead of the reply to its end. */
  readonly close_in?: 'DATA' | 'EOD';
  readonly split_replies?: 'every-byte';
  readonly coalesce?: boolean;
  /** For who drives the sockets. */
  readonly unsolicited?: { readonly after_ms: number; readonly bytes: string; readonly close?: boolean };
  /** For who drives the sockets. */
  readonly refuse?: boolean;
  /** A VERB: its reply is a TCP reset. */
  readonly rst_after?: string;
  /** Takes the enhanced status code out of whatever it says. */
  readonly no_codes?: boolean;
  /** What it makes of an EHLO or HELO behind the first one; a transaction that it `keeps` goes on behind its 250 (Courier,
   * go-smtp). `once`: 503, and nothing happens (OpenSMTPD). Left out: it resets. */
  readonly hello_again?: 'keeps' | 'once';
  /** A DATA that it refuses ends the transaction (Haraka, qpsmtpd). */
  readonly refused_data?: 'ends';
  /** A message refused at its end leaves sender and recipients there (Postfix with smtpd_end_of_data_restrictions). */
  readonly refused_end?: 'keeps';
  /** What it makes of a MAIL inside a transaction. Left out: 503. `keeps recipients`: under the new sender (go-smtp). */
  readonly mail_again?: 'resets' | 'keeps recipients';
  /** Anything behind a command before its reply: 503 and the end. PIPELINING is not offered. */
  readonly strict_no_pipelining?: boolean;
}

export type Action =
  | { readonly kind: 'reply'; readonly bytes: Buffer; readonly delayMs: number }
  | { readonly kind: 'close'; readonly reset: boolean };

const CAPABILITIES = [
  'PIPELINING',
  'SIZE 10485760',
  '8BITMIME',
  'SMTPUTF8',
  'DSN',
  'ENHANCEDSTATUSCODES',
  'CHUNKING',
  'AUTH PLAIN LOGIN CRAM-MD5 NTLM GSSAPI',
  'STARTTLS',
  'XCLIENT NAME ADDR LOGIN',
  'X-EXPS GSSAPI NTLM LOGIN',
  'X-LINK2STATE',
  'HELP',
];

export const PLAIN_REPLIES: Readonly<Record<string, string>> = {
  HELO: '250 mock',
  RSET: '250 2.0.0 reset',
  NOOP: '250 2.0.0 ok',
  HELP: '214 2.0.0 help yourself',
  VRFY: '252 2.5.0 who knows',
  EXPN: '252 2.5.0 who knows',
  STARTTLS: '220 2.0.0 go ahead',
  XCLIENT: '220 mock',
  XFORWARD: '250 2.0.0 ok',
  'X-LINK2STATE': '200 LAST CHUNK={00000000} DONE',
  TURN: '250 2.0.0 turned',
  ATRN: '250 2.0.0 turned',
  ETRN: '250 2.0.0 queue started',
  BURL: '250 2.6.0 fetched and queued',
};

/** Between the parts of one reply. */
const PART_DELAY_MS = 20;

export class Voice {
  readonly #backend: Backend;
  #actions: Action[] = [];

  constructor(backend: Backend) {
    this.#backend = backend;
  }

  greeting(): Buffer {
    return Buffer.from(this.#backend.greeting ?? '220 mock ESMTP ready\r\n', 'latin1');
  }

  ehlo(): string {
    const gone = new Set((this.#backend.caps_remove ?? []).map((keyword) => keyword.toUpperCase()));
    if (this.#backend.strict_no_pipelining) gone.add('PIPELINING');
    const offered = [...CAPABILITIES, ...(this.#backend.caps_add ?? [])];
    const kept = offered.filter((line) => !gone.has((line.split(' ')[0] as string).toUpperCase()));
    const lines = ['mock', ...kept];
    return lines.map((line, at) => `250${at === lines.length - 1 ? ' ' : '-'}${line}`).join('\r\n');
  }

  /** Says what the options have for this verb or, failing them, `text`. The code said, NaN when it has none, 0 when
   * the connection was reset instead. */
  say(verb: string, text: string): number {
    const { reply, raw_reply, raw_reply_parts, delay_ms, rst_after } = this.#backend;
    if (rst_after === verb) {
      this.close(true);
      return 0;
    }
    const parts = raw_reply_parts?.[verb] ?? [raw_reply?.[verb] ?? `${reply?.[verb] ?? text}\r\n`];
    let delayMs = delay_ms?.[verb] ?? 0;
    for (const written of parts) {
      const part = this.#backend.no_codes ? written.replace(/^(\d{3}[ -])\d\.\d+\.\d+ /gm, '$1') : written;
      this.#actions.push({ kind: 'reply', bytes: Buffer.from(part, 'latin1'), delayMs });
      delayMs = PART_DELAY_MS;
    }
    return Number(parts.join('').slice(0, 3));
  }

  close(reset: boolean): void {
    this.#actions.push({ kind: 'close', reset });
  }

  /** All actions since this was asked last. */
  take(): Action[] {
    const actions = this.#actions;
    this.#actions = [];
    if (this.#backend.coalesce) return coalesce(actions);
    return this.#backend.split_replies === undefined ? actions : actions.flatMap(splitEveryByte);
  }
}

function coalesce(actions: readonly Action[]): Action[] {
  const merged: Action[] = [];
  for (const action of actions) {
    const last = merged.at(-1);
    if (action.kind === 'reply' && last?.kind === 'reply' && action.delayMs === 0) {
      merged[merged.length - 1] = { ...last, bytes: Buffer.concat([last.bytes, action.bytes]) };
    } else {
      merged.push(action);
    }
  }
  return merged;
}

function splitEveryByte(action: Action): Action[] {
  if (action.kind !== 'reply') return [action];
  return [...action.bytes].map((octet, at) => ({
    kind: 'reply',
    bytes: Buffer.from([octet]),
    delayMs: at === 0 ? action.delayMs : 0,
  }));
}
