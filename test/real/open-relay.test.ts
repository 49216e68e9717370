// The proof that the product is about: servers that relay for everyone, found so by nmap, are found closed through
// Postern. The server's own name is the accepted domain, so that every trick form has something to trick.
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { freePort } from '../helpers/free-port.ts';
import { ALL_SERVERS } from './beds/all.ts';
import { run } from './children.ts';
import { startPostern } from './postern.ts';
import { Sink } from './sink.ts';
import { missing } from './tools.ts';

/** What nmap's script says of the server on 127.0.0.1:port; the plus sign runs it on a port that is not 25. */
async function nmap(port: number): Promise<string> {
  const { output } = await run('nmap', ['-Pn', '-sT', '-p', `${port}`, '--script', '+smtp-open-relay', '127.0.0.1']);
  return output.split('\n').find((line) => line.includes('smtp-open-relay:')) ?? output;
}

// Several at a time: most of it is waiting for programs to start.
suite("nmap's smtp-open-relay", { concurrency: 4 }, () => {
  for (const server of ALL_SERVERS) {
    const skip = missing(['nmap']) || server.missing;
    test(`finds ${server.name} open, and closed through Postern`, { skip }, async () => {
      const sink = await Sink.start();
      const bed = await server.start(sink.port, await freePort());
      const postern = await startPostern(bed.port);
      try {
        assert.match(await nmap(bed.port), /Server is an open relay/);
        assert.match(await nmap(postern.port), /Server doesn't seem to be an open relay, all tests failed/);
      } finally {
        await postern.stop();
        await bed.stop();
        await sink.stop();
      }
    });
  }
});
