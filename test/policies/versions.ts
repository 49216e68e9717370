// How the mail servers behind the presets speak: greeting, EHLO keywords and replies of each version.
//
// The keywords are the documented ones (KB Q262986, 812455 and 818530, [MS-OXSMTP], Postfix's own); every user may log in
// and every recipient is taken, so that whatever is refused was refused by the firewall. Nothing here decides.

import type { Backend } from '../helpers/backend.ts';

export interface Version {
  readonly greeting: string;
  /** EHLO keywords as the server spells them, in its order. */
  readonly keywords: readonly string[];
  readonly mail: string;
  readonly rcpt: string;
}

const EXCHANGE_2000: Version = {
  greeting:
    '220 mail.example.com Microsoft ESMTP MAIL Service, Version: 5.0.2195.6713 ready at  Mon, 2 Jun 2003 09:00:00 +0200 ',
  keywords: [
    'TURN',
    'ATRN',
    'SIZE',
    'ETRN',
    'PIPELINING',
    'DSN',
    'ENHANCEDSTATUSCODES',
    '8bitmime',
    'BINARYMIME',
    'CHUNKING',
    'VRFY',
    'X-EXPS GSSAPI NTLM LOGIN',
    'X-EXPS=LOGIN',
    'AUTH GSSAPI NTLM LOGIN',
    'AUTH=LOGIN',
    'X-LINK2STATE',
    'XEXCH50',
    'OK',
  ],
  mail: '250 2.1.0 sender....Sender OK',
  rcpt: '250 2.1.5 recipient ',
};

const EXCHANGE_2007: Version = {
  greeting: '220 mail.example.com Microsoft ESMTP MAIL Service ready at Mon, 4 Jun 2007 09:00:00 +0200',
  keywords: [
    'SIZE 10485760',
    'PIPELINING',
    'DSN',
    'ENHANCEDSTATUSCODES',
    'STARTTLS',
    'X-ANONYMOUSTLS',
    'AUTH NTLM LOGIN',
    'X-EXPS GSSAPI NTLM',
    '8BITMIME',
    'BINARYMIME',
    'CHUNKING',
    'XEXCH50',
  ],
  mail: '250 2.1.0 Sender OK',
  rcpt: '250 2.1.5 Recipient OK',
};

const POSTFIX: Version = {
  greeting: '220 mail.example.com ESMTP Postfix',
  keywords: [
    'PIPELINING',
    'SIZE 10240000',
    'VRFY',
    'ETRN',
    'STARTTLS',
    'AUTH PLAIN LOGIN GSSAPI',
    'ENHANCEDSTATUSCODES',
    '8BITMIME',
    'DSN',
    'SMTPUTF8',
    'CHUNKING',
  ],
  mail: '250 2.1.0 Ok',
  rcpt: '250 2.1.5 Ok',
};

/** The server behind each preset. */
export const VERSIONS = {
  'exchange-5.5': {
    greeting: '220 mail.example.com ESMTP Server (Microsoft Exchange Internet Mail Service 5.5.2653.13) ready',
    keywords: ['XEXCH50', 'HELP', 'ETRN', 'DSN', 'SIZE 0', 'AUTH LOGIN', 'AUTH=LOGIN'],
    mail: '250 OK - mail from <sender>',
    rcpt: '250 OK - Recipient <recipient>',
  },
  'exchange-2000': EXCHANGE_2000,
  'exchange-2003': { ...EXCHANGE_2000, greeting: EXCHANGE_2000.greeting.replace('5.0.2195.6713', '6.0.3790.4675') },
  'exchange-2007': EXCHANGE_2007,
  // EnableAuthGSSAPI is set, so that a login without a name can be tried.
  'exchange-2010': {
    ...EXCHANGE_2007,
    keywords: EXCHANGE_2007.keywords
      .map((keyword) => keyword.replace(/^AUTH /, 'AUTH GSSAPI '))
      .concat(['XRDST', 'XSHADOW']),
  },
  postfix: POSTFIX,
  closed: POSTFIX,
  appliance: {
    greeting: '220 appliance.example.com ready',
    keywords: ['8BITMIME', 'SIZE', 'AUTH PLAIN LOGIN GSSAPI', 'HELP'],
    mail: '250 sender ok',
    rcpt: '250 recipient ok',
  },
} as const satisfies Readonly<Record<string, Version>>;

export type Preset = keyof typeof VERSIONS;

const CODES = 'ENHANCEDSTATUSCODES';

export function offersCodes({ keywords }: Version): boolean {
  return keywords.includes(CODES);
}

/** The same server, but that it offers enhanced status codes where it did not, and the other way round. */
export function withCodesTurned(version: Version): Version {
  const { keywords, mail, rcpt } = version;
  if (!offersCodes(version)) return { ...version, keywords: [...keywords, CODES] };
  const bare = (reply: string): string => reply.replace(/^(\d{3} )\d\.\d+\.\d+ /, '$1');
  return { ...version, keywords: keywords.filter((keyword) => keyword !== CODES), mail: bare(mail), rcpt: bare(rcpt) };
}

/** The version as the stand-in's options. */
export function backendOf(version: Version): Backend {
  const { greeting, keywords, mail, rcpt } = version;
  const lines = ['mail.example.com Hello', ...keywords];
  const ehlo = lines.map((line, at) => `250${at === lines.length - 1 ? ' ' : '-'}${line}`).join('\r\n');
  return {
    greeting: `${greeting}\r\n`,
    xexch50: true,
    no_codes: !offersCodes(version),
    reply: { EHLO: ehlo, MAIL: mail, RCPT: rcpt },
  };
}
