// A thread that takes places and gives them back, as often as it is told, and counts whenever more were taken than there are.

import { setImmediate as turn } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { RemoteSlots, type SlotCalls } from '../../src/proxy/remote-slots.ts';
import type { ReleaseSlot } from '../../src/proxy/upstream-slots.ts';
import { WorkerChannel } from '../../src/serve/worker-channel.ts';

export interface SlotsThread {
  readonly limit: number;
  readonly times: number;
  readonly sessions: number;
  /** How many have a place, and how often that were too many. */
  readonly inside: SharedArrayBuffer;
}

const { limit, times, sessions, inside } = workerData as SlotsThread;
const cells = new Int32Array(inside);

if (parentPort !== null) {
  const channel: WorkerChannel<SlotCalls> = new WorkerChannel<SlotCalls>(parentPort, { go });
  const slots = new RemoteSlots(channel);
  /** Has it for a moment, or until the next turn. */
  const have = async (leave: ReleaseSlot, long: boolean): Promise<void> => {
    if (Atomics.add(cells, 0, 1) >= limit) Atomics.add(cells, 1, 1);
    if (long) await turn();
    Atomics.sub(cells, 0, 1);
    leave();
  };
  const session = async (): Promise<number> => {
    let none = 0;
    for (let time = 0; time < times; time++) {
      const taken = slots.take('default');
      const leave = taken instanceof Promise ? await taken : taken;
      if (leave === null) none++;
      else if (time % 50 === 0) await have(leave, true);
      else have(leave, false);
    }
    return none;
  };
  async function go(): Promise<number> {
    const nones = await Promise.all(Array.from({ length: sessions }, session));
    return nones.reduce((sum, none) => sum + none, 0);
  }
}
