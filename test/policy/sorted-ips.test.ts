// Sorted addresses: sorting them, and finding the last that is not above a given one, at every size about a group of the search.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { after, before, type Ip, LAST_IPV6 } from '../../src/policy/ip.ts';
import { levelsOf, putWords, SortedIpv4, SortedIpv6, sorted, widthOf } from '../../src/policy/sorted-ips.ts';
import { atOnce } from '../../src/policy/steps.ts';

test('keys are sorted as the engine would, and equal ones stay as they were', () => {
  const ips = fc.oneof(
    fc.array(fc.oneof(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 0, max: 2 ** 32 - 1 })), { maxLength: 700 }),
    fc.array(fc.oneof(fc.bigInt({ min: 0n, max: 3n }), fc.bigInt({ min: 0n, max: LAST_IPV6 })), { maxLength: 700 }),
  );
  fc.assert(
    fc.property(ips, (list: readonly (number | bigint)[]) => {
      const width = widthOf(list[0] ?? 0);
      const keys = new Uint32Array(list.length * width);
      for (const [i, one] of list.entries()) putWords(keys, i * width, one);
      const places = Int32Array.from(list, (_, i) => i);
      const order = atOnce(sorted(places, keys, width));
      const wanted = [...list.keys()].sort((a, b) => {
        const [one, other] = [list[a] as number, list[b] as number];
        return one < other ? -1 : one > other ? 1 : 0;
      });
      assert.deepEqual([...order], wanted);
    }),
    { numRuns: 200 },
  );
});

function keysOf(ips: readonly Ip[]): Uint32Array {
  const width = widthOf(ips[0] as Ip);
  const keys = new Uint32Array(ips.length * width);
  for (const [i, ip] of ips.entries()) putWords(keys, i * width, ip);
  return keys;
}

test('of any number of addresses the last that is not above one is found, at each and about it', () => {
  const spread = (i: number): number => (i * 0x10_0007) % 2 ** 32;
  const families: ((i: number) => Ip)[] = [
    (i) => i * 3,
    (i) => spread(i),
    (i) => BigInt(i) * 3n,
    (i) => BigInt(spread(i)) << 30n,
    (i) => (BigInt(spread(i)) << 96n) | 7n,
    (i) => (BigInt(i) << 64n) | 0xffff_ffffn,
  ];
  for (const make of families)
    for (const count of [1, 2, 15, 16, 17, 255, 256, 257, 300, 4_095]) {
      const first = typeof make(0) === 'number' ? 0 : 0n;
      const ips = [first as Ip, ...Array.from({ length: count - 1 }, (_, i) => make(i + 1))];
      const levels = atOnce(levelsOf(keysOf(ips), widthOf(first)));
      const table = typeof first === 'number' ? new SortedIpv4(levels) : new SortedIpv6(levels);
      const find = (ip: Ip): number => table.lastUpTo(ip as never);
      assert.ok((levels[0] as Uint32Array).length <= 16 * widthOf(first), 'the highest level is one group');
      for (const [i, ip] of ips.entries()) {
        assert.equal(table.at(i), ip);
        if (find(ip) !== i || find(after(ip)) !== i) assert.fail(`${ip} of ${count}: ${find(ip)}`);
        if (i > 0 && find(before(ip)) !== i - 1) assert.fail(`before ${ip} of ${count}: ${find(before(ip))}`);
      }
    }
});
