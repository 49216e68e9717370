// What the fuzzer plays, as plain data: so that a failure can be shrunk, written to a file and played again.
//
// Octets are latin-1 strings: a code point is an octet.

import type { Backend } from '../helpers/backend.ts';
import type { Dialect } from '../helpers/dialects.ts';

/** A rule's conditions: those that the reference judge knows. */
export interface Conditions {
  readonly sources?: readonly string[];
  readonly ptr?: readonly string[];
  readonly local?: readonly string[];
  readonly authenticated?: boolean;
  readonly users?: readonly string[];
  readonly groups?: readonly string[];
  readonly tls?: boolean;
  readonly senders?: readonly string[];
  readonly sender_domains?: readonly string[];
  readonly recipients?: readonly string[];
  readonly recipient_domains?: readonly string[];
  readonly helo?: readonly string[];
  readonly not?: Conditions;
}

export interface Rule {
  readonly name: string;
  readonly allow?: Conditions;
  readonly deny?: Conditions;
  readonly expires?: string;
}

export interface Senders {
  readonly own_domains?: 'allow' | 'authenticated' | 'deny';
  readonly login_must_match?: Readonly<Record<string, readonly string[]>>;
  readonly own_address?: 'required' | 'free';
  readonly others?: 'allow' | 'deny';
}

export interface Connector {
  readonly name: string;
  readonly remote_ip_ranges: readonly string[];
  readonly bindings?: readonly string[];
  readonly connect?: { readonly allow?: readonly string[]; readonly deny?: readonly string[] };
  readonly rules?: readonly Rule[];
  readonly submit?:
    | 'anyone'
    | 'authenticated'
    | { readonly users?: readonly string[]; readonly groups?: readonly string[] };
  readonly senders?: Senders;
  readonly mode?: 'enforce' | 'observe';
  readonly hide_keywords?: readonly string[];
  readonly require_tls?: boolean;
  readonly starttls?: 'hide' | 'terminate';
  readonly auth?: 'offer' | 'hide' | 'require_tls';
  readonly chunking?: 'offer' | 'hide';
  readonly vrfy?: 'forward' | 'refuse';
  readonly bare_lf?: 'reject' | 'normalize';
  readonly unqualified_recipients?: 'reject' | 'allow';
  readonly upstream?: string;
  readonly i_know_this_is_open?: boolean;
}

/** A policy as an operator writes it, with the keys that the fuzzer uses. */
export interface Policy {
  readonly version: 1;
  readonly accepted_domains: readonly string[];
  readonly relay_domains?: readonly string[];
  readonly blocked_domains?: readonly string[];
  readonly accepted_literals?: readonly string[];
  readonly groups?: Readonly<Record<string, readonly string[]>>;
  readonly user_domains?: Readonly<Record<string, string>>;
  readonly connectors: readonly Connector[];
}

/** How the firewall is set up; many sessions are played with one. */
export interface Setting {
  readonly policy: Policy;
  /** What a reload puts in its place, and the next one takes away again; null: there is none. */
  readonly next: Policy | null;
  /** Nothing that policy or limits refuse is refused. */
  readonly observes: boolean;
  /** Which recipients exist is listed. */
  readonly lists: boolean;
  readonly dialect: Dialect;
  /** Who clients are is said in PROXY headers. */
  readonly proxied: boolean;
  readonly clientTls: 'none' | 'starttls' | 'implicit';
  readonly identity: 'none' | 'proxy-v1' | 'proxy-v2' | 'xclient' | 'xforward';
  readonly upstreamTls: 'none' | 'require' | 'implicit';
  /** The first server of the list is one that does not answer. */
  readonly spare: boolean;
  /** Limits that sessions meet; nothing is then known of what a legitimate one hears. */
  readonly tight: boolean;
  /** The firewall in this process, or `postern run`; there with that many threads, and counters in Redis. */
  readonly runs: 'here' | 'alone' | 'workers' | 'redis';
}

export interface Header {
  readonly version: 1 | 2;
  readonly source: string;
  readonly destination: string;
}

/** What the client does next. */
export interface Step {
  readonly say?: string;
  /** Where `say` is cut into writes. */
  readonly cuts?: readonly number[];
  /** The operator's: a reload. */
  readonly reload?: true;
  /** Its handshake, if it has just heard that it may begin. */
  readonly tls?: true;
  /** What a legitimate client hears: codes of the replies, in order; `!` in front of one that is the firewall's own. */
  readonly hears?: readonly string[];
  /** Of `say`, what the server has to hear; left out: all of it. */
  readonly arrives?: string;
  /** Nothing is waited for. */
  readonly hasty?: true;
}

export interface Session {
  readonly header: Header | null;
  readonly backend: Backend;
  readonly steps: readonly Step[];
  /** How the client goes when all is said. */
  readonly end: 'fin' | 'reset' | 'vanish';
  /** A client that does nothing wrong: its octets and messages must arrive, and what it hears is known. */
  readonly legitimate: boolean;
}

export interface Case {
  readonly setting: Setting;
  /** What was played just before it: what a server did then may still count. */
  readonly before?: Session;
  readonly session: Session;
}

/** Numbers below a bound, from a seed. */
export type Below = (bound: number) => number;

export function oneOf<T>(below: Below, all: readonly T[]): T {
  return all[below(all.length)] as T;
}

/** Each of them with this chance in a hundred. */
export function someOf<T>(below: Below, all: readonly T[], chance: number): T[] {
  return all.filter(() => below(100) < chance);
}
