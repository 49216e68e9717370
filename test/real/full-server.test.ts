// A server that is full for an address is not down: Courier closes the sixth connection of one without a greeting
// (MAXPERIP, of which Debian ships 5), and all that come through Postern are one address to it. That client hears 421 and
// comes again; the others are served, and so is the next as soon as there is room.
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { freePort } from '../helpers/free-port.ts';
import { courier, startCourier } from './beds/courier.ts';
import { descendants } from './children.ts';
import { Client } from './client.ts';
import { type ConfiguredPostern, startConfigured } from './postern.ts';
import { Sink } from './sink.ts';

const LIMIT = 5;

suite('a server that is full', { skip: courier.missing, timeout: 60_000 }, () => {
  test('Courier with five sessions: 421 to the sixth client, and the next ones are served at once', async () => {
    const sink = await Sink.start();
    const bed = await startCourier(sink.port, await freePort(), LIMIT);
    const postern = await startConfigured({ upstream: { servers: [`127.0.0.1:${bed.port}`] } });
    try {
      const served = await clients(postern, LIMIT, /^220/);
      for (let round = 0; round < 3; round++) {
        for (const client of await clients(postern, 1, /^421 /)) client.close();
      }
      assert.match(await postern.ask('/metrics'), /^postern_upstream_up\{[^}]*\} 1$/m);
      // The five are served on, and no other one is.
      for (const client of served) assert.match(await client.say('EHLO client.example'), /^250/);

      const full = descendants(bed.pid).length;
      for (const client of served.splice(0, 3)) assert.match(await client.say('QUIT'), /^221/);
      // A place is free when the process of its session is gone.
      while (descendants(bed.pid).length > full - 3) await delay(20);
      const next = await clients(postern, 3, /^220/);
      for (const client of [...served, ...next]) client.close();
    } finally {
      await postern.stop();
      await bed.stop();
      await sink.stop();
    }
  });
});

/** So many together, each greeted so. */
async function clients(postern: ConfiguredPostern, count: number, greeting: RegExp): Promise<Client[]> {
  const all = Array.from({ length: count }, () => new Client(postern.port));
  for (const client of all) assert.match(await client.reply(), greeting);
  return all;
}
