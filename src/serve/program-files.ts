// The files that the program carries with it: beside the source, or, where all of it is one executable (npm run package), inside.
//
// Nothing else may look for a file of ours: in the one executable there is none beside it.

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, extname, join } from 'node:path';
import { getAsset, isSea } from 'node:sea';
import { Worker } from 'node:worker_threads';

/** Names as they are inside; where each is otherwise. A package's own file has that package in front. */
export const PROGRAM_FILES = {
  'browser.css': '../status/browser.css',
  'browser.js': '../status/browser.js',
  'uplot.css': 'uplot:uPlot.min.css',
  'uplot.js': 'uplot:uPlot.iife.min.js',
} as const;

export type ProgramFile = keyof typeof PROGRAM_FILES;

/** What the build puts in beside them: worker.ts, with all that it imports. */
export const WORKER_INSIDE = 'worker.cjs';

export async function readProgramFile(name: ProgramFile): Promise<string> {
  return isSea() ? getAsset(name, 'utf8') : readFile(placeOf(PROGRAM_FILES[name]), 'utf8');
}

function placeOf(where: string): URL | string {
  const [name = '', inPackage] = where.split(':');
  if (inPackage === undefined) return new URL(name, import.meta.url);
  return join(dirname(createRequire(import.meta.url).resolve(name)), inPackage);
}

/** A thread that runs worker.ts. */
export function startWorker(number: number): Worker {
  const name = `worker ${number}`;
  if (isSea()) return new Worker(getAsset(WORKER_INSIDE, 'utf8'), { name, eval: true });
  return new Worker(new URL(`./worker${extname(import.meta.url)}`, import.meta.url), { name });
}
