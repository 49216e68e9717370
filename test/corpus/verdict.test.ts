// The judge of the corpus is judged: gates that do one thing wrong are found out, one that does nothing wrong is not.

import assert from 'node:assert/strict';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { describe, test } from 'node:test';
import { UpstreamStandIn } from '../helpers/upstream-stand-in.ts';
import { type AdmissionControl, converse } from './conversation.ts';
import { loadRows } from './rows.ts';
import { faultsOf } from './verdict.ts';

type Bend = (octets: string) => string;
const asTheyAre: Bend = (octets) => octets;

/** A gate that decides nothing: a pipe that bends what goes through. */
async function openPipe(upstreamPort: number, toUpstream: Bend, toClient: Bend): Promise<AdmissionControl> {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const upstream = connect({ port: upstreamPort, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    join(client, upstream, toUpstream);
    join(upstream, client, toClient);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = () => new Promise<void>((resolve) => server.close(() => resolve()));
  return { port: (server.address() as AddressInfo).port, close };
}

function join(from: Socket, to: Socket, bend: Bend): void {
  from.on('data', (chunk) => to.write(Buffer.from(bend(chunk.toString('latin1')), 'latin1')));
  from.on('end', () => to.end());
  from.on('error', () => to.destroy());
}

async function faultsThrough(id: string, toUpstream: Bend, toClient: Bend): Promise<string[]> {
  const row = loadRows().find((one) => one.id === id);
  assert.ok(row !== undefined);
  const standIn = await UpstreamStandIn.listen();
  const gate = await openPipe(standIn.port, toUpstream, toClient);
  try {
    return faultsOf(await converse(row, 'lf', 'whole', { gate, standIn }));
  } finally {
    await standIn.close();
    await gate.close();
  }
}

describe('the judge of the corpus', () => {
  const bent: Array<[what: string, id: string, toUpstream: Bend, toClient: Bend, fault: RegExp | null]> = [
    ['nothing wrong with an honest pipe', 'LG-01', asTheyAre, asTheyAre, null],
    ['a recipient that should not have passed', 'AD-001', asTheyAre, asTheyAre, /^BYPASS/],
    [
      'a command that never arrived',
      'LG-04',
      (octets) => octets.replace('LoCaL', 'local').replace('User', 'x'),
      asTheyAre,
      /never read/,
    ],
    [
      'an altered octet of mail data',
      'LG-01',
      (octets) => octets.replace('hello', 'hallo'),
      asTheyAre,
      /^altered on the way/,
    ],
    ['an octet too many', 'LG-01', (octets) => octets.replace('QUIT\r\n', 'QUIT\r\n\r\n'), asTheyAre, /heard more/],
    ['an altered reply', 'LG-01', asTheyAre, (octets) => octets.replace('queued', 'done'), /did not give/],
    [
      'two replies in the wrong order',
      'LG-20',
      asTheyAre,
      (octets) => octets.replace('250 2.1.0 ok\r\n250 2.1.5 ok', '250 2.1.5 ok\r\n250 2.1.0 ok'),
      /did not give/,
    ],
    ['a keyword that should be hidden', 'ST-63', asTheyAre, asTheyAre, /a reply holds .*STARTTLS/],
    [
      'a reply that is not the exact one',
      'LG-65',
      asTheyAre,
      (octets) => octets.replace('no such user', 'nobody'),
      /no reply is/,
    ],
    [
      'a message that nobody refused',
      'SM-17',
      (octets) => octets.replace('foreign', 'local'),
      asTheyAre,
      /nothing was refused/,
    ],
    [
      'an unfinished message that was taken',
      'SM-23',
      (octets) => octets.replace('half', '\r\n.\r\n'),
      asTheyAre,
      /never finished/,
    ],
  ];
  for (const [what, id, toUpstream, toClient, fault] of bent) {
    test(`sees ${what}`, async () => {
      const faults = await faultsThrough(id, toUpstream, toClient);
      if (fault === null) assert.deepEqual(faults, []);
      else assert.match(faults.join('\n'), new RegExp(fault.source, 'm'));
    });
  }
});
