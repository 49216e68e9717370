// Postfix from its unpacked package: every path that its own defaults would place on the system is named here. A test
// that needs it other than plainly open adds lines to its main.cf.
import { chmodSync, chownSync, copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startServer } from '../children.ts';
import { needUnpacked, postfixEnvironment } from '../tools.ts';
import {
  type Bed,
  bed,
  HOST_NAME,
  type MailServer,
  makeFolder,
  missingServer,
  NO_DATA,
  NO_MESSAGE,
  NOBODY,
} from './bed.ts';
import { groupId, userId } from './users.ts';

const OWN_QUEUES = [
  'active',
  'bounce',
  'corrupt',
  'defer',
  'deferred',
  'flush',
  'hold',
  'incoming',
  'private',
  'saved',
];

export const postfix: MailServer = {
  name: 'Postfix',
  missing: missingServer('postfix'),
  start: (smartHost, port) => startPostfix(smartHost, port),
};

export interface PostfixSettings {
  /** Lines of main.cf; what they name again counts. */
  readonly main?: readonly string[];
  /** More ports of the same server, each with lines that count there alone: a server takes two seconds to start. */
  readonly ports?: ReadonlyMap<number, readonly string[]>;
  /** For beds/cyrus.ts. */
  readonly cyrus?: string;
  /** Variables that its processes see. */
  readonly environment?: Readonly<Record<string, string>>;
}

export async function startPostfix(smartHost: number, port: number, settings: PostfixSettings = {}): Promise<Bed> {
  const folder = makeFolder();
  const config = join(folder, 'etc');
  const queue = join(folder, 'queue');
  const data = join(folder, 'data');
  const log = join(folder, 'log');
  for (const path of [config, queue, data]) mkdirSync(path);
  for (const name of [...OWN_QUEUES, 'trace']) makeOwned(join(queue, name), 0o700);
  makeOwned(join(queue, 'maildrop'), 0o730, groupId('postdrop'));
  makeOwned(join(queue, 'public'), 0o710, groupId('postdrop'));
  mkdirSync(join(queue, 'pid'));
  chownSync(data, userId('postfix'), groupId('postfix'));
  copyFileSync(needUnpacked('postfix', 'etc/postfix/postfix-files'), join(config, 'postfix-files'));
  mkdirSync(join(config, 'sasl'));
  writeFileSync(join(config, 'sasl/smtpd.conf'), settings.cyrus ?? '');

  const programs = needUnpacked('postfix', 'usr/lib/postfix/sbin');
  writeFileSync(
    join(config, 'main.cf'),
    `compatibility_level = 3.6
config_directory = ${config}
meta_directory = ${config}
queue_directory = ${queue}
data_directory = ${data}
daemon_directory = ${programs}
command_directory = ${needUnpacked('postfix', 'usr/sbin')}
shlib_directory = ${needUnpacked('postfix', 'usr/lib/postfix')}
import_environment = ${['MAIL_CONFIG', 'LD_LIBRARY_PATH', ...Object.keys(settings.environment ?? {})].join(' ')}
mail_owner = postfix
setgid_group = postdrop
maillog_file_prefixes = ${folder}
maillog_file = ${log}
myhostname = ${HOST_NAME}
mydestination =
local_recipient_maps =
alias_maps =
inet_protocols = ipv4
mynetworks = 0.0.0.0/0
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
smtpd_recipient_restrictions = check_recipient_access inline:{{${NOBODY} = 550 nobody here}}
smtpd_data_restrictions = check_sender_access inline:{{${NO_DATA} = 451 no data now}}
smtpd_end_of_data_restrictions = check_sender_access inline:{{${NO_MESSAGE} = 554 not this one}}
smtpd_peername_lookup = no
allow_percent_hack = yes
allow_untrusted_routing = yes
swap_bangpath = yes
resolve_dequoted_address = yes
local_header_rewrite_clients =
relayhost = [127.0.0.1]:${smartHost}
smtp_dns_support_level = disabled
smtp_line_length_limit = 0
message_size_limit = 0
${(settings.main ?? []).join('\n')}
`,
  );
  writeFileSync(
    join(config, 'master.cf'),
    `127.0.0.1:${port} inet n - n - - smtpd
${[...(settings.ports ?? [])].map(formatPort).join('')}cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
postlog unix-dgram n - n - 1 postlogd
`,
  );
  const environment = { ...postfixEnvironment(), ...settings.environment };
  const child = await startServer(port, join(programs, 'master'), ['-c', config, '-d'], environment);
  return bed(port, child, folder, () => child.output() + (existsSync(log) ? readFileSync(log, 'latin1') : ''));
}

function formatPort([port, lines]: [number, readonly string[]]): string {
  return `127.0.0.1:${port} inet n - n - - smtpd\n${lines.map((line) => `  -o { ${line} }\n`).join('')}`;
}

function makeOwned(path: string, mode: number, group = groupId('postfix')): void {
  mkdirSync(path);
  chownSync(path, userId('postfix'), group);
  chmodSync(path, mode);
}
