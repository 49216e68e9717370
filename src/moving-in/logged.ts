// What a log tells, whichever server wrote it: one record for each mail transaction, and what was not understood.
//
// Nothing runs here. Readers fill these shapes; inventory, replay and suggest read them. What a log does not say is null or
// undefined, never a guess. Text is as people write it (not octets): what is put to a policy goes through PolicyQuestion.

/** Which kind of log: each has one reader. */
export type LogKind =
  | 'exchange' //  RECV*.LOG of Exchange 2007 to 2019: SMTP Receive Protocol Log
  | 'w3c' //       W3C extended log of IIS SMTPSVC (Exchange 2000, 2003)
  | 'ncsa' //      NCSA common log of the same
  | 'syslog' //    lines of Postfix and Sendmail (and of Exim and Postern, where they go there), also as journalctl exports them
  | 'exim' //      Exim's own mainlog and rejectlog
  | 'postern'; //  our own log, one JSON object a line

export const LOG_KINDS: readonly LogKind[] = ['exchange', 'w3c', 'ncsa', 'syslog', 'exim', 'postern'];

/** What the old server said: 2yz, 5yz, 4yz, or the log does not tell. */
export type LoggedAnswer = 'accepted' | 'refused' | 'deferred' | 'unknown';

export interface LoggedRecipient {
  /** The forward-path as written, without its brackets. */
  readonly address: string;
  readonly answer: LoggedAnswer;
  /** As the log has it; '' where it has none. */
  readonly reply: string;
}

/** One mail transaction: a MAIL and what followed it. */
export interface LoggedMessage {
  /** Of its MAIL, in milliseconds UTC; null: no date can be known. */
  readonly at: number | null;
  /** Where it begins. */
  readonly file: string;
  readonly line: number;
  /** As the log names it; '' where it names none. Unique within one server's log only. */
  readonly session: string;
  /** The client's IP address, IPv4-mapped IPv6 as IPv4. */
  readonly source: string;
  /** The client's name as the old server looked it up; null: none, or not told. */
  readonly ptr: string | null;
  /** `IP:port` (`[v6]:port`) that the client connected to. */
  readonly local: string | null;
  /** The name of the old receive connector or virtual server. */
  readonly connector: string | null;
  /** Null: not told. */
  readonly helo: string | null;
  /** Null: not logged in. '?': logged in, and the log does not say as whom. Undefined: the log does not tell whether. */
  readonly login: string | null | undefined;
  /** Null: not told. */
  readonly tls: boolean | null;
  /** The reverse-path without its brackets; '' is the null path. Null: not told. */
  readonly sender: string | null;
  /** What MAIL was answered. */
  readonly senderAnswer: LoggedAnswer;
  readonly recipients: readonly LoggedRecipient[];
  /** Recipients that the log counts and does not name, or that are more than are kept of one message. */
  readonly untold: number;
  /** Whether the old server took the message over. */
  readonly delivered: 'yes' | 'no' | 'unknown';
  /** The rights that the log tells: may it relay to anywhere? Null: it does not tell. */
  readonly mayRelay: boolean | null;
}

/** A line that was not understood. */
export interface UnknownLine {
  readonly file: string;
  readonly line: number;
  /** Why, as a short sentence. */
  readonly why: string;
  /** The line, made harmless for a terminal and cut. */
  readonly text: string;
}

/** Where the records go. */
export interface LogSink {
  /** Called in the order in which transactions end. The record is the sink's to keep. */
  message(message: LoggedMessage): void;
  /** Called between two blocks (some 64 KiB) of input: nothing more is read until it resolves. */
  drain?(): Promise<void> | void;
}

/** What came of reading. */
export interface ReadReport {
  /** Files that a reader was found for. */
  readonly files: number;
  readonly lines: number;
  readonly octets: number;
  readonly messages: number;
  /** Messages outside --since and --until. */
  readonly outside: number;
  /** Messages without a date, which --since and --until cannot leave out. */
  readonly undated: number;
  /** How many lines were not understood, and the first of them. */
  readonly unknown: number;
  readonly unknownLines: readonly UnknownLine[];
  /** Files that could not be read (to their end), each a sentence with file and, where there is one, line. */
  readonly problems: readonly string[];
  /** What was told of with less than the log holds, or left out on purpose, each a sentence. */
  readonly notes: readonly string[];
}

export interface ReadOptions {
  /** In the place of what the content looks like. */
  readonly as?: LogKind | undefined;
  /** Milliseconds UTC: messages from then on, and before then. */
  readonly since?: number | undefined;
  readonly until?: number | undefined;
  /** Octets done, and of how many; null: nobody knows (standard input). */
  readonly progress?: ((done: number, total: number | null) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Syslog names no year: the year of the last line. The file's own date when left out. */
  readonly now?: number | undefined;
  /** In the place of standard input, for tests. */
  readonly stdin?: AsyncIterable<Uint8Array> | undefined;
}
