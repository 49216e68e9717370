// Which tools and servers this machine has. A test asks before it runs, and skips with the reason when one is missing:
// never silently, and never by failing on a machine that cannot have it.
//
// Installs nothing: that is setup.sh, which `npm test` runs first.
import { existsSync, globSync } from 'node:fs';
import { delimiter, join } from 'node:path';

const CACHE = process.env.POSTERN_CACHE ?? join(import.meta.dirname, '../../.cache');

/** Debian packages that setup.sh unpacks side by side. */
export type ServerPackage =
  | 'postfix'
  | 'exim4-daemon-light'
  | 'exim4-daemon-heavy'
  | 'opensmtpd'
  | 'sendmail-bin'
  | 'sendmail-cf'
  | 'dovecot-core'
  | 'sasl2-bin'
  | 'libsasl2-modules-gssapi-mit'
  | 'krb5-kdc'
  | 'krb5-admin-server'
  | 'krb5-user'
  | 'redis-tools'
  | 'prometheus'
  | 'fail2ban'
  | 'python3-systemd'
  | 'systemd-journal-remote'
  | 'courier-mta'
  | 'courier-base'
  | 'courier-authlib'
  | 'qpsmtpd'
  | 'go-smtp'
  | 'haraka'
  | 'helm'
  | 'chromium-headless-shell'
  | 'chromium-common';

/** The path of one file of an unpacked package; `pattern` may be a glob. Null when it is not there. */
export function unpacked(name: ServerPackage, pattern: string): string | null {
  return globSync(join(CACHE, 'servers', name, pattern))[0] ?? null;
}

/** The same, where a test has asked `missing` before. */
export function needUnpacked(name: ServerPackage, pattern: string): string {
  const path = unpacked(name, pattern);
  if (path === null) throw new Error(`${pattern} of the package ${name} is not in ${CACHE}: run test/real/setup.sh`);
  return path;
}

/** The environment in which Postfix's programs find their libraries. */
export function postfixEnvironment(): NodeJS.ProcessEnv {
  return { ...process.env, LD_LIBRARY_PATH: needUnpacked('postfix', 'usr/lib/postfix') };
}

function onPath(command: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => existsSync(join(folder, command)));
}

/** The reason to skip when one of these is not there, else false: fit for node:test's `skip`. */
export function missing(commands: readonly string[], packages: readonly ServerPackage[] = []): string | false {
  const lacking = [
    ...commands.filter((command) => !onPath(command)),
    ...packages.filter((name) => unpacked(name, '.version') === null).map((name) => `package ${name}`),
  ];
  return lacking.length === 0 ? false : `not here: ${lacking.join(', ')} (test/real/setup.sh installs it)`;
}
