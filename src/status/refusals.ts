// Who was refused since somebody last asked, in one thread: a count for each source and what became of its first try.
//
// Invariant: bounded whatever comes. Of so many sources each is counted by itself, of all others only how many refusals there
// were. What is kept of a try is made by `example` only where it is kept, and must be harmless by then. Pure; not here: how
// long it is remembered (history.ts).

export type Verdict = 'refused' | 'would_be_refused';

/** One try, enough to ask the policy about it again. */
export interface Example {
  readonly client_address: string;
  /** Our address and port that it came to. */
  readonly local: string;
  readonly connector: string | null;
  readonly what: 'connection' | 'login' | 'sender' | 'recipient';
  readonly reason: string;
  readonly rule: string | null;
  readonly helo: string;
  readonly login: string | null;
  readonly tls: boolean;
  /** What a verified client certificate names. */
  readonly tls_subject: readonly string[];
  readonly sender: string;
  readonly recipient: string;
}

export interface SourceRefusals {
  readonly verdict: Verdict;
  readonly source: string;
  readonly count: number;
  readonly example: Example;
}

export interface Refusals {
  readonly sources: readonly SourceRefusals[];
  /** Of sources beyond those. */
  readonly others: number;
}

export const NO_REFUSALS: Refusals = { sources: [], others: 0 };

const SOURCES = 500;

export class RefusalTally {
  #sources = new Map<string, { -readonly [Key in keyof SourceRefusals]: SourceRefusals[Key] }>();
  #others = 0;

  add(verdict: Verdict, source: string, example: () => Example): void {
    const key = `${verdict} ${source}`;
    const known = this.#sources.get(key);
    if (known !== undefined) known.count++;
    else if (this.#sources.size >= SOURCES) this.#others++;
    else this.#sources.set(key, { verdict, source, count: 1, example: example() });
  }

  /** What was added since the last time. */
  take(): Refusals {
    if (this.#sources.size === 0 && this.#others === 0) return NO_REFUSALS;
    const taken = { sources: [...this.#sources.values()], others: this.#others };
    this.#sources = new Map();
    this.#others = 0;
    return taken;
  }
}

/** Those of several threads. */
export function addRefusals(parts: readonly Refusals[]): Refusals {
  return {
    sources: parts.flatMap(({ sources }) => sources),
    others: parts.reduce((sum, { others }) => sum + others, 0),
  };
}
