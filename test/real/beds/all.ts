// The servers that Postern is proved against.
import type { MailServer } from './bed.ts';
import { exim } from './exim.ts';
import { opensmtpd } from './opensmtpd.ts';
import { postfix } from './postfix.ts';
import { sendmail } from './sendmail.ts';

export const MAIL_SERVERS: readonly MailServer[] = [postfix, exim, opensmtpd, sendmail];
