// The programs of others that the bench needs: Postfix's smtp-source and smtp-sink, and HAProxy. Found, never installed.

import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

export interface Tool {
  readonly path: string;
  readonly env: NodeJS.ProcessEnv;
}

const root = join(import.meta.dirname, '../..');
/** Where test/real/setup.sh unpacks Debian's postfix package. */
const unpacked = join(process.env.POSTERN_CACHE ?? join(root, '.cache'), 'servers/postfix/usr');

export class MissingTool extends Error {}

export function findTool(name: 'smtp-source' | 'smtp-sink' | 'haproxy'): Tool {
  const own = join(unpacked, 'sbin', name);
  if (existsSync(own)) {
    return { path: own, env: { ...process.env, LD_LIBRARY_PATH: join(unpacked, 'lib/postfix') } };
  }
  for (const folder of [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin']) {
    const path = join(folder, name);
    if (existsSync(path)) return { path, env: process.env };
  }
  throw new MissingTool(
    name === 'haproxy'
      ? 'haproxy is missing: apt-get install haproxy'
      : `${name} is missing: sh test/real/setup.sh unpacks Debian's postfix package, which holds it`,
  );
}
