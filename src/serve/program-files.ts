// The files that the program carries with it: where the source has them, beside the one script of dist/ (npm run build), or inside
// the one executable (npm run package).
//
// Nothing else may look for a file of ours: in the one executable there is none beside it.

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { getAsset, isSea } from 'node:sea';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';

/** Names as they are inside; where each is otherwise. A package's own file has that package in front. */
export const PROGRAM_FILES = {
  'browser.css': '../status/browser.css',
  'browser.js': '../status/browser.js',
  'uplot.css': 'uplot:uPlot.min.css',
  'uplot.js': 'uplot:uPlot.iife.min.js',
} as const;

export type ProgramFile = keyof typeof PROGRAM_FILES;

/** worker.ts with all that it imports, as the builds call it. */
export const WORKER_BUNDLED = 'worker.cjs';

const isBundled = !import.meta.url.endsWith('.ts');

export async function readProgramFile(name: ProgramFile): Promise<string> {
  if (isSea()) return getAsset(name, 'utf8');
  return readFile(isBundled ? beside(name) : placeOf(PROGRAM_FILES[name]), 'utf8');
}

/** In the source. */
export function placeOf(where: string): string {
  const [name = '', inPackage] = where.split(':');
  if (inPackage === undefined) return beside(name);
  return join(dirname(createRequire(import.meta.url).resolve(name)), inPackage);
}

/** A thread that runs worker.ts. */
export function startWorker(number: number): Worker {
  const name = `worker ${number}`;
  if (isSea()) return new Worker(getAsset(WORKER_BUNDLED, 'utf8'), { name, eval: true });
  return new Worker(beside(isBundled ? WORKER_BUNDLED : 'worker.ts'), { name });
}

/** What runs this program once more: the file, and what stands before its arguments. */
export function programAgain(): [file: string, ...args: string[]] {
  if (isSea()) return [process.execPath];
  return [process.execPath, beside(isBundled ? 'main.js' : '../main.ts')];
}

function beside(name: string): string {
  return fileURLToPath(new URL(name, import.meta.url));
}
