// Which version of each bed's server is at hand, for the tables that are kept.

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { needUnpacked, type ServerPackage } from './tools.ts';

const PACKAGES: Readonly<Record<string, ServerPackage>> = {
  Postfix: 'postfix',
  Exim: 'exim4-daemon-light',
  OpenSMTPD: 'opensmtpd',
  Sendmail: 'sendmail-bin',
  Courier: 'courier-mta',
  Haraka: 'haraka',
  qpsmtpd: 'qpsmtpd',
};
/** Debian packages that are installed. */
const INSTALLED: Readonly<Record<string, string>> = {
  Twisted: 'python3-twisted',
  aiosmtpd: 'python3-aiosmtpd',
  'Net::Server::Mail': 'libnet-server-mail-perl',
};

export function versionOfServer(name: string): string {
  const unpacked = PACKAGES[name];
  if (unpacked !== undefined) return readFileSync(needUnpacked(unpacked, '.version'), 'utf8').trim();
  if (name === 'smtp-server') return createRequire(import.meta.url)('smtp-server/package.json').version as string;
  const installed = INSTALLED[name];
  if (installed === undefined) return "Debian's golang-github-emersion-go-smtp-dev";
  return /^Version: (.*)$/m.exec(spawnSync('dpkg-query', ['-s', installed]).stdout.toString())?.[1] ?? '';
}
