// A worker as it is, whose event loop a test can stop: it waits for each word that it is handed until that is no longer 0.

import { type MessagePort, workerData } from 'node:worker_threads';
import { WORKER } from '../helpers/main.ts';

await import(WORKER);
(workerData as MessagePort).on('message', (word: Int32Array) => Atomics.wait(word, 0, 0)).unref();
