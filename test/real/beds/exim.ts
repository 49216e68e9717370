// Exim from its unpacked package. The binary is copied into the bed's folder: Exim runs itself again as its own user,
// who may not be allowed to walk down to the place where the repository lies.
import { chownSync, copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startServer } from '../children.ts';
import { needUnpacked } from '../tools.ts';
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

export const exim: MailServer = {
  name: 'Exim',
  missing: missingServer('exim4-daemon-light'),
  start: (smartHost, port) => startExim(smartHost, port),
};

export interface EximSettings {
  /** The heavy one is built with more, the PROXY protocol among it. */
  readonly package?: 'exim4-daemon-light' | 'exim4-daemon-heavy';
  /** Lines of the main section. */
  readonly main?: readonly string[];
  /** Lines of the transport to the smart host. */
  readonly transport?: readonly string[];
}

export async function startExim(smartHost: number, port: number, settings: EximSettings = {}): Promise<Bed> {
  const folder = makeFolder();
  const binary = join(folder, 'exim4');
  copyFileSync(needUnpacked(settings.package ?? 'exim4-daemon-light', 'usr/sbin/exim4'), binary);
  const own = join(folder, 'own');
  mkdirSync(own);
  chownSync(own, userId('Debian-exim'), groupId('Debian-exim'));
  const config = join(folder, 'exim.conf');
  // A name that stands twice in the main section is an error of Exim's, so TLS is off only where nobody asked for it.
  const main = settings.main ?? ['tls_advertise_hosts ='];
  writeFileSync(
    config,
    `exim_path = ${binary}
primary_hostname = ${HOST_NAME}
spool_directory = ${own}
log_file_path = ${own}/%slog
pid_file_path = ${own}/pid
daemon_smtp_ports = ${port}
local_interfaces = 127.0.0.1
host_lookup =
rfc1413_query_timeout = 0s
keep_environment =
allow_domain_literals = true
chunking_advertise_hosts = *
smtp_accept_max = 0
smtp_max_synprot_errors = 1000
smtp_accept_max_nonmail = 1000
message_size_limit = 0
acl_smtp_rcpt = recipient
acl_smtp_predata = data
acl_smtp_data = message
${main.join('\n')}
begin acl
recipient:
  deny
    recipients = ${NOBODY}
    message = nobody here
  accept
data:
  defer
    senders = ${NO_DATA}
    message = no data now
  accept
message:
  deny
    senders = ${NO_MESSAGE}
    message = not this one
  accept
begin routers
onward:
  driver = manualroute
  route_list = * 127.0.0.1
  self = send
  transport = onward
begin transports
onward:
  driver = smtp
  port = ${smartHost}
  allow_localhost
  hosts_try_fastopen =
  message_linelength_limit = 10000000
${(settings.transport ?? []).map((line) => `  ${line}\n`).join('')}`,
  );
  const child = await startServer(port, binary, ['-C', config, '-bdf']);
  const logs = ['mainlog', 'rejectlog', 'paniclog'].map((name) => join(own, name));
  const written = () =>
    logs
      .filter((log) => existsSync(log))
      .map((log) => readFileSync(log, 'latin1'))
      .join('');
  return bed(port, child, folder, () => child.output() + written());
}
