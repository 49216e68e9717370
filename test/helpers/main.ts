// The program that tests start: its source, or POSTERN_MAIN: dist/, which is what people run, in npm test.

import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { WORKER_BUNDLED } from '../../src/serve/program-files.ts';

export const SOURCE = fileURLToPath(new URL('../../src/main.ts', import.meta.url));

export const MAIN = process.env.POSTERN_MAIN ?? SOURCE;

/** What a thread of it runs. Built, it is there in a quarter of the processor's time. */
export const WORKER =
  process.env.POSTERN_MAIN === undefined
    ? fileURLToPath(new URL('../../src/serve/worker.ts', import.meta.url))
    : join(dirname(MAIN), WORKER_BUNDLED);

export function startWorker(number: number): Worker {
  return new Worker(WORKER, { name: `worker ${number}` });
}
