// The files that a configuration was read from: what they are worth as one version, and when they change.

import { createHash } from 'node:crypto';
import { type FSWatcher, watch } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Loaded, World } from '../config/load.ts';
import { inSlices } from '../config/slices.ts';
import type { Steps } from '../policy/steps.ts';

const SETTLE = 200; // ms: an editor or a config map changes a file in several steps

/** A short digest of what the files held, or of the policy where flags and variables said all; two configurations with the
 * same one decide alike. */
export function versionOf({ files, document, world }: Loaded): Promise<string> {
  return inSlices(digest(files, document, world.texts));
}

const PIECE = 1 << 18; // octets

function* digest(files: readonly string[], document: unknown, texts: World['texts']): Steps<string> {
  const hash = createHash('sha256').update(files.length === 0 ? JSON.stringify(document) : '');
  for (const file of files) {
    hash.update('\0');
    const read = texts.get(file);
    const octets = read !== undefined && 'octets' in read ? read.octets : new Uint8Array();
    for (let at = 0; at < octets.length; at += PIECE) {
      hash.update(octets.subarray(at, at + PIECE));
      yield;
    }
  }
  return hash.digest('hex').slice(0, 12);
}

/** Calls back when one of the files may have changed; their folders are watched, since files are replaced as often as
 * they are written. `lost`: of a folder that cannot be watched, from the start or any more (the system has a limit of them). The
 * function returned ends it. */
export function watchFiles(
  files: readonly string[],
  changed: () => void,
  lost: (folder: string, why: string) => void,
): () => void {
  let timer: NodeJS.Timeout | undefined;
  const touched = (): void => {
    clearTimeout(timer);
    timer = setTimeout(changed, SETTLE);
  };
  const watchers: FSWatcher[] = [];
  for (const folder of new Set(files.map((file) => dirname(resolve(file))))) {
    try {
      const watcher = watch(folder, { persistent: false }, touched);
      watchers.push(watcher);
      watcher.on('error', (error) => {
        watcher.close();
        lost(folder, error.message);
      });
    } catch (error) {
      lost(folder, (error as Error).message);
    }
  }
  return () => {
    clearTimeout(timer);
    for (const watcher of watchers) watcher.close();
  };
}
