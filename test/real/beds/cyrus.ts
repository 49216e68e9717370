// Cyrus SASL inside Postfix: no server of its own, a library that reads one database. It is here for NTLM, which Dovecot
// offers with Samba only, and because its DIGEST-MD5 and SCRAM are somebody else's.
import { execFileSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import { join } from 'node:path';
import { missing, needUnpacked } from '../tools.ts';
import { HOST_NAME, makeFolder } from './bed.ts';

export const CYRUS_MECHANISMS = [
  'PLAIN',
  'LOGIN',
  'CRAM-MD5',
  'DIGEST-MD5',
  'SCRAM-SHA-1',
  'SCRAM-SHA-256',
  'NTLM',
] as const;

export const missingCyrus = missing([], ['sasl2-bin']);

/** Lines of Postfix's main.cf. */
export const CYRUS_SETTINGS: readonly string[] = [
  'smtpd_sasl_auth_enable = yes',
  'smtpd_sasl_type = cyrus',
  'smtpd_sasl_path = smtpd',
  `smtpd_sasl_local_domain = ${HOST_NAME}`,
  'smtpd_sasl_security_options = noanonymous',
];

/** What Cyrus SASL is to read: `startPostfix` puts it where Debian's Postfix looks. `users` are names with passwords. */
export function cyrusConfiguration(
  users: Readonly<Record<string, string>>,
  mechanisms: readonly string[] = CYRUS_MECHANISMS,
): string {
  const database = join(makeFolder(), 'sasldb2');
  for (const [name, password] of Object.entries(users)) {
    const add = ['-p', '-c', '-f', database, '-u', HOST_NAME, name];
    execFileSync(needUnpacked('sasl2-bin', 'usr/sbin/saslpasswd2'), add, { input: password });
  }
  chmodSync(database, 0o644); // Postfix's user reads it
  return `pwcheck_method: auxprop
auxprop_plugin: sasldb
sasldb_path: ${database}
mech_list: ${mechanisms.join(' ')}
`;
}
