// What else a receive connector of Exchange says: limits, sizes, what EHLO offers; and what stays with the server behind.

import { countOf, enumOf, flagOf, secondsOf, sizeOf, textOf } from './exchange-values.ts';
import { type Exported, type Field, fieldOf } from './exported.ts';
import type { Report, WrittenBlock } from './imported.ts';

/** EHLO keywords, where Exchange has them switched off. */
const KEYWORDS: Readonly<Record<string, string>> = {
  PipeliningEnabled: 'PIPELINING',
  EightBitMimeEnabled: '8BITMIME',
  BinaryMimeEnabled: 'BINARYMIME',
  DeliveryStatusNotificationEnabled: 'DSN',
  EnhancedStatusCodesEnabled: 'ENHANCEDSTATUSCODES',
  SmtpUtf8Enabled: 'SMTPUTF8',
};

/** Settings that are not ours to keep: what they usually are, which needs no word, and what becomes of them. */
const BEHIND: Readonly<Record<string, { usual: readonly string[]; why: string }>> = {
  ConnectionTimeout: {
    usual: ['00:10:00', '00:05:00'],
    why: 'how long a session may last at most: the server behind goes on counting',
  },
  ConnectionInactivityTimeout: {
    usual: ['00:05:00'],
    why: 'one for all connectors: timeouts.client_idle of the configuration',
  },
  MaxHeaderSize: { usual: [], why: '' },
  RequireEHLODomain: { usual: ['False'], why: 'the server behind goes on asking for a name in EHLO' },
  DomainSecureEnabled: {
    usual: ['False'],
    why: "mutual TLS needs the client's own handshake, which ends here or is not offered",
  },
  EnableAuthGSSAPI: {
    usual: ['False'],
    why: 'a login by GSSAPI shows no name: it relays nowhere; allow_unnamed: true beside authenticated would let it',
  },
  ExtendedProtectionPolicy: {
    usual: ['None', 'Allow', '0', '1'],
    why: 'channel binding fails where TLS ends before the server: set it to Allow or None there',
  },
  TlsDomainCapabilities: { usual: [''], why: 'what a certificate gives is not seen here: it gives nothing' },
  LongAddressesEnabled: { usual: ['False'], why: 'XLONGADDR is not passed on' },
  OrarEnabled: { usual: ['False'], why: 'XORAR is not passed on' },
  AuthTarpitInterval: { usual: ['00:00:05', '00:00:00'], why: 'the server behind goes on waiting' },
  RejectReservedTopLevelRecipientDomains: { usual: ['False'], why: 'the server behind goes on refusing them' },
  RejectReservedSecondLevelRecipientDomains: { usual: ['False'], why: 'the server behind goes on refusing them' },
  RejectSingleLabelRecipientDomains: { usual: ['False'], why: 'the server behind goes on refusing them' },
};

export function importLimits(object: Exported, report: Report): WrittenBlock {
  for (const [name, { usual, why }] of Object.entries(BEHIND)) {
    const field = fieldOf(object, name);
    const value =
      field === null ? '' : (textOf(field.value) ?? String((field.value as readonly unknown[]).length || ''));
    if (field === null || why === '' || usual.some((one) => one.toLowerCase() === value.toLowerCase())) continue;
    report.cannotBeSaid(field, name, value, why);
  }
  const hidden = Object.entries(KEYWORDS).filter(([name]) => flagOf(fieldOf(object, name)?.value ?? null) === false);
  const isSizeHidden =
    enumOf(fieldOf(object, 'SizeEnabled')?.value ?? null, ['Disabled', 'Enabled', 'EnabledWithoutValue']) ===
    'Disabled';
  const keywords = [...hidden.map(([, keyword]) => keyword), ...(isSizeHidden ? ['SIZE'] : [])];
  for (const [name, keyword] of hidden)
    report.exact(fieldOf(object, name) as Field, name, 'False', `hide_keywords: ${keyword}`);
  const chunking = flagOf(fieldOf(object, 'ChunkingEnabled')?.value ?? null) === false ? 'hide' : undefined;
  if (chunking !== undefined)
    report.exact(fieldOf(object, 'ChunkingEnabled') as Field, 'ChunkingEnabled', 'False', 'chunking: hide');
  const bareLf = fieldOf(object, 'BareLinefeedRejectionEnabled');
  if (bareLf !== null && flagOf(bareLf.value) === false)
    report.stricter(
      bareLf,
      'BareLinefeedRejectionEnabled',
      'False',
      'bare_lf: reject',
      'what ends a message for one server and not for another is refused',
    );
  const domain = fieldOf(object, 'DefaultDomain');
  const completed = domain === null ? null : textOf(domain.value);
  if (domain !== null && completed)
    report.stricter(
      domain,
      'DefaultDomain',
      completed,
      'unqualified_recipients: reject',
      'a recipient without a domain is refused; allow leaves it to the server behind',
    );
  const limits = limitsOf(object, report);
  return {
    chunking,
    hide_keywords: keywords.length === 0 ? undefined : keywords,
    max_message_size: maxSize(object, report),
    limits: Object.values(limits).every((block) => block === undefined) ? undefined : limits,
  };
}

