// A server that never answers: its port is open, its queue is full, and so the kernel drops whoever still comes.
//
// A thread of its own listens and then sleeps for ever, so that nothing is accepted. Linux only, as the other way to
// such an address – one that nothing routes to – needs a network.

import { once } from 'node:events';
import { connect } from 'node:net';
import type { TestContext } from 'node:test';
import { Worker } from 'node:worker_threads';
import type { Endpoint } from '../../src/proxy/address.ts';

const LISTEN_AND_SLEEP = `
  const { parentPort } = require('node:worker_threads');
  const server = require('node:net').createServer();
  server.listen({ host: '127.0.0.1', port: 0, backlog: 1 }, () => {
    parentPort.postMessage(server.address().port);
    setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0));
  });
`;

export async function openBlackHole(t: TestContext): Promise<Endpoint> {
  const worker = new Worker(LISTEN_AND_SLEEP, { eval: true });
  const [port] = (await once(worker, 'message')) as [number];
  const fillers = [1, 2].map(() => connect(port, '127.0.0.1').on('error', () => {}));
  t.after(async () => {
    for (const filler of fillers) filler.destroy();
    await worker.terminate();
  });
  await Promise.all(fillers.map((filler) => once(filler, 'connect')));
  return { address: '127.0.0.1', port };
}
