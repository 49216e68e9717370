// The shape of a policy file, with its defaults. What the words in it mean is policy/'s matter.

import * as z from 'zod';
import {
  byteRate,
  count,
  duration,
  fileName,
  flag,
  rate,
  ratePerhapsNever,
  size,
  text,
  texts,
  upstreamName,
  wholeNumber,
} from './kinds.ts';

const mode = z.enum(['enforce', 'observe']);

/** Nothing is filled in here: what a block does not name keeps the value it had (policy/document.ts has the defaults). */
export const limitsSchema = z.strictObject({
  session: z
    .strictObject({
      errors: count.describe('Errors of one session; the next ends it. Exchange: MaxProtocolErrors.'),
      junk_commands: count.describe('NOOP, HELP, VRFY and the like since the last message; the next ends the session.'),
      recipients_per_message: count.describe(
        'Recipients of one message; those beyond hear 452. Exchange: MaxRecipientsPerMessage.',
      ),
      messages: count.describe('Messages of one session; the next MAIL ends it.'),
      auth_failures: count.describe('Failed logins of one session; the next AUTH ends it. Exchange: MaxLogonFailures.'),
      // RFC 5321 §4.5.3.1.4
      command_line: wholeNumber(512, 65_536).describe('Octets of one command line, with its line end.'),
    })
    .partial()
    .optional()
    .describe('Counts of one session.'),
  source: z
    .strictObject({
      connections: count.describe('Connections open at a time. Exchange: MaxInboundConnectionPerSource.'),
      connections_percent: wholeNumber(1, 100).describe(
        "Per cent of the connector's connections that the others leave, and always one. Exchange: MaxInboundConnectionPercentagePerSource.",
      ),
      connection_rate: rate.describe('New connections.'),
      message_rate: rate.describe('Messages. Exchange: MessageRateLimit with MessageRateSource IPAddress.'),
      recipient_rate: rate.describe('Recipients.'),
      byte_rate: byteRate.describe('Octets of mail data.'),
      rejected_recipient_rate: rate.describe(
        'Recipients that we or the server behind refuse for good; then all of its recipients hear 450 unasked.',
      ),
      auth_failure_rate: rate.describe('Failed logins; then AUTH hears 454 unasked.'),
      ipv4_prefix: wholeNumber(1, 32).describe('How many bits of an IPv4 address make one source.'),
      ipv6_prefix: wholeNumber(1, 128).describe('How many bits of an IPv6 address make one source.'),
    })
    .partial()
    .optional()
    .describe('Of one source: an IPv4 address, or an IPv6 /64.'),
  login: z
    .strictObject({
      message_rate: rate.describe('Messages. Exchange: MessageRateLimit with MessageRateSource User.'),
      recipient_rate: rate.describe('Recipients.'),
      auth_failure_rate: rate.describe('Failed logins of this user from one source; then AUTH hears 454 unasked.'),
    })
    .partial()
    .optional()
    .describe('Of one user who has logged in, from wherever.'),
  sender: z
    .strictObject({ message_rate: rate.describe('Messages.') })
    .partial()
    .optional()
    .describe("Of one reverse-path; the empty one is nobody's."),
  connector: z
    .strictObject({
      connections: count.describe('Connections open at a time. Exchange: MaxInboundConnection.'),
      message_rate: rate.describe('Messages.'),
    })
    .partial()
    .optional()
    .describe('Of one connector as a whole.'),
  ban: z
    .strictObject({
      after: ratePerhapsNever.describe('How often a source may exceed its limits before it is banned, as 5/10m.'),
      for: duration.describe('How long a ban lasts.'),
      never_ban: texts.describe('Addresses and ranges that no ban touches.'),
    })
    .partial()
    .optional()
    .describe('Shutting out a source that exceeds its limits again and again.'),
  tarpit: duration
    .optional()
    .describe('How long a 5yz to a client that has not logged in is held back. Exchange: TarpitInterval.'),
});

interface Conditions {
  sources?: string[] | undefined;
  ptr?: string[] | undefined;
  local?: string[] | undefined;
  authenticated?: boolean | undefined;
  allow_unnamed?: boolean | undefined;
  users?: string[] | undefined;
  groups?: string[] | undefined;
  tls?: boolean | undefined;
  tls_subject?: string[] | undefined;
  senders?: string[] | undefined;
  sender_domains?: string[] | undefined;
  recipients?: string[] | undefined;
  recipient_domains?: string[] | undefined;
  helo?: string[] | undefined;
  not?: Conditions | undefined;
}

const BARE_SENDER =
  'Where that forbids, a name without a domain counts as one of each accepted domain: the server behind completes it.';

