// Who has left a stream hears nothing more of it, of whatever kind it is.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { serverInTls, serverOverHandle, serverOverSocket } from './without-kernel.ts';

for (const [kind, open] of [
  ['over a handle', serverOverHandle],
  ['over a socket', serverOverSocket],
  ['in TLS', serverInTls],
] as const) {
  for (const way of ['reset', 'destroy'] as const) {
    test(`behind ${way}() of a stream ${kind} nothing is heard`, async () => {
      const { stream, server, takes, says, ends } = await open();
      const heard: string[] = [];
      stream.owner = {
        heard: () => {
          heard.push('heard');
          stream[way]();
        },
        ended: () => void heard.push('ended'),
        drained: () => void heard.push('drained'),
        lost: () => void heard.push('lost'),
      };
      stream.resume();
      takes(0);
      stream.write(Buffer.alloc(100_000));
      server.reads(Buffer.from('NOOP\r\n'.repeat(100)));
      for (let times = 0; times < 20; times++) says(50);
      takes(1e9);
      ends();
      for (let turns = 0; turns < 20; turns++) await turn();
      assert.deepEqual(heard.slice(heard.indexOf('heard')), ['heard']);
    });
  }
}
