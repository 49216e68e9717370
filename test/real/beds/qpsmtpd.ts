// qpsmtpd from its unpacked package, which serves with a process for each client. A plugin of ours lets everyone relay and
// refuses what every bed refuses; its own smtp-forward hands the rest to the smart host while the client waits.
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
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

const PLUGIN = `
sub hook_rcpt {
    my ($self, $transaction, $recipient) = @_;
    return (DENY, 'nobody here') if $recipient->address eq '${NOBODY}';
    return OK;
}
sub hook_data {
    my ($self, $transaction) = @_;
    return (DENYSOFT, 'no data now') if $transaction->sender->address eq '${NO_DATA}';
    return DECLINED;
}
sub hook_data_post {
    my ($self, $transaction) = @_;
    return (DENY, 'not this one') if $transaction->sender->address eq '${NO_MESSAGE}';
    return DECLINED;
}
`;

export const qpsmtpd: MailServer = {
  name: 'qpsmtpd',
  missing: missingServer('qpsmtpd'),
  start: (smartHost, port) => startQpsmtpd(smartHost, port),
};

/** `more` are lines of its file `plugins`. */
export async function startQpsmtpd(smartHost: number, port: number, more: readonly string[] = []): Promise<Bed> {
  const folder = makeFolder();
  const config = join(folder, 'config');
  const plugins = join(folder, 'plugins');
  const spool = join(folder, 'spool');
  for (const path of [config, plugins, spool]) mkdirSync(path);
  chmodSync(spool, 0o777); // it becomes nobody
  writeFileSync(join(plugins, 'anyone'), PLUGIN);
  const files = {
    me: HOST_NAME,
    plugins: `${[...more, 'anyone'].join('\n')}\nqueue/smtp-forward 127.0.0.1 ${smartHost}`,
    plugin_dirs: `${plugins}\n${needUnpacked('qpsmtpd', 'usr/share/qpsmtpd/plugins')}`,
    spool_dir: spool,
    loglevel: '6',
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(config, name), `${text}\n`);
  const environment = { ...process.env, QPSMTPD_CONFIG: config, TMPDIR: spool };
  const modules = ['-T', `-I${needUnpacked('qpsmtpd', 'usr/share/perl5')}`];
  const program = needUnpacked('qpsmtpd', 'usr/bin/qpsmtpd-forkserver');
  const options = ['-l', '127.0.0.1', '-p', `${port}`, '-c', '100', '-m', '100', '-u', 'nobody', '--no-rdns'];
  const child = await startServer(port, '/usr/bin/perl', [...modules, program, ...options], environment);
  return bed(port, child, folder);
}
