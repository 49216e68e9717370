// The words that the rooms of the house share: what the core asks, what it is answered, what it says.
//
// Nothing here runs. smtp/ imports nothing from outside itself; policy/, proxy/ and observe/ import these types and so
// agree without knowing each other.

import type { ClientIdentity } from './client-identity.ts';

/** Why a recipient or sender was decided as it was. A closed set: these are metric labels and never hold peer bytes. */
export type Reason =
  | 'accepted_domain' // the server behind us is responsible for it
  | 'relay_domain' // always relayed, for everyone
  | 'rule' // a rule of the connector decided
  | 'no_rule' // no rule matched: to relay is forbidden
  | 'blocked_domain' // never, for anyone
  | 'unknown_recipient' // accepted domain, but not in valid_recipients
  | 'submit' // may not submit at all
  | 'sender' // may not use this reverse-path
  | 'tls_required' // needs TLS first
  | 'cannot_tell' // a condition could not be evaluated and it matters
  | 'syntax' // our grammar cannot parse it
  | 'relay_trick' // source route, hidden second address, foreign literal …
  | 'unqualified' // no domain
  | 'limit' // a limit answered
  | 'reload'; // the policy changed, and this session has no place in the new one

/** A reply of ours: never a multi-line one. `enhanced` is left out where the session did not offer it. `text` may hold
 * {recipient} {sender} {client_address}, which are filled in escaped. */
export interface OwnReply {
  readonly code: number;
  readonly enhanced: string | null;
  readonly text: string;
}

/** One address that a path names. Strings are latin-1: a code point is an octet. */
export interface Address {
  /** Quotes and quoted-pairs undone. */
  readonly local: string;
  /** ASCII-folded, one trailing dot dropped; null for a bare name or a literal. */
  readonly domain: string | null;
  /** The text between the brackets of an address literal, else null. */
  readonly literal: string | null;
}

/** The user that the upstream accepted with 235. `name` is null where the mechanism does not show it (GSSAPI). */
export interface Login {
  readonly mechanism: string;
  readonly name: string | null;
}

/** What the judge is asked, at AUTH, at MAIL and at every RCPT. Strings are latin-1 as received. */
export interface Question {
  readonly protocolState: 'AUTH' | 'MAIL' | 'RCPT';
  /** The mail transaction that goes on, by a number that changes with each. A MAIL may begin another, or may be refused and leave it open:
   * where EHLO came in the middle, only the server knows. */
  readonly transaction: number;
  readonly helo: string;
  /** At AUTH: who it is that tries, as far as it is known. */
  readonly login: Login | null;
  readonly tls: boolean;
  /** What a verified client certificate names: DNS names, `CN=…` and the whole distinguished name, as in the certificate;
   * empty without one. */
  readonly tlsSubject: readonly string[];
  /** The reverse-path as written, without brackets; '' is the null path. */
  readonly sender: string;
  /** The same, parsed; null when it is '' or has no plain address. */
  readonly senderAddress: Address | null;
  /** The forward-path as written, without brackets; '' at MAIL. */
  readonly recipient: string;
  /** At RCPT: the address as written, then every address hidden in its local part. All of them must be allowed. */
  readonly addresses: readonly Address[];
}

/** The answer. `rule` names the rule, for the log only. A `reject` carries its reply (4yz = cannot tell);
 * `disconnect` carries a 421. `observed` = policy said no, but the mode is observe, so it proceeds. `trace` tells the rules
 * that were tried, for the log: it is asked only when a line is written. */
export type Decision =
  | {
      readonly action: 'proceed';
      readonly reason: Reason;
      readonly rule: string | null;
      readonly observed: boolean;
      /** Observed: what the client would have heard. */
      readonly reply?: OwnReply | undefined;
      readonly trace?: (() => string) | undefined;
    }
  | {
      readonly action: 'reject' | 'disconnect';
      readonly reason: Reason;
      readonly rule: string | null;
      readonly reply: OwnReply;
      readonly trace?: (() => string) | undefined;
    };

/** Who judges. Synchronous where it can be; a promise makes the session hold, exactly as DATA does. Never throws or
 * rejects: what cannot be told is a `reject` with a 4yz reply. */
export type Judge = (question: Question) => Decision | Promise<Decision>;

/** One client connection as it stands at connection time. Addresses are normalised: IPv4-mapped IPv6 is IPv4, no zone. */
export interface ConnectionEnds {
  readonly clientAddress: string;
  readonly clientPort: number;
  readonly localAddress: string;
  readonly localPort: number;
  /** A balancer came without its client's address: the address is the balancer's own. */
  readonly lost?: boolean | undefined;
  /** A listed balancer came in its own name: its header names no client, or itself. Its own check, as long as no MAIL comes. */
  readonly check?: boolean | undefined;
}