const conditions: z.ZodType<Conditions, Conditions> = z
  .lazy(() =>
    z.strictObject({
      sources: texts.optional().describe('The client has one of these addresses, or one in these ranges.'),
      ptr: texts
        .optional()
        .describe('The name of the client in DNS fits one of these patterns, and leads back to its address.'),
      local: texts.optional().describe('The client connected to one of these addresses or ports of ours.'),
      authenticated: flag
        .optional()
        .describe('The client has logged in (true), with a name that is known; or has not (false).'),
      allow_unnamed: flag
        .optional()
        .describe('With authenticated: a login whose name cannot be seen (Kerberos) counts as well.'),
      users: texts.optional().describe('The login is one of these, as CORP\\alice or alice@corp.example.com.'),
      groups: texts.optional().describe('The login is in one of these groups (groups, at the top of the policy).'),
      tls: flag.optional().describe('The client speaks TLS with Postern (true), or does not (false).'),
      tls_subject: texts
        .optional()
        .describe(
          'A verified certificate of the client names one of these: a pattern of host names, CN=…, or a whole distinguished name.',
        ),
      senders: texts.optional().describe(`The reverse-path (MAIL FROM) is one of these addresses. ${BARE_SENDER}`),
      sender_domains: texts
        .optional()
        .describe(`The domain of the reverse-path fits one of these patterns. ${BARE_SENDER}`),
      recipients: texts.optional().describe('The recipient is one of these addresses.'),
      recipient_domains: texts.optional().describe('The domain of the recipient fits one of these patterns.'),
      helo: texts.optional().describe('The name that the client gave with EHLO or HELO fits one of these patterns.'),
      not: conditions.optional().describe('What stands in here does not hold: the same keys, as one block.'),
    }),
  )
  .meta({ id: 'conditions' });

const rule = z
  .strictObject({
    name: text.optional().describe('What log and explain call the rule.'),
    allow: conditions
      .optional()
      .describe('The client may relay to the recipient when all of this holds; {} always does.'),
    deny: conditions.optional().describe('It may not, when all of this holds.'),
    owner: text.optional().describe('Whom to ask about the rule. Nothing is done with it but to say it.'),
    expires: text
      .optional()
      .describe('The last day on which the rule may match (UTC), as 2027-01-31. check warns thirty days ahead.'),
  })
  .refine(({ allow, deny }) => (allow === undefined) !== (deny === undefined), {
    error: 'a rule is either allow or deny: one of the two is wanted, with its conditions ({} for none)',
  });

const submit = z.union(
  [
    z.literal('anyone'),
    z.literal('authenticated'),
    z.strictObject({
      users: texts.optional().describe('These logins.'),
      groups: texts.optional().describe('The logins in these groups.'),
    }),
  ],
  { error: 'anyone, authenticated, or { users: […], groups: […] } is wanted' },
);

