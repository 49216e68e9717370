// The programs of others that the bench needs, found and never installed (install.ts does that).

import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { haraka } from '../../test/real/beds/haraka.ts';
import { postfix } from '../../test/real/beds/postfix.ts';

export interface Tool {
  readonly path: string;
  readonly env: NodeJS.ProcessEnv;
}

/** Where test/real/setup.sh unpacks Debian's packages. */
const servers = join(process.env.POSTERN_CACHE ?? join(import.meta.dirname, '../../.cache'), 'servers');
const ofPostfix = join(servers, 'postfix/usr');
const INSTALL = 'npm run bench -- --install has it';

export class MissingTool extends Error {}

export function findTool(name: 'smtp-source' | 'smtp-sink' | 'haproxy'): Tool {
  const own = join(ofPostfix, 'sbin', name);
  if (existsSync(own)) {
    return { path: own, env: { ...process.env, LD_LIBRARY_PATH: join(ofPostfix, 'lib/postfix') } };
  }
  const path = onPath(name);
  if (path === undefined) throw new MissingTool(`${name} is missing: ${INSTALL}`);
  return { path, env: process.env };
}

/** nginx and its module for mail. */
export function findNginx(): { readonly path: string; readonly module: string } {
  const unpacked = join(servers, 'nginx/usr/sbin/nginx');
  const path = existsSync(unpacked) ? unpacked : onPath('nginx');
  const [module] = [join(servers, 'libnginx-mod-mail'), '/']
    .map((root) => join(root, 'usr/lib/nginx/modules/ngx_mail_module.so'))
    .filter((file) => existsSync(file));
  if (path === undefined || module === undefined) throw new MissingTool(`nginx is missing: ${INSTALL}`);
  return { path, module };
}

/** The reason why this proxy cannot be measured here, else null. */
export function whyNot(name: string): string | null {
  try {
    if (name === 'haproxy') findTool('haproxy');
    if (name === 'nginx') findNginx();
    if (name === 'postfix' && postfix.missing !== false) return `postfix is left out: ${postfix.missing}`;
    if (name === 'haraka' && haraka.missing !== false) return `haraka is left out: ${haraka.missing}`;
    return null;
  } catch (error) {
    if (!(error instanceof MissingTool)) throw error;
    return error.message;
  }
}

function onPath(name: string): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'];
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}
