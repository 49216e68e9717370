// Gets the peers of the bench: HAProxy, Postfix, Haraka and Redis as the tests have them (test/real/setup.sh), and nginx, which
// only the bench wants. As root on Debian or Ubuntu; elsewhere it says what is missing and changes nothing.

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { whyNot } from './tools.ts';

const SETUP = join(import.meta.dirname, '../../test/real/setup.sh');

/** Whether all are here now; what is not, is told. */
export function install(): boolean {
  const env = { ...process.env, POSTERN_PACKAGES: 'nginx libnginx-mod-mail' };
  spawnSync('sh', [SETUP], { env, stdio: 'inherit' });
  const lacking = ['haproxy', 'nginx', 'postfix', 'haraka'].map(whyNot).filter((why) => why !== null);
  for (const why of lacking) console.error(`bench: ${why}`);
  if (lacking.length > 0 && process.getuid?.() !== 0)
    console.error('bench: apt wants root: sudo npm run bench -- --install');
  if (lacking.length === 0) console.log('bench: all peers are here');
  return lacking.length === 0;
}
