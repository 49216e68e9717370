// Imported into every thread of a program that is measured: four times a second a line with its longest event loop delay since
// the last one, in the file that LOOP_DELAY names.

import { appendFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { threadId } from 'node:worker_threads';

const EVERY_MS = 250;
const file = process.env.LOOP_DELAY;

if (file !== undefined) {
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  setInterval(() => {
    appendFileSync(file, `${Date.now()} ${threadId} ${delay.max / 1e6}\n`);
    delay.reset();
  }, EVERY_MS).unref();
}
