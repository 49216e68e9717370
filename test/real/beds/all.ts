// The servers that Postern is proved against.
import type { MailServer } from './bed.ts';
import { courier } from './courier.ts';
import { exim } from './exim.ts';
import { haraka } from './haraka.ts';
import { aiosmtpd, goSmtp, netServerMail, smtpServer, twisted } from './libraries.ts';
import { opensmtpd } from './opensmtpd.ts';
import { postfix } from './postfix.ts';
import { qpsmtpd } from './qpsmtpd.ts';
import { sendmail } from './sendmail.ts';

/** Four that also send: for every test. */
export const MAIL_SERVERS: readonly MailServer[] = [postfix, exim, opensmtpd, sendmail];

/** They read as the four do, but each has an opinion of its own on what a transaction is. */
export const OTHER_SERVERS: readonly MailServer[] = [
  courier,
  haraka,
  qpsmtpd,
  twisted,
  aiosmtpd,
  goSmtp,
  smtpServer,
  netServerMail,
];

export const ALL_SERVERS: readonly MailServer[] = [...MAIL_SERVERS, ...OTHER_SERVERS];
