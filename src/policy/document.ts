// The policy as it is written, after its shape has been checked: what compilePolicy takes. The keys are those of the
// file. config/ has the schema that produces it; this folder knows neither YAML nor zod.

export interface PolicyDocument {
  readonly version: 1;
  readonly accepted_domains: readonly string[];
  readonly relay_domains: readonly string[];
  readonly blocked_domains: readonly string[];
  readonly accepted_literals: readonly string[];
  readonly valid_recipients?: { readonly file: string } | undefined;
  readonly groups: Readonly<Record<string, readonly string[]>>;
  readonly user_domains: Readonly<Record<string, string>>;
  readonly connectors: readonly ConnectorDocument[];
}

export interface ConnectorDocument {
  readonly name: string;
  readonly bindings: readonly string[];
  readonly remote_ip_ranges: readonly string[];
  readonly connect: { readonly allow: readonly string[]; readonly deny: readonly string[] };
  readonly submit: SubmitDocument;
  readonly senders: SendersDocument;
  readonly rules: readonly RuleDocument[];
  /** `default`, or a name that the configuration gives to other servers. */
  readonly upstream: string;
  readonly auth: 'offer' | 'hide' | 'require_tls';
  readonly require_tls: boolean;
  readonly starttls: 'hide' | 'terminate' | 'passthrough';
  readonly exchange_verbs: 'hide' | 'forward';
  readonly chunking: 'offer' | 'hide';
  readonly hide_keywords: readonly string[];
  readonly vrfy: 'forward' | 'refuse';
  readonly bare_lf: 'reject' | 'normalize' | 'pass';
  readonly early_talker: 'hold' | 'reject';
  readonly unqualified_recipients: 'reject' | 'allow';
  readonly max_message_size: number;
  readonly limits?: PartialLimits | undefined;
  readonly replies: Readonly<Partial<Record<ReplyName, string | undefined>>>;
  readonly mode: Mode;
  readonly i_know_this_is_open: boolean;
}

export type Mode = 'enforce' | 'observe';

export type ReplyName = 'relay' | 'submit' | 'sender' | 'recipient' | 'connect' | 'connections' | 'rate';

export type SubmitDocument =
  | 'anyone'
  | 'authenticated'
  | { readonly users?: readonly string[] | undefined; readonly groups?: readonly string[] | undefined };

export interface SendersDocument {
  readonly own_domains: 'allow' | 'authenticated' | 'deny';
  readonly login_must_match: Readonly<Record<string, readonly string[]>>;
  /** required: a login whose address user_domains tells sends as that, or as one listed for it. */
  readonly own_address: 'required' | 'free';
  readonly others: 'allow' | 'deny';
}

export interface RuleDocument {
  readonly name?: string | undefined;
  readonly allow?: ConditionsDocument | undefined;
  readonly deny?: ConditionsDocument | undefined;
  readonly owner?: string | undefined;
  /** YYYY-MM-DD, the last day on which the rule may match (UTC). */
  readonly expires?: string | undefined;
}

export interface ConditionsDocument {
  readonly sources?: readonly string[] | undefined;
  readonly ptr?: readonly string[] | undefined;
  readonly local?: readonly string[] | undefined;
  readonly authenticated?: boolean | undefined;
  /** With `authenticated`: a login whose name the mechanism does not show (GSSAPI) counts too. */
  readonly allow_unnamed?: boolean | undefined;
  readonly users?: readonly string[] | undefined;
  readonly groups?: readonly string[] | undefined;
  readonly tls?: boolean | undefined;
  readonly tls_subject?: readonly string[] | undefined;
  readonly senders?: readonly string[] | undefined;
  readonly sender_domains?: readonly string[] | undefined;
  readonly recipients?: readonly string[] | undefined;
  readonly recipient_domains?: readonly string[] | undefined;
  readonly helo?: readonly string[] | undefined;
  readonly not?: ConditionsDocument | undefined;
}

/** `limit` in each `window` (milliseconds); null is unlimited. */
export type Rate = { readonly limit: number; readonly window: number } | null;

