// Dovecot's authentication service from its unpacked package, and nothing else of it: no IMAP, no mail. Postfix asks it
// over TCP on the loopback (smtpd_sasl_type = dovecot).
//
// One user with his password in a file serves every mechanism that needs a password; the OAuth ones check a token that
// the test signs itself (RFC 7519, HS256), so no authorization server is asked.
import { createHmac } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startServer } from '../children.ts';
import { needUnpacked } from '../tools.ts';
import { type Bed, bed, makeFolder, missingServer } from './bed.ts';

/** What it is told to offer, all that a password or a token serves. Its NTLM needs Samba; GSSAPI needs a KDC. */
export const DOVECOT_MECHANISMS = [
  'PLAIN',
  'LOGIN',
  'CRAM-MD5',
  'DIGEST-MD5',
  'SCRAM-SHA-1',
  'SCRAM-SHA-256',
  'XOAUTH2',
  'OAUTHBEARER',
] as const;

const TOKEN_SECRET = 'the secret of the tests, 32 octets';

export const missingDovecot = missingServer('dovecot-core');

/** `port` is where Postfix asks; `users` are names with their passwords. */
export async function startDovecot(port: number, users: Readonly<Record<string, string>>): Promise<Bed> {
  const folder = makeFolder();
  const file = (name: string) => join(folder, name);
  const keys = file('keys/default/HS256');
  mkdirSync(keys, { recursive: true });
  writeFileSync(join(keys, 'default'), Buffer.from(TOKEN_SECRET).toString('base64'));
  writeFileSync(
    file('oauth2.conf'),
    `introspection_mode = local
local_validation_key_dict = fs:posix:prefix=${file('keys')}/
username_attribute = sub
tokeninfo_url =
`,
  );
  writeFileSync(
    file('users'),
    Object.entries(users)
      .map(([name, password]) => `${name.replaceAll('\\', '\\\\')}:{PLAIN}${password}\n`)
      .join(''),
  );
  const passwordDatabase = `driver = passwd-file\n  args = scheme=PLAIN username_format=%u ${file('users')}`;
  const tokenDatabase = `driver = oauth2\n  mechanisms = xoauth2 oauthbearer\n  args = ${file('oauth2.conf')}`;
  writeFileSync(
    file('dovecot.conf'),
    `base_dir = ${file('run')}
state_dir = ${file('state')}
log_path = /dev/stderr
auth_verbose = yes
auth_username_chars =
auth_username_format = %u
protocols =
listen = 127.0.0.1
import_environment = LD_LIBRARY_PATH
libexec_dir = ${needUnpacked('dovecot-core', 'usr/lib/dovecot')}
mail_plugin_dir = ${needUnpacked('dovecot-core', 'usr/lib/dovecot/modules')}
ssl = no
disable_plaintext_auth = no
auth_failure_delay = 0 secs
auth_mechanisms = ${DOVECOT_MECHANISMS.join(' ').toLowerCase()}
passdb {
  ${tokenDatabase}
}
passdb {
  ${passwordDatabase}
}
userdb {
  driver = static
  args = uid=nobody gid=nogroup home=/nonexistent
}
service auth {
  inet_listener {
    address = 127.0.0.1
    port = ${port}
  }
}
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
service stats {
  chroot =
}
`,
  );
  const libraries = needUnpacked('dovecot-core', 'usr/lib/dovecot');
  const environment = { ...process.env, LD_LIBRARY_PATH: `${libraries}:${libraries}/modules/old-stats` };
  // Dovecot has its settings read by /usr/bin/doveconf, which then becomes Dovecot again; so begin there.
  const doveconf = needUnpacked('dovecot-core', 'usr/bin/doveconf');
  const read = ['-f', 'service=master', '-c', file('dovecot.conf'), '-m', 'master', '-e'];
  const dovecot = [needUnpacked('dovecot-core', 'usr/sbin/dovecot'), '-F', '-c', file('dovecot.conf')];
  const child = await startServer(port, doveconf, [...read, ...dovecot], environment);
  return bed(port, child, folder);
}

/** A bearer token that says who it is for, signed as Dovecot is told to check it. */
export function tokenFor(name: string): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const now = Math.floor(Date.now() / 1000);
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub: name, iat: now, exp: now + 600 })}`;
  return `${signed}.${createHmac('sha256', TOKEN_SECRET).update(signed).digest('base64url')}`;
}