/** What connection time decides: a profile and a judge for this session, or one reply (421 or 554) and the end. */
export type Admission = Admitted | Refusal;

export interface Admitted {
  readonly admitted: true;
  readonly profile: Profile;
  /** What would have refused it, were the mode not observe. */
  readonly observed?: Pick<Refusal, 'reply' | 'reason' | 'key'> | undefined;
  /** Whether a ban of its source is meant for it: not for a balancer's own check. Always when left out. */
  readonly isBannable?: boolean;
  judge: Judge;
  /** Hears every event of the session; limits count by it. */
  heard?(event: SessionEvent): void;
  /** Called exactly once, when the connection is gone. */
  release(): void;
}

/** Of a connection, before it is a session. */
export interface Refusal {
  readonly admitted: false;
  readonly connector: string | null;
  readonly reply: OwnReply;
  readonly reason: ConnectionRefusal;
  /** The setting, where the reason alone does not tell it. */
  readonly key?: string | undefined;
}

/** Why a connection is refused before it is a session. A closed set: it is a metric label. */
export type ConnectionRefusal =
  | 'no_connector'
  | 'connect'
  | 'connections'
  | 'connections_percent'
  | 'connection_rate'
  | 'upstream_connections'
  | 'banned'
  | 'shutting_down';

/** How a PROXY header came out. A closed set: it is a metric label. */
export type HeaderResult =
  | 'ok'
  | 'not_listed' // the peer may send none, so nobody knows who its client is
  | 'none' // what came is no header
  | 'bad' // it begins as one
  | 'too_long'
  | 'late'
  | 'hung_up'; // by the peer, before it was whole

/** A promise where DNS has to be asked who the client is; it never rejects. */
export type Admit = (ends: ConnectionEnds) => Admission | Promise<Admission>;

/** What one connector lets its sessions do on the wire. Compiled once from a connector and shared by its sessions. */
export interface Profile {
  readonly connector: string;
  /** Which servers they go to: `default`, or a name of the configuration. */
  readonly upstream: string;
  /** In observe, session limits are counted and named but not enforced; grammar and framing always are. */
  readonly mode: 'enforce' | 'observe';
  /** First rule an unconditional allow and nothing blocked: the only profile on which opaque streams may pass. */
  readonly relaysAnywhere: boolean;
  readonly auth: 'offer' | 'hide' | 'require_tls';
  /** terminate: the client's TLS ends here. passthrough: only where `relaysAnywhere`. */
  readonly starttls: 'hide' | 'terminate' | 'passthrough';
  readonly exchangeVerbs: 'hide' | 'forward';
  readonly chunking: 'offer' | 'hide';
  /** Upper case. */
  readonly hideKeywords: ReadonlySet<string>;
  readonly vrfy: 'forward' | 'refuse';
  readonly bareLf: 'reject' | 'normalize' | 'pass';
  readonly dotLines: 'pass' | 'strict';
  /** Octets of a line of mail data, with its CRLF; Infinity = unlimited. */
  readonly textLine: number;
  readonly earlyTalker: 'hold' | 'reject';
  readonly unqualifiedRecipients: 'reject' | 'allow';
  /** Octets of one message (RFC 1870); Infinity = unlimited. */
  readonly maxMessageSize: number;
  readonly relayReply: OwnReply;
  readonly limits: SessionLimits;
  /** Milliseconds by which a 5yz is held back from who has not logged in; 0 = not at all. */
  readonly tarpit: number;
}

/** Counts of one session; Infinity = unlimited. */
export interface SessionLimits {
  readonly errors: number;
  readonly junkCommands: number;
  readonly recipientsPerMessage: number;
  readonly messages: number;
  readonly authFailures: number;
  /** Octets of a command line with its CRLF (RFC 5321 §4.5.3.1.4 asks for at least 512). */
  readonly commandLine: number;
}

/** What a session tells its server before every MAIL: who the client is, with the attributes that XFORWARD may have. */
export interface Forwarding {
  readonly client: ClientIdentity;
  readonly attributes: readonly string[];
}

/** Who ended a session and why; one of these becomes the last reply, the log line and the metric label. */
export interface CloseReason {
  readonly origin: 'client' | 'upstream' | 'policy' | 'operator' | 'defect';
  /** A fixed sentence of ours, fit for a log: never peer bytes. */
  readonly what: string;
  readonly cause?: unknown;
  /** The operator's setting that is the cause, as in SessionEvent. */
  readonly key?: string | undefined;
}

