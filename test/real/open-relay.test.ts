// The proof that the product is about: servers that relay for everyone, found so by nmap, are found closed through
// Postern. The server's own name is the accepted domain, so that every trick form has something to trick. (delivery.test.ts asks the other servers.)
import { suite, test } from 'node:test';
import { freePort } from '../helpers/free-port.ts';
import { MAIL_SERVERS } from './beds/all.ts';
import { assertFoundClosed, assertFoundOpen } from './nmap.ts';
import { startPostern } from './postern.ts';
import { Sink } from './sink.ts';
import { missing } from './tools.ts';

suite("nmap's smtp-open-relay", () => {
  for (const server of MAIL_SERVERS) {
    const skip = missing(['nmap']) || server.missing;
    test(`finds ${server.name} open, and closed through Postern`, { skip }, async () => {
      const sink = await Sink.start();
      const bed = await server.start(sink.port, await freePort());
      const postern = await startPostern(bed.port);
      try {
        await assertFoundOpen(bed.port);
        await assertFoundClosed(postern.port);
      } finally {
        await postern.stop();
        await bed.stop();
        await sink.stop();
      }
    });
  }
});
