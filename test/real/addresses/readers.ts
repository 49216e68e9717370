// Exim and Sendmail asked where they would send an address (-bt), configured the way that relays most: percent, bang and quoted @
// are undone, source routes taken, everything relayed. Nothing is sent.
//
// The others are asked in a session: sessions.ts.

import { execFileSync, spawnSync } from 'node:child_process';
import { chownSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { groupId, userId } from '../beds/users.ts';
import { missing, needUnpacked, type ServerPackage } from '../tools.ts';
import { isOurs } from './forms.ts';

/** What became of each path, in their order: a word of `ours`, `refused`, or the host it would go to. */
export interface Reader {
  readonly name: string;
  readonly missing: string | false;
  version(): string;
  ask(paths: readonly string[]): string[];
}

const EXIM = `primary_hostname = local.example
keep_environment =
allow_domain_literals = true
allow_utf8_domains = true
percent_hack_domains = *
domainlist ours = local.example : [192.0.2.25]
begin routers
hidden:
  driver = redirect
  domains = +ours
  condition = \${if match{$local_part}{[@%]}}
  data = \${sg{$local_part}{%([^@%]*)\\$}{@\\$1}}
bang:
  driver = redirect
  domains = +ours
  condition = \${if match{$local_part}{!}}
  data = \${sg{$local_part}{^([^!]*)!(.*)\\$}{\\$2@\\$1}}
ours:
  driver = accept
  domains = +ours
  transport = ours
elsewhere:
  driver = manualroute
  route_list = * 127.0.0.1
  self = send
  transport = elsewhere
begin transports
ours:
  driver = appendfile
  file = /dev/null
elsewhere:
  driver = smtp
`;

const SENDMAIL = `divert(0)dnl
VERSIONID(\`most obliging')
OSTYPE(\`linux')dnl
define(\`confDOMAIN_NAME', \`local.example')dnl
define(\`confDONT_PROBE_INTERFACES', \`True')dnl
undefine(\`ALIAS_FILE')dnl
FEATURE(\`promiscuous_relay')dnl
FEATURE(\`accept_unresolvable_domains')dnl
FEATURE(\`loose_relay_check')dnl
FEATURE(\`nocanonify')dnl
MAILER(\`local')dnl
MAILER(\`smtp')dnl
MAILER(\`uucp')dnl
LOCAL_CONFIG
Cwlocal.example [192.0.2.25]
`;

/** Debian's. */
function versionOf(name: ServerPackage): string {
  return readFileSync(needUnpacked(name, '.version'), 'utf8').trim();
}

function inFolder<T>(use: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'postern-readers-'));
  try {
    return use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function run(command: string, args: readonly string[], input: string): string {
  const { stdout, stderr } = spawnSync(command, args, { input: Buffer.from(input, 'latin1'), maxBuffer: 2 ** 31 - 1 });
  return stdout.toString('latin1') + stderr.toString('latin1');
}

function startExim(folder: string): { binary: string; config: string } {
  const binary = join(folder, 'exim4');
  copyFileSync(needUnpacked('exim4-daemon-light', 'usr/sbin/exim4'), binary);
  const own = join(folder, 'own');
  mkdirSync(own);
  chownSync(own, userId('Debian-exim'), groupId('Debian-exim'));
  const config = join(folder, 'exim.conf');
  writeFileSync(config, `exim_path = ${binary}\nspool_directory = ${own}\nlog_file_path = ${own}/%slog\n${EXIM}`);
  return { binary, config };
}

export const eximReader: Reader = {
  name: 'Exim -bt',
  missing: process.getuid?.() === 0 ? missing([], ['exim4-daemon-light']) : 'Exim starts as root only',
  version: () => versionOf('exim4-daemon-light'),
  ask: (paths) =>
    inFolder((folder) => {
      const { binary, config } = startExim(folder);
      const answers = run(binary, ['-C', config, '-bt'], paths.map((path) => `${path}\n`).join(''))
        .split(/^> /m)
        .slice(1);
      return paths.map((_, at) => eximAnswer(answers[at] ?? ''));
    }),
};

/** `router = ours` or `router = elsewhere`; an address that it cannot read is refused. */
function eximAnswer(answer: string): string {
  const routers = [...answer.matchAll(/router = (\w+)/g)].map(([, router]) => router);
  if (routers.includes('elsewhere')) return answer.split('\n')[0]?.trim() ?? '';
  return routers.includes('ours') ? 'ours' : 'refused';
}

export const sendmailReader: Reader = {
  name: 'Sendmail -bt',
  missing:
    process.getuid?.() === 0 && spawnSync('unshare', ['--uts', 'true']).status === 0
      ? missing(['m4'], ['sendmail-bin', 'sendmail-cf'])
      : 'Sendmail needs root and unshare --uts',
  version: () => versionOf('sendmail-bin'),
  ask: (paths) =>
    inFolder((folder) => {
      const said = sendmail(folder, paths.map((path) => `/parse <${path}>\n`).join(''));
      const answers = said.split(/^> /m).slice(1);
      return paths.map((_, at) => sendmailAnswer(answers[at] ?? ''));
    }),
};

/** A host name without a dot makes it sleep for a minute: hence one of its own. */
function sendmail(folder: string, input: string): string {
  const sources = needUnpacked('sendmail-cf', 'usr/share/sendmail/cf');
  const macros = join(folder, 'sendmail.mc');
  writeFileSync(macros, SENDMAIL);
  const made = execFileSync('m4', [`-D_CF_DIR_=${sources}/`, join(sources, 'm4/cf.m4'), macros], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const services = join(folder, 'service.switch');
  writeFileSync(services, 'hosts files\naliases files\npasswd files\n', { mode: 0o600 });
  const config = join(folder, 'sendmail.cf');
  writeFileSync(config, `${made}O ServiceSwitchFile=${services}\n`, { mode: 0o600 });
  const binary = needUnpacked('sendmail-bin', 'usr/lib*/*/sendmail');
  const script = 'hostname local.example && exec "$0" "$@"';
  return run('unshare', ['--uts', 'sh', '-c', script, binary, '-C', config, '-bt'], input);
}

/** `mailer local, user u`, or `mailer esmtp, host foreign.example., user u@foreign.example`. */
function sendmailAnswer(answer: string): string {
  const [, mailer = '', rest = ''] = /^mailer (\S+), (.*)$/m.exec(answer) ?? [];
  if (mailer === '' || mailer === '*error*') return 'refused';
  return mailer === 'local' ? 'ours' : `${mailer} ${rest}`;
}

/** A host that is not ours, or no host where one would be. Programs and files are the server's own affair. */
export function isElsewhere(answer: string): boolean {
  if (answer === 'ours' || answer === 'refused') return false;
  const host = /^esmtp host (\S+),/.exec(answer)?.[1] ?? /@([^@\s]*)(?:\s|$)/.exec(answer)?.[1];
  return host === undefined ? !/^(?:prog|\*file\*|\*include\*) user /.test(answer) : !isOurs(host);
}
