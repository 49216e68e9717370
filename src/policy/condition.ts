// The shapes of rules: what a condition may look at, what it is when compiled, and what rules share while they are compiled.
// Only shapes stand here; rules.ts and members.ts make them.

import type { Address, Question } from '../smtp/types.ts';
import type { UserNames } from './accounts.ts';
import type { ConditionsDocument, RuleDocument } from './document.ts';
import type { DomainTable } from './domains.ts';
import type { Ip } from './ip.ts';
import type { Client, Notes, SourceSet } from './lists.ts';
import type { Path } from './problem.ts';
import type { AskedFor, Guess, Truth } from './truth.ts';

/** All that a condition may look at. */
export interface Facts {
  readonly client: Client;
  readonly localIp: Ip | null;
  readonly localPort: number;
  readonly question: Question;
  /** The address that is judged now; at MAIL there is none. */
  readonly recipient: Address | null;
  /** The compared form of the login's name; null when there is no login or its name is not known. */
  readonly user: string | null;
  /** Forward-confirmed names of the client, folded; null when nobody knows (yet). */
  readonly names: readonly string[] | null;
}

export interface Condition {
  readonly key: keyof ConditionsDocument;
  readonly holds: (facts: Facts, guess: Guess) => Truth;
  /** What another spelling had to do with the answer, for people: `steven may be CORP\steven`; null: nothing. */
  readonly because?: ((facts: Facts) => string | null) | undefined;
}

export type Test = Omit<Condition, 'key'>;

export interface Rule {
  readonly action: 'allow' | 'deny';
  /** As written, or its place in the list: `rule 2`. */
  readonly name: string;
  readonly path: Path;
  readonly conditions: readonly Condition[];
  /** Milliseconds; from then on it does not match. Infinity without `expires`. */
  readonly expiresAt: number;
  /** For lint: the lists as compiled. */
  readonly sources: SourceSet | null;
  readonly recipientDomains: DomainTable | null;
  readonly document: RuleDocument;
}

/** The domains that the server behind completes a bare sender with: one of those that it is responsible for. */
export interface OwnDomains {
  /** Whether it is one, as folded octets. */
  readonly isOwn: (domain: string) => boolean;
  /** As written. */
  readonly patterns: readonly string[];
}

/** Everything that rules of one policy share while they are compiled. */
export interface Vocabulary {
  readonly notes: Notes;
  readonly users: UserNames;
  /** Group name to its members, as written. */
  readonly groups: ReadonlyMap<string, readonly string[]>;
  readonly guard: boolean;
  readonly own: OwnDomains;
  /** What was asked already: there is one `Unknown` for each question. */
  readonly asked: AskedFor[];
}
