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
  wholeNumber,
} from './kinds.ts';

const mode = z.enum(['enforce', 'observe']);

/** Nothing is filled in here: what a block does not name keeps the value it had (policy/document.ts has the defaults). */
export const limitsSchema = z.strictObject({
  session: z
    .strictObject({
      errors: count,
      junk_commands: count,
      recipients_per_message: count,
      messages: count,
      auth_failures: count,
      command_line: wholeNumber(512, 65_536), // RFC 5321 §4.5.3.1.4
    })
    .partial()
    .optional(),
  source: z
    .strictObject({
      connections: count,
      connections_percent: wholeNumber(1, 100),
      connection_rate: rate,
      message_rate: rate,
      recipient_rate: rate,
      byte_rate: byteRate,
      rejected_recipient_rate: rate,
      auth_failure_rate: rate,
      ipv4_prefix: wholeNumber(1, 32),
      ipv6_prefix: wholeNumber(1, 128),
    })
    .partial()
    .optional(),
  login: z.strictObject({ message_rate: rate, recipient_rate: rate, auth_failure_rate: rate }).partial().optional(),
  sender: z.strictObject({ message_rate: rate }).partial().optional(),
  connector: z.strictObject({ connections: count, message_rate: rate }).partial().optional(),
  ban: z.strictObject({ after: ratePerhapsNever, for: duration, never_ban: texts }).partial().optional(),
  tarpit: duration.optional(),
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

const conditions: z.ZodType<Conditions, Conditions> = z.lazy(() =>
  z.strictObject({
    sources: texts.optional(),
    ptr: texts.optional(),
    local: texts.optional(),
    authenticated: flag.optional(),
    allow_unnamed: flag.optional(),
    users: texts.optional(),
    groups: texts.optional(),
    tls: flag.optional(),
    tls_subject: texts.optional(),
    senders: texts.optional(),
    sender_domains: texts.optional(),
    recipients: texts.optional(),
    recipient_domains: texts.optional(),
    helo: texts.optional(),
    not: conditions.optional(),
  }),
);

const rule = z
  .strictObject({
    name: text.optional(),
    allow: conditions.optional(),
    deny: conditions.optional(),
    owner: text.optional(),
    expires: text.optional(),
  })
  .refine(({ allow, deny }) => (allow === undefined) !== (deny === undefined), {
    error: 'a rule is either allow or deny: one of the two is wanted, with its conditions ({} for none)',
  });

const submit = z.union(
  [
    z.literal('anyone'),
    z.literal('authenticated'),
    z.strictObject({ users: texts.optional(), groups: texts.optional() }),
  ],
  { error: 'anyone, authenticated, or { users: […], groups: […] } is wanted' },
);

const connector = z.strictObject({
  name: text,
  bindings: texts.prefault([]),
  remote_ip_ranges: texts,
  connect: z.strictObject({ allow: texts.prefault(['any']), deny: texts.prefault([]) }).prefault({}),
  submit: submit.prefault('anyone'),
  senders: z
    .strictObject({
      own_domains: z.enum(['allow', 'authenticated', 'deny']).prefault('allow'),
      login_must_match: z.record(z.string(), texts).prefault({}),
      others: z.enum(['allow', 'deny']).prefault('allow'),
    })
    .prefault({}),
  rules: z.array(rule).prefault([]),
  auth: z.enum(['offer', 'hide', 'require_tls']).prefault('offer'),
  require_tls: flag.prefault(false),
  starttls: z.enum(['hide', 'terminate', 'passthrough']).prefault('hide'),
  exchange_verbs: z.enum(['hide', 'forward']).prefault('hide'),
  chunking: z.enum(['offer', 'hide']).prefault('offer'),
  hide_keywords: texts.prefault([]),
  vrfy: z.enum(['forward', 'refuse']).prefault('forward'),
  bare_lf: z.enum(['reject', 'normalize', 'pass']).prefault('reject'),
  early_talker: z.enum(['hold', 'reject']).prefault('hold'),
  unqualified_recipients: z.enum(['reject', 'allow']).prefault('reject'),
  max_message_size: size.prefault('unlimited'),
  limits: limitsSchema.optional(),
  replies: z
    .strictObject({
      relay: text,
      submit: text,
      sender: text,
      recipient: text,
      connect: text,
      connections: text,
      rate: text,
    })
    .partial()
    .prefault({}),
  mode: mode.prefault('enforce'),
  i_know_this_is_open: flag.prefault(false),
});

export const policySchema = z.strictObject({
  version: z.literal(1, { error: 'this version reads policies of version 1: write version: 1' }),
  accepted_domains: texts.prefault([]),
  relay_domains: texts.prefault([]),
  blocked_domains: texts.prefault([]),
  accepted_literals: texts.prefault([]),
  valid_recipients: z.strictObject({ file: fileName }).optional(),
  groups: z.record(z.string(), texts).prefault({}),
  user_domains: z.record(z.string(), text).prefault({}),
  connectors: z.array(connector),
});
