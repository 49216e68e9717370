// Haraka, which setup.sh had from npm. A plugin of ours lets everyone relay and refuses what every bed refuses; its own
// smtp_forward hands the rest to the smart host while the client waits.
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startServer } from '../children.ts';
import { missing, needUnpacked } from '../tools.ts';
import { type Bed, bed, HOST_NAME, type MailServer, makeFolder, NO_DATA, NO_MESSAGE, NOBODY } from './bed.ts';

const PLUGIN = `exports.hook_rcpt = function (next, connection, [address]) {
  if (address.address === '${NOBODY}') return next(DENY, 'nobody here');
  connection.relaying = true;
  next(OK);
};
exports.hook_data = function (next, connection) {
  return connection.transaction.mail_from.address === '${NO_DATA}' ? next(DENYSOFT, 'no data now') : next();
};
exports.hook_data_post = function (next, connection) {
  return connection.transaction.mail_from.address === '${NO_MESSAGE}' ? next(DENY, 'not this one') : next();
};
`;

export const haraka: MailServer = {
  name: 'Haraka',
  missing: missing([], ['haraka']),
  async start(smartHost: number, port: number): Promise<Bed> {
    const folder = makeFolder();
    for (const name of ['plugins', 'queue']) mkdirSync(join(folder, name));
    cpSync(needUnpacked('haraka', 'node_modules/Haraka/config'), join(folder, 'config'), { recursive: true });
    // A file of its own with less in it than the shipped one makes Haraka end at the first client.
    const shipped = readFileSync(join(folder, 'config/connection.ini'), 'utf8');
    const files = {
      // It breaks longer lines, and 998 octets are allowed (RFC 5321 §4.5.3.1.6).
      'config/connection.ini': shipped.replace(/^data_line_length=.*$/m, 'data_line_length=100000'),
      'config/smtp.ini': `listen=127.0.0.1:${port}\nnodes=0\n`,
      'config/smtp_forward.ini': `host=127.0.0.1\nport=${smartHost}\nenable_outbound=true\n`,
      'config/me': HOST_NAME,
      'config/plugins': 'anyone\nqueue/smtp_forward\n',
      'plugins/anyone.js': PLUGIN,
      'package.json': '{ "type": "commonjs" }',
    };
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    const program = needUnpacked('haraka', 'node_modules/Haraka/bin/haraka');
    const child = await startServer(port, process.execPath, [program, '-c', folder]);
    return bed(port, child, folder);
  },
};
