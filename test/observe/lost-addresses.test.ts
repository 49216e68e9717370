import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { LostAddresses } from '../../src/observe/lost-addresses.ts';
import type { ConnectionEnds } from '../../src/smtp/types.ts';
import { ends, watch } from './watched.ts';

const GATEWAY = '172.17.0.1';
const HOUR = 3_600_000;

function see(lost: LostAddresses, times: number, address: (at: number) => string): void {
  for (let at = 0; at < times; at++) lost.saw(address(at));
}

const everyTenth =
  (address: string) =>
  (at: number): string =>
    at % 10 === 0 ? `192.0.2.${at}` : address;

const inside = (address: string): boolean => address.startsWith('172.');

describe('an address that hides others', () => {
  it('is suspected with the fiftieth connection, and not before', () => {
    const lost = new LostAddresses(inside);
    see(lost, 49, () => GATEWAY);
    assert.equal(lost.suspect, null);
    lost.saw(GATEWAY);
    assert.deepEqual(lost.suspect, { client_address: GATEWAY, connections: 50, of: 50 });
  });

  it('is suspected when nine of ten come from it, and not when fewer do', () => {
    const enough = new LostAddresses(inside);
    see(enough, 200, everyTenth(GATEWAY));
    assert.deepEqual(enough.suspect, { client_address: GATEWAY, connections: 180, of: 200 });
    const fewer = new LostAddresses(inside);
    see(fewer, 200, (at) => (at === 5 ? '192.0.2.5' : everyTenth(GATEWAY)(at)));
    assert.equal(fewer.suspect, null);
  });

  it('is one inside: a busy client out there hides nobody', () => {
    const lost = new LostAddresses(inside);
    see(lost, 200, () => '203.0.113.9');
    assert.equal(lost.suspect, null);
  });

  it('is no longer suspected when others come again, and only the last 200 count', () => {
    const lost = new LostAddresses(inside);
    const connections = (): number | undefined => lost.suspect?.connections;
    see(lost, 1_000, () => GATEWAY);
    see(lost, 20, (at) => `192.0.2.${at}`);
    assert.equal(connections(), 180);
    lost.saw('192.0.2.100');
    assert.equal(connections(), undefined);
    see(lost, 1_000, () => GATEWAY);
    assert.equal(connections(), 200);
  });

  it('is said at once, and then every hour', () => {
    const lost = new LostAddresses(inside);
    assert.equal(lost.isToBeSaid(0), false);
    see(lost, 50, () => GATEWAY);
    assert.equal(lost.isToBeSaid(5), true);
    assert.equal(lost.isToBeSaid(5 + HOUR - 1), false);
    assert.equal(lost.isToBeSaid(5 + HOUR), true);
    assert.equal(lost.isToBeSaid(6 + HOUR), false);
  });
});

describe('the operator of a firewall whose clients have lost their addresses', () => {
  const through = (clientAddress: string): ConnectionEnds => ({ ...ends, clientAddress });

  it('reads it in the log once an hour, in the metrics and in /readyz', async () => {
    const { observer, entries, samples, clock } = watch({ isInside: inside });
    for (let at = 0; at < 49; at++) observer.broughtMail(through(GATEWAY));
    assert.deepEqual(entries(), []);
    assert.equal((await samples()).get('postern_lost_client_addresses'), 0);
    assert.equal(observer.readiness().lostAddresses, null);
    for (let at = 0; at < 10; at++) observer.broughtMail(through(GATEWAY));
    assert.equal(entries().length, 1);
    assert.equal(entries()[0]?.client_address, GATEWAY);
    assert.match(
      String(entries()[0]?.msg),
      /^most clients come from 172\.17\.0\.1 \(50 of the last 50\): .* PROXY header/,
    );
    assert.equal((await samples()).get('postern_lost_client_addresses'), 1);
    assert.match(
      observer.readiness().lostAddresses ?? '',
      /^most clients come from 172\.17\.0\.1 \(59 of the last 59\)/,
    );
    clock.ms = HOUR;
    observer.broughtMail(through(GATEWAY));
    assert.equal(entries().length, 2);
  });

  it('reads of mail that a balancer brings without saying for whom as well', () => {
    const { observer, entries } = watch({ isInside: inside });
    const lost: ConnectionEnds = { ...through(GATEWAY), lost: true, check: true };
    for (let at = 0; at < 50; at++) observer.broughtMail(lost);
    assert.equal(entries().length, 1);
  });
});
