// A Kerberos realm of one KDC on the loopback: a user who has a ticket already, and the key of the mail server. GSSAPI is
// the login that shows no name, so Postern has to get by without one.
import { execFileSync } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { startServer } from '../children.ts';
import { missing, needUnpacked } from '../tools.ts';
import { type Bed, bed, HOST_NAME, makeFolder } from './bed.ts';

export const missingKerberos = missing(
  [],
  ['libsasl2-modules-gssapi-mit', 'krb5-kdc', 'krb5-admin-server', 'krb5-user'],
);

const REALM = HOST_NAME.toUpperCase();

export interface Kdc extends Bed {
  /** For the mail server: where its key lies, and the plugin of Cyrus SASL. */
  readonly forServer: Readonly<Record<string, string>>;
  /** For a client: where the ticket of the user lies. */
  readonly forClient: Readonly<Record<string, string>>;
}

export async function startKdc(port: number, user: string): Promise<Kdc> {
  const folder = makeFolder();
  const file = (name: string) => join(folder, name);
  const database = needUnpacked('krb5-kdc', 'usr/lib/*/krb5/plugins/kdb/db2.so');
  writeFileSync(
    file('krb5.conf'),
    `[libdefaults]
default_realm = ${REALM}
dns_lookup_realm = false
dns_lookup_kdc = false
dns_canonicalize_hostname = false
rdns = false
[realms]
${REALM} = {
  kdc = 127.0.0.1:${port}
}
[dbmodules]
db_module_dir = ${dirname(database)}
`,
  );
  writeFileSync(
    file('kdc.conf'),
    `[kdcdefaults]
kdc_listen = 127.0.0.1:${port}
kdc_tcp_listen = 127.0.0.1:${port}
[realms]
${REALM} = {
  database_name = ${file('principal')}
  key_stash_file = ${file('stash')}
}
`,
  );
  const realm = { KRB5_CONFIG: file('krb5.conf') };
  const ticket = { ...realm, KRB5CCNAME: file('ticket') };
  const env = { ...process.env, ...ticket, KRB5_KDC_PROFILE: file('kdc.conf') };
  const call = (command: string, ...args: string[]) => execFileSync(command, args, { env, stdio: 'pipe' });
  const administer = (query: string) => call(needUnpacked('krb5-admin-server', 'usr/sbin/kadmin.local'), '-q', query);

  call(needUnpacked('krb5-kdc', 'usr/sbin/kdb5_util'), 'create', '-s', '-P', 'of the tests', '-r', REALM);
  for (const principal of [user, `smtp/${HOST_NAME}`]) administer(`addprinc -randkey ${principal}`);
  administer(`ktadd -k ${file('user.keytab')} ${user}`);
  administer(`ktadd -k ${file('server.keytab')} smtp/${HOST_NAME}`);
  chmodSync(file('server.keytab'), 0o644); // Postfix's user reads it
  const child = await startServer(port, needUnpacked('krb5-kdc', 'usr/sbin/krb5kdc'), ['-n'], env);
  call(needUnpacked('krb5-user', 'usr/bin/kinit'), '-k', '-t', file('user.keytab'), user);

  const plugin = dirname(needUnpacked('libsasl2-modules-gssapi-mit', 'usr/lib/*/sasl2/libgssapiv2.so'));
  const installed = plugin.slice(plugin.indexOf('/usr/lib/'));
  return {
    ...bed(port, child, folder),
    forServer: { ...realm, KRB5_KTNAME: file('server.keytab'), SASL_PATH: `${installed}:${plugin}` },
    forClient: ticket,
  };
}
