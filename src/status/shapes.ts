// What GET /status and GET /sessions answer: the shapes, which are a contract (docs/admin.md).
//
// Times are ISO strings in UTC, durations are seconds, and whatever a peer chose is made harmless before it stands here. Only
// shapes stand here: who fills them is serve/live-report.ts, what a terminal shows of them is screen.ts.

export interface Status {
  /** Of this answer. */
  readonly time: string;
  readonly version: string;
  readonly mode: 'enforce' | 'observe';
  /** False where something is only observed. */
  readonly protected: boolean;
  readonly listening: boolean;
  /** The firewall is about to end. */
  readonly draining: boolean;
  readonly started: string;
  readonly uptime_seconds: number;
  readonly policy: { readonly version: string; readonly loaded: string };
  /** The last reload, where it was refused: the policy before it is still in force. */
  readonly reload_refused: { readonly time: string; readonly findings: readonly string[] } | null;
  /** As bound. */
  readonly listeners: readonly string[];
  readonly admin: string | null;
  readonly workers: { readonly configured: number; readonly open: number };
  readonly servers: readonly ServerStatus[];
  readonly sessions: {
    readonly open: number;
    readonly by_phase: Readonly<Record<string, number>>;
    readonly by_connector: Readonly<Record<string, number>>;
  };
  /** Since the start. */
  readonly totals: Readonly<Record<Total, number>>;
  readonly bans: number;
  readonly state: { readonly kind: 'memory' | 'redis'; readonly up: boolean };
  readonly certificates: readonly CertificateStatus[];
  /** Sentences: what an operator should know first. */
  readonly warnings: readonly string[];
}

export type Total =
  | 'sessions'
  | 'connections_refused'
  | 'messages'
  | 'recipients_passed'
  | 'recipients_refused'
  | 'recipients_would_be_refused'
  | 'recipients_refused_by_server'
  | 'defects'
  | 'log_lines_lost';

export interface ServerStatus {
  readonly server: string;
  readonly state: 'up' | 'down' | 'draining' | 'unknown';
  /** Whether it answers; also of one that is draining. True of one that was never asked. */
  readonly up: boolean;
  /** Since when it is in that state; null: it was never asked. */
  readonly since: string | null;
  readonly sessions: number;
  /** The names of the upstreams that it is one of; left out where that is the default alone. */
  readonly upstreams?: readonly string[];
  /** While it does not answer. */
  readonly why?: string;
  readonly next_probe_seconds?: number;
}

export interface CertificateStatus {
  readonly listener: string;
  readonly names: readonly string[];
  readonly not_after: string;
  /** Whole days; below 0: it has ended. */
  readonly days_left: number;
}

export interface SessionList {
  /** All sessions now, whatever was asked for. */
  readonly open: number;
  /** There are others like these that are not shown. */
  readonly more: boolean;
  /** Oldest first. */
  readonly sessions: readonly SessionRow[];
}

export interface SessionRow {
  /** `WORKER-SESSION`, as in the log: what DELETE /sessions/ID takes. */
  readonly id: string;
  readonly client_address: string;
  readonly client_port: number;
  readonly connector: string;
  /** Null until one has greeted. */
  readonly server: string | null;
  readonly phase: string;
  readonly waits_for: 'client' | 'server' | 'postern' | 'either';
  readonly waits_since: string;
  readonly opened: string;
  readonly octets_from_client: number;
  readonly octets_from_upstream: number;
  readonly sasl_username: string | null;
  readonly helo_name: string | null;
  /** Of the last command. */
  readonly verb: string | null;
}

/** What GET /limits answers (docs/limits.md); a hundred of each at most. */
export interface LimitsView {
  readonly sources: readonly LimitUse[];
  readonly logins: readonly LimitUse[];
  readonly senders: readonly LimitUse[];
  readonly connectors: readonly LimitUse[];
  readonly connections: readonly { readonly connector: string; readonly source: string; readonly open: number }[];
  readonly bans: readonly BanStatus[];
}

export interface LimitUse {
  readonly connector: string;
  readonly source?: string;
  readonly login?: string;
  readonly sender?: string;
  readonly limit: string;
  readonly used: number;
  readonly of: number;
  readonly seconds: number;
}

export interface BanStatus {
  readonly source: string;
  readonly seconds: number;
  readonly until: string;
  readonly by: string;
}
