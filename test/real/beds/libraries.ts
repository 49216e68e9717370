// Servers that are a library and a few lines around it, as applications run them. Each of these programs refuses what
// every bed refuses, as far as the library asks; what it takes goes to the smart host while the client waits.
//
// None needs to be root.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { startServer } from '../children.ts';
import { missing, needUnpacked } from '../tools.ts';
import { bed, type MailServer, makeFolder } from './bed.ts';

/** Debian's own, which finds Debian's modules; the first on the path may be another. */
const PYTHON = '/usr/bin/python3';

export const twisted: MailServer = library('Twisted', PYTHON, 'twisted_server.py', ['-c', lookFor('twisted')]);

export const aiosmtpd: MailServer = library('aiosmtpd', PYTHON, 'aiosmtpd_server.py', ['-c', lookFor('aiosmtpd')]);

export const netServerMail: MailServer = library('Net::Server::Mail', '/usr/bin/perl', 'net-server-mail.pl', [
  '-MNet::Server::Mail::ESMTP',
  '-e1',
]);

export const smtpServer: MailServer = {
  name: 'smtp-server',
  missing: false, // a dependency of the tests
  start: (smartHost, port) => begin(process.execPath, [join(import.meta.dirname, 'smtp-server.ts')], smartHost, port),
};

export const goSmtp: MailServer = {
  name: 'go-smtp',
  missing: missing([], ['go-smtp']),
  start: (smartHost, port) => begin(needUnpacked('go-smtp', 'go-smtp'), [], smartHost, port),
};

/** Without loading it: that takes a third of a second. */
function lookFor(module: string): string {
  return `import importlib.util, sys; sys.exit(importlib.util.find_spec('${module}') is None)`;
}

/** `look` makes the command fail where the library is not there. */
function library(name: string, command: string, program: string, look: readonly string[]): MailServer {
  const there = spawnSync(command, look).status === 0;
  return {
    name,
    missing: there ? false : `not here: ${name} (test/real/setup.sh installs it)`,
    start: (smartHost, port) => begin(command, [join(import.meta.dirname, program)], smartHost, port),
  };
}

async function begin(command: string, args: readonly string[], smartHost: number, port: number) {
  const child = await startServer(port, command, [...args, `${port}`, `${smartHost}`]);
  return bed(port, child, makeFolder());
}