/** Section 6 of the design: counts (Infinity is unlimited), rates, and milliseconds. */
export interface Limits {
  readonly session: {
    readonly errors: number;
    readonly junk_commands: number;
    readonly recipients_per_message: number;
    readonly messages: number;
    readonly auth_failures: number;
    readonly command_line: number;
  };
  readonly source: {
    readonly connections: number;
    readonly connections_percent: number;
    readonly connection_rate: Rate;
    readonly message_rate: Rate;
    readonly recipient_rate: Rate;
    readonly byte_rate: Rate;
    readonly rejected_recipient_rate: Rate;
    readonly auth_failure_rate: Rate;
    readonly ipv4_prefix: number;
    readonly ipv6_prefix: number;
  };
  readonly login: { readonly message_rate: Rate; readonly recipient_rate: Rate; readonly auth_failure_rate: Rate };
  readonly sender: { readonly message_rate: Rate };
  readonly connector: { readonly connections: number; readonly message_rate: Rate };
  readonly ban: { readonly after: Rate; readonly for: number; readonly never_ban: readonly string[] };
  readonly tarpit: number;
}

/** What a connector names replaces what stands at the top, key by key. */
export type PartialLimits = {
  readonly [Block in keyof Limits]?: (Limits[Block] extends number ? number : PartialBlock<Limits[Block]>) | undefined;
};

type PartialBlock<Block> = { readonly [Key in keyof Block]?: Block[Key] | undefined };

export const DEFAULT_LIMITS: Limits = {
  // Exchange: MaxProtocolErrors 5, MaxLogonFailures 3, MaxInboundConnection 5000; Postfix: smtpd_hard_error_limit 20,
  // smtpd_junk_command_limit 100, smtpd_recipient_limit 1000.
  session: {
    errors: 20,
    junk_commands: 100,
    recipients_per_message: 1000,
    messages: Number.POSITIVE_INFINITY,
    auth_failures: 3,
    command_line: 2048,
  },
  source: {
    connections: 100,
    connections_percent: 100,
    connection_rate: null,
    message_rate: null,
    recipient_rate: null,
    byte_rate: null,
    rejected_recipient_rate: null,
    auth_failure_rate: null,
    ipv4_prefix: 32,
    ipv6_prefix: 64,
  },
  login: { message_rate: null, recipient_rate: null, auth_failure_rate: null },
  sender: { message_rate: null },
  connector: { connections: 5000, message_rate: null },
  ban: { after: null, for: 600_000, never_ban: [] },
  tarpit: 0,
};

/** `base`, with what `changes` names put in its place. */
export function replaceLimits(base: Limits, changes: PartialLimits | undefined): Limits {
  if (changes === undefined) return base;
  return {
    session: replace(base.session, changes.session),
    source: replace(base.source, changes.source),
    login: replace(base.login, changes.login),
    sender: replace(base.sender, changes.sender),
    connector: replace(base.connector, changes.connector),
    ban: replace(base.ban, changes.ban),
    tarpit: changes.tarpit ?? base.tarpit,
  };
}

/** What is not as by default. */
export function changedLimits({ session, source, login, sender, connector, ban, tarpit }: Limits): PartialLimits {
  return {
    session: changed(DEFAULT_LIMITS.session, session),
    source: changed(DEFAULT_LIMITS.source, source),
    login: changed(DEFAULT_LIMITS.login, login),
    sender: changed(DEFAULT_LIMITS.sender, sender),
    connector: changed(DEFAULT_LIMITS.connector, connector),
    ban: changed(DEFAULT_LIMITS.ban, ban),
    tarpit,
  };
}

function changed<Block extends object>(base: Block, block: Block): Partial<Block> {
  const entries = Object.entries(block).filter(([key, value]) => value !== base[key as keyof Block]);
  return Object.fromEntries(entries) as Partial<Block>;
}

function replace<Block extends object>(base: Block, changes: PartialBlock<Block> | undefined): Block {
  if (changes === undefined) return base;
  const given = Object.entries(changes).filter(([, value]) => value !== undefined);
  return { ...base, ...Object.fromEntries(given) };
}
