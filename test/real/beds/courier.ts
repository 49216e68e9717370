// Courier from its unpacked packages. Where its programs, settings and queue lie is compiled in, so it gets a mount
// namespace in which they are laid over /usr and /etc, and memory file systems where it writes; the machine's are not
// touched. Its log goes to syslog, of which there is none: log() is empty.
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startServer } from '../children.ts';
import { missing, needUnpacked } from '../tools.ts';
import { type Bed, bed, HOST_NAME, type MailServer, makeFolder, missingServer } from './bed.ts';

const PACKAGES = ['courier-mta', 'courier-base', 'courier-authlib'] as const;

export const courier: MailServer = {
  name: 'Courier',
  missing: missingServer('courier-mta', '--mount') || missing([], PACKAGES),
  start: (smartHost, port) => startCourier(smartHost, port),
};

/** `perAddress` is MAXPERIP, of which Debian ships 5: how many connections one address may have. */
export async function startCourier(smartHost: number, port: number, perAddress = 1000): Promise<Bed> {
  const folder = makeFolder();
  const settings = join(folder, 'etc/courier');
  mkdirSync(join(folder, 'etc'));
  cpSync(needUnpacked('courier-mta', 'etc/courier'), settings, { recursive: true });
  const files = {
    me: HOST_NAME,
    locals: 'nowhere.invalid', // or it would deliver its own domain itself
    defaultdomain: HOST_NAME,
    esmtproutes: `:[127.0.0.1],${smartHost}`,
    sizelimit: '0',
  };
  for (const [name, line] of Object.entries(files)) writeFileSync(join(settings, name), `${line}\n`);
  const over = PACKAGES.map((name) => needUnpacked(name, 'usr')).join(':');
  // RELAYCLIENT, even empty, makes it relay for everyone; TARPIT would make it wait seconds behind each refusal.
  const script = `set -e
mount -t overlay overlay -o "lowerdir=$1:/usr" /usr
mount -t overlay overlay -o "lowerdir=$2:/etc" /etc
mount -t tmpfs tmpfs /var/lib
mount -t tmpfs tmpfs /run
cp -r "$3" /var/lib/courier
mkdir -p /run/courier
chown -R courier:courier /var/lib/courier /run/courier
cd /usr
set -a
. /etc/courier/courierd
/usr/lib/courier/courier/courierd &
. /etc/courier/esmtpd
RELAYCLIENT= TARPIT=0 BOFHCHECKDNS=0
exec /usr/sbin/couriertcpd -noidentlookup -nodnslookup -user=courier -group=courier -address=127.0.0.1 \\
  -maxprocs=1000 -maxperc=1000 -maxperip=${perAddress} ${port} /usr/sbin/courieresmtpd`;
  const own = needUnpacked('courier-mta', 'var/lib/courier');
  const child = await startServer(port, 'unshare', [
    '--mount',
    'sh',
    '-c',
    script,
    'sh',
    over,
    join(folder, 'etc'),
    own,
  ]);
  return bed(port, child, folder);
}
