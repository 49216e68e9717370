// OpenSMTPD from its unpacked package. Its spool, its empty root and its control socket are compiled in, so it gets a
// mount namespace in which they lie on memory file systems of its own; the machine's are not touched.
import { writeFileSync } from 'node:fs';
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

export const opensmtpd: MailServer = {
  name: 'OpenSMTPD',
  missing: missingServer('opensmtpd', '--mount'),
  start: (smartHost, port) => startOpensmtpd(smartHost, port),
};

/** `top` are lines of smtpd.conf, `listen` more words of its listener. */
export async function startOpensmtpd(
  smartHost: number,
  port: number,
  top: readonly string[] = [],
  listen = '',
): Promise<Bed> {
  const folder = makeFolder();
  const config = join(folder, 'smtpd.conf');
  writeFileSync(
    config,
    `table nobody { "${NOBODY}" }
table nodata { "${NO_DATA}" }
table nomessage { "${NO_MESSAGE}" }
filter nobody phase rcpt-to match rcpt-to <nobody> reject "550 nobody here"
filter nodata phase data match mail-from <nodata> reject "451 no data now"
filter nomessage phase commit match mail-from <nomessage> reject "554 not this one"
filter all chain { nobody, nodata, nomessage }
${top.join('\n')}
listen on 127.0.0.1 port ${port} hostname ${HOST_NAME} filter all ${listen}
smtp max-message-size 1G
action "onward" relay host smtp://127.0.0.1:${smartHost}
match from any for any action "onward"
`,
  );
  const script = `set -e
for path in /var/lib /var/spool /run; do mount -t tmpfs tmpfs "$path"; done
mkdir -p /var/lib/opensmtpd/empty
mkdir -m 711 /var/spool/smtpd
exec "$0" -d -f "$1"`;
  const binary = needUnpacked('opensmtpd', 'usr/sbin/smtpd');
  const child = await startServer(port, 'unshare', ['--mount', 'sh', '-c', script, binary, config]);
  return bed(port, child, folder);
}
