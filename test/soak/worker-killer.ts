// `node --import` of this: with SIGUSR2 one of the process's worker threads dies, as if it had crashed.
//
// The product has no such hook and needs none: whoever makes threads makes them through `node:worker_threads`.

import { syncBuiltinESMExports } from 'node:module';
import threads from 'node:worker_threads';

const alive = new Set<threads.Worker>();

class Watched extends threads.Worker {
  constructor(...args: ConstructorParameters<typeof threads.Worker>) {
    super(...args);
    alive.add(this);
    this.once('exit', () => alive.delete(this));
  }
}

if (threads.isMainThread) {
  threads.Worker = Watched as typeof threads.Worker;
  syncBuiltinESMExports();
  process.on('SIGUSR2', () => {
    const [first] = [...alive].toSorted(() => Math.random() - 0.5);
    void first?.terminate();
  });
}
