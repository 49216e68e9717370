// Sets of addresses: what lint calculates with says of each address what a walk through the spans says.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Ip } from '../../src/policy/ip.ts';
import { hullOf, parseRange, type Span } from '../../src/policy/ranges.ts';
import { holds, intersect, isPrivate, isWide, publicPart, subtract, union } from '../../src/policy/spans.ts';
import { atOnce } from '../../src/policy/steps.ts';

const spans = (...texts: string[]): Span[] => texts.flatMap((text) => parseRange(text).ranges.map(hullOf));

const low = fc.integer({ min: 0, max: 31 });
const span = fc.tuple(low, low, fc.boolean()).map(([a, b, v6]): Span => {
  const [lo, hi] = [Math.min(a, b), Math.max(a, b)];
  return v6 ? { lo: BigInt(lo), hi: BigInt(hi) } : { lo, hi };
});
const set = fc.array(span, { maxLength: 7 });
const WALKED: readonly Ip[] = Array.from({ length: 33 }, (_, i) => [i, BigInt(i)]).flat();

function isIn(list: readonly Span[], ip: Ip): boolean {
  return list.some(({ lo, hi }) => typeof lo === typeof ip && lo <= ip && ip <= hi);
}

/** Sorted, IPv4 first, and no two that touch. */
function isTidy(list: readonly Span[]): boolean {
  const key = ({ lo, hi }: Span): [number, number] => {
    const above = typeof lo === 'bigint' ? 1_000 : 0;
    return [above + Number(lo), above + Number(hi)];
  };
  return list.every((one, i) => {
    const next = list[i + 1];
    return key(one)[0] <= key(one)[1] && (next === undefined || key(one)[1] + 1 < key(next)[0]);
  });
}

test('union, intersection and difference of both families agree with what they say of each address', () => {
  fc.assert(
    fc.property(set, set, (first, second) => {
      const [a, b] = [union(first), union(second)];
      assert.ok(isTidy(a) && isTidy(intersect(a, b)) && isTidy(subtract(a, b)));
      for (const ip of WALKED) {
        assert.equal(isIn(a, ip), isIn(first, ip), 'union');
        assert.equal(isIn(intersect(a, b), ip), isIn(a, ip) && isIn(b, ip), 'intersection');
        assert.equal(isIn(subtract(a, b), ip), isIn(a, ip) && !isIn(b, ip), 'difference');
      }
    }),
    { numRuns: 500 },
  );
});

test('no client on the Internet has an address of a private block, and any may have one beside it', () => {
  const blocks: [string, string, string][] = [
    ['0.0.0.0', '0.255.255.255', '1.0.0.0'],
    ['10.0.0.0', '10.255.255.255', '11.0.0.0'],
    ['100.64.0.0', '100.127.255.255', '100.128.0.0'],
    ['127.0.0.0', '127.255.255.255', '128.0.0.0'],
    ['169.254.0.0', '169.254.255.255', '169.255.0.0'],
    ['172.16.0.0', '172.31.255.255', '172.32.0.0'],
    ['192.168.0.0', '192.168.255.255', '192.169.0.0'],
    ['224.0.0.0', '255.255.255.255', '223.255.255.255'],
    ['::1', '::1', '::2'],
    ['fc00::', 'fdff::', 'fe00::'],
    ['fe80::', 'febf::', 'fec0::'],
    ['ff00::', 'ffff::', 'fe00::1'],
  ];
  for (const [first, last, beside] of blocks)
    assert.deepEqual([first, last, beside].map(isPrivate), [true, true, false], first);
  assert.equal(isPrivate('no address'), false);
  assert.deepEqual(atOnce(publicPart(spans('10.0.0.0/7', 'fec0::/16'))), spans('11.0.0.0/8', 'fec0::/16'));
});

test('more than a /16, or a /32 of IPv6, is wide', () => {
  const wide = (text: string): boolean => isWide(spans(text)[0] as Span);
  assert.deepEqual(['198.51.0.0/16', '2001:db8::/32'].map(wide), [false, false]);
  assert.deepEqual(['198.51.0.0-198.52.0.0', '2001:db8::-2001:db9::'].map(wide), [true, true], 'one more');
});

test('a set holds an address that is in one of its spans', () => {
  assert.equal(holds(spans('any'), 'no address'), false);
  const set = spans('192.0.2.0/24', '2001:db8::/32');
  assert.deepEqual(
    ['192.0.2.0', '2001:db8::1', '192.0.3.0', '::c000:200', ''].map((ip) => holds(set, ip)),
    [true, true, false, false, false],
  );
});