function maxSize(object: Exported, report: Report): string | undefined {
  const field = fieldOf(object, 'MaxMessageSize');
  if (field === null) return undefined;
  const octets = sizeOf(field.value);
  const text = textOf(field.value) ?? '';
  if (octets === null)
    report.cannotBeSaid(
      field,
      'MaxMessageSize',
      text,
      'no size that is understood: the server behind goes on refusing',
    );
  if (octets === null || octets === 'unlimited' || octets === 0) return undefined;
  const size =
    octets % 2 ** 20 === 0 ? `${octets / 2 ** 20}MiB` : octets % 1024 === 0 ? `${octets / 1024}KiB` : `${octets}B`;
  report.exact(field, 'MaxMessageSize', text, `max_message_size: ${size}`);
  return size;
}

function limitsOf(object: Exported, report: Report): WrittenBlock {
  const count = (name: string, became: string): number | 'unlimited' | undefined => {
    const field = fieldOf(object, name);
    if (field === null) return undefined;
    const value = countOf(field.value);
    if (value === null) report.cannotBeSaid(field, name, textOf(field.value) ?? '', 'no number that is understood');
    else report.exact(field, name, String(value), became);
    return value ?? undefined;
  };
  const failures = count('MaxLogonFailures', 'limits.session.auth_failures');
  const tarpit = secondsOf(fieldOf(object, 'TarpitInterval')?.value ?? null);
  if (tarpit !== null)
    report.exact(fieldOf(object, 'TarpitInterval') as Field, 'TarpitInterval', `${tarpit}s`, 'limits.tarpit');
  const rate = messageRate(object, report);
  return {
    session: block({
      errors: count('MaxProtocolErrors', 'limits.session.errors'),
      auth_failures: failures === 0 ? 'unlimited' : failures,
      recipients_per_message: count('MaxRecipientsPerMessage', 'limits.session.recipients_per_message'),
    }),
    source: block({
      connections: count('MaxInboundConnectionPerSource', 'limits.source.connections'),
      connections_percent: count('MaxInboundConnectionPercentagePerSource', 'limits.source.connections_percent'),
      message_rate: rate.source,
    }),
    sender: block({ message_rate: rate.sender }),
    connector: block({ connections: count('MaxInboundConnection', 'limits.connector.connections') }),
    tarpit: tarpit === null || tarpit === 0 ? undefined : `${tarpit}s`,
  };
}

function block(entries: WrittenBlock): WrittenBlock | undefined {
  return Object.values(entries).every((value) => value === undefined) ? undefined : entries;
}

/** Messages in a minute. Exchange 2007 has no MessageRateSource: it counts addresses. */
function messageRate(object: Exported, report: Report): { source?: string; sender?: string } {
  const field = fieldOf(object, 'MessageRateLimit');
  const limit = field === null ? null : countOf(field.value);
  if (field === null || limit === null || limit === 'unlimited') return {};
  const from = fieldOf(object, 'MessageRateSource');
  const source = from === null ? 'IPAddress' : enumOf(from.value, ['None', 'IPAddress', 'User', 'All']);
  const keys = { source: source === 'IPAddress' || source === 'All', sender: source === 'User' || source === 'All' };
  const became = Object.entries(keys).flatMap(([key, holds]) => (holds ? [`limits.${key}.message_rate`] : []));
  report.exact(
    field,
    'MessageRateLimit',
    `${limit} in a minute, by ${source ?? 'nothing known'}`,
    became.join(', ') || 'nothing counted',
  );
  return { ...(keys.source ? { source: `${limit}/1m` } : {}), ...(keys.sender ? { sender: `${limit}/1m` } : {}) };
}