/** How a client's TLS handshake ended. `why` is OpenSSL's or ours: fit for a log. */
export type Handshake =
  | {
      readonly result: 'ok';
      readonly protocol: string;
      readonly cipher: string;
      /** What Question.tlsSubject will be. */
      readonly names: readonly string[];
      /** The common name of a verified certificate, or its whole name; null without one. */
      readonly subject: string | null;
      /** Why the certificate that was shown names nobody; null when none was shown, or it was verified. */
      readonly unverified: string | null;
    }
  | { readonly result: 'failed' | 'timeout'; readonly why: string };

/** What the upstream's answer to a step of a transaction is about, and what it says. */
interface Answered {
  /** The transaction's number, as its recipients have it. */
  readonly transaction: number;
  /** '' where no transaction is under way. */
  readonly sender: string;
  /** Of mail data so far, as it was sent. */
  readonly octets: number;
  readonly code: number;
  readonly reply: string;
}

/** What a reply of the upstream answers. A closed set: these are metric labels. */
export type AnsweredCommand =
  | ('EHLO' | 'HELO' | 'AUTH' | 'STARTTLS' | 'RSET' | 'QUIT' | 'other')
  | ('MAIL' | 'RCPT' | 'DATA' | 'BDAT' | 'END-OF-MESSAGE');
export type ReplyClass = '2yz' | '3yz' | '4yz' | '5yz';

/** Something worth a log line or a metric; handed to Wire.event as it happens. A `key` names the setting that is the cause:
 * whole as `limits.…`, `timeouts.…`, `listeners[]…` and `upstream…`, else one of the session's connector. */
export type SessionEvent =
  | {
      readonly name: 'recipient';
      /** The number of its transaction: of one session never two in a row have the same. */
      readonly transaction: number;
      readonly decision: 'proceed' | 'reject' | 'would_reject';
      readonly reason: Reason;
      readonly rule: string | null;
      readonly sender: string;
      readonly recipient: string;
      readonly reply: string;
      readonly trace?: (() => string) | undefined;
    }
  | {
      readonly name: 'sender';
      readonly decision: 'reject' | 'would_reject';
      readonly reason: Reason;
      readonly rule: string | null;
      readonly sender: string;
      readonly reply: string;
      readonly trace?: (() => string) | undefined;
    }
  | { readonly name: 'login'; readonly login: Login }
  | { readonly name: 'login_failed'; readonly login: Login; readonly code: number }
  | {
      readonly name: 'login_refused'; // by us: the upstream was not asked
      readonly decision: 'reject' | 'would_reject';
      readonly login: Login;
      readonly rule: string | null;
      readonly reply: string;
    }
  | {
      /** The upstream's reply to the RCPT that it had not answered longest. */
      readonly name: 'answered';
      readonly code: number;
      readonly reply: string;
    }
  | {
      /** Every reply to a command, for the count; what it means, other events say. */
      readonly name: 'replied';
      readonly command: AnsweredCommand;
      readonly replyClass: ReplyClass;
    }
  | (Answered & {
      readonly name: 'upstream_refused';
      readonly protocolState: 'MAIL' | 'DATA' | 'END-OF-MESSAGE';
    })
  | {
      readonly name: 'refused'; // a command that breaks the grammar or the order, or that an option does not let through
      readonly verb: string;
      /** Never a secret; latin-1 as received, of any length. */
      readonly said: string;
      readonly reply: string;
      readonly key: string | null;
    }
  | {
      readonly name: 'ambiguous_end';
      /** What two servers read in two ways, with the line end before it; latin-1. */
      readonly octets: string;
      /** Of the dot, in the mail data: 0 is its first octet. */
      readonly offset: number;
      readonly key: string;
    }
  | { readonly name: 'octets'; readonly octets: number } // of mail data, on their way
  /** The upstream took one. */
  | (Answered & { readonly name: 'message' })
  /** STARTTLS went through: from here on nothing is read. */
  | { readonly name: 'opaque' }
  /** `observed`: only the mode let it pass. */
  | { readonly name: 'limited'; readonly kind: 'session'; readonly key: string; readonly observed?: true };

/** What the core may do to the world. Synchronous; no method may call back into the session. */
export interface Wire {
  toClient(bytes: Uint8Array): void;
  toUpstream(bytes: Buffer): void;
  /** While held, no more client octets are wanted: the driver pauses the client's socket. */
  hold(on: boolean): void;
  /** The decision, or null when it will come later through Session.judged. */
  judge(question: Question): Decision | null;
  event(event: SessionEvent): void;
  /** What went toClient before goes out in clear; then the client's handshake begins. Session.clientSecured or
   * Session.handshakeFailed tells how it ended; between them no octet of the client is wanted. */
  secureClient(): void;
  /** What goes toClient from now on waits for the tarpit once more; Session.waited when nothing waits any longer. */
  tarpit(): void;
  /** Ends both connections. What went toClient before is flushed to the client first; the upstream gets nothing more. */
  close(reason: CloseReason): void;
}
