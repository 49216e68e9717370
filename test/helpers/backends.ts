// Servers behind, by how they answer: for the laws of the core and for the fuzzer.

import type { Backend } from './backend.ts';

/** Servers that answer as servers should. */
export const SOUND: readonly Backend[] = [
  {},
  {},
  { caps_remove: ['PIPELINING'] },
  { caps_remove: ['CHUNKING', 'SMTPUTF8', 'ENHANCEDSTATUSCODES', 'DSN'] },
  { reply: { RCPT: '550 5.1.1 no such user' } },
  { reply: { MAIL: '451 4.3.0 later' } },
  { reply: { DATA: '451 4.3.0 later' } },
  { reply: { EOD: '554 5.6.0 no' } },
  { reply: { BDAT: '552 5.3.4 no' } },
  { reply: { EHLO: '502 5.5.1 no' } },
];

/** Servers that do not agree on what ends a transaction (protocol.md 1.10). */
export const TRANSACTIONS: readonly Backend[] = [
  { hello_again: 'keeps' },
  { hello_again: 'once' },
  { hello_again: 'keeps', mail_again: 'keeps recipients' },
  { hello_again: 'once', mail_again: 'keeps recipients' },
  { mail_again: 'resets' },
  { mail_again: 'keeps recipients', reply: { DATA: '451 4.3.0 later' } },
  { mail_again: 'keeps recipients', reply: { BDAT: '452 4.3.1 later' } },
  { mail_again: 'keeps recipients', reply: { RSET: '500 5.5.1 what?' } },
  { mail_again: 'keeps recipients', hello_again: 'keeps', reply: { RSET: '500 5.5.1 what?' } },
  { refused_end: 'keeps', reply: { EOD: '451 4.7.1 later' } },
  { refused_data: 'ends', reply: { DATA: '451 4.3.0 later' } },
  { refused_data: 'ends', mail_again: 'resets', reply: { DATA: '451 4.3.0 later' } },
];

/** Servers that are out of their mind. */
export const ODD: readonly Backend[] = [
  { reply: { NOOP: '354 go on' } },
  { reply: { RSET: '334 YQ==' } },
  { reply: { MAIL: '354 go on' } },
  { reply: { RCPT: '354 go on' } },
  { reply: { BDAT: '354 go on' } },
  { reply: { AUTH: '354 go on' } },
  { reply: { DATA: '250 2.0.0 ok' } },
  { reply: { DATA: '334 YQ==' } },
  { reply: { MAIL2: '250 2.0.0 ok', RCPT0: '250 2.0.0 ok' } },
  { raw_reply: { RCPT: '250 2.0.0 ok\r\n250 2.0.0 again\r\n' } },
  { bdat: 'u32' },
  { close_in: 'DATA' },
  { close_in: 'EOD' },
  { caps_add: ['XEXCH50'], xexch50: true },
  { gssapi: 'layer' },
];