const connector = z.strictObject({
  name: text.describe('What log, metrics and explain call the connector.'),
  bindings: texts
    .prefault([])
    .describe(
      'Addresses of ours, as 192.0.2.25:587, *:587 or 192.0.2.25: the connector answers only there, and before those without. Exchange: Bindings.',
    ),
  remote_ip_ranges: texts.describe(
    'The clients that the connector is for: any, addresses, ranges, networks, masks. The most specific that holds the client wins. Exchange: RemoteIPRanges.',
  ),
  connect: z
    .strictObject({
      allow: texts.prefault(['any']).describe('Who may: ranges, and names in DNS.'),
      deny: texts.prefault([]).describe('Who may not; looked at first.'),
    })
    .prefault({})
    .describe('Who may talk to us at all. Exchange 2003: Connection Control.'),
  submit: submit
    .prefault('anyone')
    .describe(
      'Who may hand in mail at all, to our own domains as well; others hear 530 at MAIL. Exchange: PermissionGroups; 2003: Submit Permission.',
    ),
  senders: z
    .strictObject({
      own_domains: z
        .enum(['allow', 'authenticated', 'deny'])
        .prefault('allow')
        .describe(
          'Who may write as a sender in our accepted domains. Exchange: the right ms-Exch-SMTP-Accept-Authoritative-Domain-Sender.',
        ),
      login_must_match: z
        .record(z.string(), texts)
        .prefault({})
        .describe('For a login, the addresses that it may send as, and no other.'),
      own_address: z
        .enum(['required', 'free'])
        .prefault('free')
        .describe(
          'required: a login sends as its own address, which user_domains tells (CORP\\alice is alice@corp.example.com), or as one that login_must_match lists for it; whose address is not told falls under others.',
        ),
      others: z
        .enum(['allow', 'deny'])
        .prefault('allow')
        .describe(
          'Whether logins that login_must_match does not name, and whose own address is not required, may send as they like.',
        ),
    })
    .prefault({})
    .describe('Which reverse-paths a client may use.'),
  rules: z
    .array(rule)
    .prefault([])
    .describe(
      'Who may relay, to domains that are not accepted: the first rule that matches decides, and none is a no.',
    ),
  upstream: upstreamName
    .prefault('default')
    .describe(
      'Which servers the sessions of the connector go to: default is upstream of the configuration, any other name is one of its upstreams.',
    ),
  auth: z
    .enum(['offer', 'hide', 'require_tls'])
    .prefault('offer')
    .describe('Logins: offered as the server behind does, hidden, or in TLS only. Exchange: AuthMechanism.'),
  require_tls: flag.prefault(false).describe('Mail in TLS only; MAIL in clear text hears 530. Exchange: RequireTLS.'),
  starttls: z
    .enum(['hide', 'terminate', 'passthrough'])
    .prefault('hide')
    .describe(
      'hide: not offered. terminate: ends here, with a certificate of the listener. passthrough: goes to the server behind and nothing is read from then on; only where anybody may relay anywhere.',
    ),
  exchange_verbs: z
    .enum(['hide', 'forward'])
    .prefault('hide')
    .describe(
      'X-EXPS, XEXCH50, X-LINK2STATE and the like, which Exchange servers speak among themselves. forward only where anybody may relay anywhere.',
    ),
  chunking: z
    .enum(['offer', 'hide'])
    .prefault('offer')
    .describe('CHUNKING and BDAT, where the server behind has them. Exchange: ChunkingEnabled.'),
  hide_keywords: texts.prefault([]).describe('Other keywords to take out of the EHLO reply, as DSN or SIZE.'),
  vrfy: z
    .enum(['forward', 'refuse'])
    .prefault('forward')
    .describe('VRFY and EXPN: to the server behind, or 252 from here, which tells nothing.'),
  bare_lf: z
    .enum(['reject', 'normalize', 'pass'])
    .prefault('reject')
    .describe(
      'Octets in mail data that end a message for one server and not for another: the message is refused, they are made text, or they pass (only where anybody may relay anywhere). Exchange: BareLinefeedRejectionEnabled.',
    ),
  early_talker: z
    .enum(['hold', 'reject'])
    .prefault('hold')
    .describe('What a client says before the greeting waits for it, or ends the session.'),
  unqualified_recipients: z
    .enum(['reject', 'allow'])
    .prefault('reject')
    .describe('Recipients without a domain; postmaster always passes.'),
  max_message_size: size
    .prefault('unlimited')
    .describe('The largest message, beside what the server behind announces. Exchange: MaxMessageSize.'),
  limits: limitsSchema.optional().describe('What is otherwise here than in limits of the configuration, key by key.'),
  replies: z
    .strictObject({
      relay: text.describe('To a recipient that may not be reached.'),
      submit: text.describe('To a client that may not hand in mail.'),
      sender: text.describe('To a reverse-path that may not be used.'),
      recipient: text.describe('To a recipient that valid_recipients does not have.'),
      connect: text.describe('To a client that may not connect: 421 or 554.'),
      connections: text.describe('To a client with too many connections: 421 or 554.'),
      rate: text.describe('To a MAIL or RCPT beyond a rate.'),
    })
    .partial()
    .prefault({})
    .describe(
      "Our replies in other words, as '550 5.7.1 Unable to relay for {recipient}'. {recipient}, {sender} and {client_address} are filled in. The defaults stand in replies.md.",
    ),
  mode: mode
    .prefault('enforce')
    .describe(
      'observe: what would be refused here is forwarded and only logged. Where the configuration observes, every connector does.',
    ),
  i_know_this_is_open: flag
    .prefault(false)
    .describe('This connector is an open relay on purpose: check warns of it, where it would else be an error.'),
});

export const policySchema = z.strictObject({
  version: z
    .literal(1, { error: 'this version reads policies of version 1: write version: 1' })
    .describe('The version of the form that policies have.'),
  accepted_domains: texts
    .prefault([])
    .describe(
      'Domains that the server behind takes mail for; *.example.com is example.com and all below it. Their mail passes before any rule. Exchange: AcceptedDomain.',
    ),
  relay_domains: texts
    .prefault([])
    .describe(
      'Domains that every client of every connector may relay to. Exchange: AcceptedDomain of type ExternalRelay; 5.5: Always relay.',
    ),
  blocked_domains: texts.prefault([]).describe('Domains that nobody may reach, whatever else is said.'),
  accepted_literals: texts
    .prefault([])
    .describe('Our own addresses in brackets: mail for user@[192.0.2.25] is for us.'),
  valid_recipients: z
    .strictObject({ file: fileName.describe('One address a line.') })
    .optional()
    .describe(
      'The recipients that exist: any other in the accepted domains hears 550 5.1.1, bob+news@ as well where the file has bob@ alone. Postmaster and the reply addresses of Exchange (IMCEAEX-…) need not stand there. Exchange: recipient filtering.',
    ),
  groups: z
    .record(z.string(), texts)
    .prefault({})
    .describe('Names for several logins, for groups in rules and submit.'),
  user_domains: z
    .record(z.string(), text)
    .prefault({})
    .describe(
      'Windows domains and the mail domains of their users: with CORP: corp.example.com, CORP\\alice is alice@corp.example.com.',
    ),
  connectors: z
    .array(connector)
    .describe(
      'Which clients may do what. One connector answers each client, and applies whole. Exchange: receive connectors.',
    ),
});
