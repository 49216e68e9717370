// The files that a configuration was read from: what they are worth as one version, and when they change.

import { createHash } from 'node:crypto';
import { existsSync, type FSWatcher, readFileSync, watch } from 'node:fs';
import { dirname, resolve } from 'node:path';

const SETTLE = 200; // ms: an editor or a config map changes a file in several steps

/** A short digest of what the files hold and `more`; two configurations with the same one decide alike. */
export function versionOf(files: readonly string[], more: unknown): string {
  const hash = createHash('sha256').update(JSON.stringify(more));
  for (const file of files) hash.update('\0').update(readOrNothing(file));
  return hash.digest('hex').slice(0, 12);
}

function readOrNothing(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch {
    return Buffer.alloc(0);
  }
}

/** Calls back when one of the files may have changed; their folders are watched, since files are replaced as often as
 * they are written. The function returned ends it. */
export function watchFiles(files: readonly string[], changed: () => void): () => void {
  let timer: NodeJS.Timeout | undefined;
  const touched = (): void => {
    clearTimeout(timer);
    timer = setTimeout(changed, SETTLE);
  };
  const folders = new Set(files.map((file) => dirname(resolve(file))));
  const there = [...folders].filter((folder) => existsSync(folder));
  const watchers: FSWatcher[] = there.map((folder) => watch(folder, { persistent: false }, touched));
  for (const watcher of watchers) watcher.on('error', () => watcher.close());
  return () => {
    clearTimeout(timer);
    for (const watcher of watchers) watcher.close();
  };
}
