import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { after, before, formatIp, type Ip, isIpv4, LAST_IPV4, LAST_IPV6, parseIp } from '../../src/policy/ip.ts';
import { inRanges } from '../../src/policy/lists.ts';
import { RangeTable } from '../../src/policy/range-table.ts';
import {
  extent,
  hullOf,
  isEverything,
  isInside,
  isMasked,
  isSingle,
  overlaps,
  parseRange,
  type Range,
} from '../../src/policy/ranges.ts';
import { intersect, subtract, union } from '../../src/policy/spans.ts';
import { atOnce } from '../../src/policy/steps.ts';

test('reads only the spelling of an address that everybody reads alike', () => {
  for (const text of [
    '010.0.0.1',
    '10.1',
    '3232235777',
    '0x7f.0.0.1',
    '1.2.3.4.5',
    '1.2.3.',
    '256.0.0.1',
    '-1.0.0.0',
    ' 1.2.3.4',
    '1.2.3.4\n',
    '',
    ':',
    ':::',
    '1::2::3',
    '12345::',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '::1.2.3',
    '::1.2.3.04',
    '1.2.3.4::',
    'fe80::1%eth0',
    '[::1]',
    '::g',
    '1:2:3:4:5:6:7:8::',
  ])
    assert.equal(parseIp(text), null, JSON.stringify(text));
});

test('takes IPv4-mapped IPv6 for the IPv4 address that it is', () => {
  assert.equal(parseIp('::ffff:10.1.2.3'), parseIp('10.1.2.3'));
  assert.equal(parseIp('::ffff:a01:203'), parseIp('10.1.2.3'));
  assert.notEqual(parseIp('::10.1.2.3'), parseIp('10.1.2.3'));
});

test('writes an address as it was read', () => {
  for (const text of [
    '0.0.0.0',
    '255.255.255.255',
    '::',
    '::1',
    '2001:db8::1',
    '1:0:0:2::',
    '2001:db8:0:1:1:1:1:1',
    'fe80::a:0:0:1',
  ])
    assert.equal(formatIp(parseIp(text) as number), text);
});

test('every IPv6 address that is written reads back as itself', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }), (ip) => {
      const back = parseIp(formatIp(ip));
      assert.ok(back === ip || ip >> 32n === 0xffffn);
    }),
  );
});

test('holds the first and the last address of a range and not their neighbours', () => {
  const cases: [string, string[], string[]][] = [
    ['192.168.1.100-192.168.1.101', ['192.168.1.100', '192.168.1.101'], ['192.168.1.99', '192.168.1.102']],
    ['10.0.0.0/8', ['10.0.0.0', '10.255.255.255'], ['9.255.255.255', '11.0.0.0']],
    ['192.168.1.1/24', ['192.168.1.0', '192.168.1.255'], ['192.168.0.255', '192.168.2.0']],
    ['10.0.0.0;255.0.0.0', ['10.0.0.0', '10.255.255.255'], ['9.255.255.255', '11.0.0.0']],
    ['0.0.0.0/0', ['0.0.0.0', '255.255.255.255'], ['::1']],
    ['::/0', ['::', 'ffff::'], ['10.0.0.1', '::ffff:10.0.0.1']],
    ['any', ['0.0.0.0', '255.255.255.255', '::', 'ffff::', '::ffff:1.2.3.4'], []],
    ['2001:db8::/32', ['2001:db8::', '2001:db8:ffff:ffff:ffff:ffff:ffff:ffff'], ['2001:db7:ffff::', '2001:db9::']],
    ['2001:db8::1-2001:db8::3', ['2001:db8::1', '2001:db8::3'], ['2001:db8::', '2001:db8::4']],
    ['::ffff:10.1.2.0/120', ['10.1.2.0', '10.1.2.255', '::ffff:10.1.2.9'], ['10.1.1.255', '10.1.3.0']],
  ];
  for (const [range, inside, outside] of cases) {
    const holds = inRanges([range]);
    for (const ip of inside) assert.ok(holds(ip), `${ip} in ${range}`);
    for (const ip of outside) assert.ok(!holds(ip), `${ip} not in ${range}`);
  }
});

test('a mask with holes holds what agrees with it under the mask, as Exchange 5.5 has it', () => {
  const holds = inRanges(['10.1.0.0;255.255.0.123']); // 123 is 01111011: bits 7 and 2 of the last part are free
  for (const ip of ['10.1.0.0', '10.1.77.0', '10.1.0.4', '10.1.0.128', '10.1.9.132']) assert.ok(holds(ip), ip);
  for (const ip of ['10.1.0.1', '10.1.0.2', '10.1.0.8', '10.2.0.0', '10.1.0.64']) assert.ok(!holds(ip), ip);
});

test('finds the smallest of the ranges that hold an address, masks with holes included', () => {
  const texts = [
    '0.0.0.0/0',
    '::/0',
    '10.0.0.0/8',
    '10.1.0.0/16',
    '10.1.0.4',
    '10.1.0.0;255.255.0.123',
    '10.1.0.128-10.1.0.140',
  ];
  const table = RangeTable.of(texts.flatMap((text) => parseRange(text).ranges));
  const found = (ip: string): string | undefined => texts[table.find(parseIp(ip) as number) ?? -1];
  assert.equal(found('192.0.2.1'), '0.0.0.0/0');
  assert.equal(found('2001:db8::1'), '::/0');
  assert.equal(found('10.200.0.1'), '10.0.0.0/8');
  assert.equal(found('10.1.0.1'), '10.1.0.0/16');
  assert.equal(found('10.1.7.4'), '10.1.0.0;255.255.0.123');
  assert.equal(found('10.1.0.4'), '10.1.0.4');
  assert.equal(found('10.1.0.128'), '10.1.0.128-10.1.0.140');
});

const small = fc.integer({ min: 0, max: 40 });
const span = fc.tuple(small, small).map(([a, b]) => ({ lo: Math.min(a, b), hi: Math.max(a, b) }));

test('the table agrees with a walk through all ranges', () => {
  fc.assert(
    fc.property(fc.array(span, { maxLength: 8 }), (spans) => {
      const table = RangeTable.of(spans);
      for (let ip = 0; ip <= 41; ip++) {
        const holding = spans.filter(({ lo, hi }) => lo <= ip && ip <= hi).sort((a, b) => a.hi - a.lo - (b.hi - b.lo));
        const found = table.find(ip);
        assert.equal(found === null, holding.length === 0);
        if (found !== null) assert.equal(extent(spans[found] as Range), extent(holding[0] as Range));
      }
    }),
  );
});

function holdsNaively(range: Range, ip: Ip): boolean {
  if (isMasked(range)) return isIpv4(ip) && (ip & range.mask) >>> 0 === range.net;
  return isIpv4(ip) === isIpv4(range.lo) && range.lo <= ip && ip <= range.hi;
}

/** Asks for the ends of every range, and their neighbours. */
function agrees(ranges: readonly Range[]): void {
  const table = RangeTable.of(ranges);
  const asked = new Set<Ip>([0, LAST_IPV4, 0n, LAST_IPV6]);
  for (const { lo, hi } of ranges.map(hullOf))
    for (const ip of [before(lo), lo, after(lo), before(hi), hi, after(hi)]) asked.add(ip);
  for (const ip of asked) {
    if (ip < 0 || (isIpv4(ip) ? ip > LAST_IPV4 : ip > LAST_IPV6)) continue;
    const extents = ranges.filter((range) => holdsNaively(range, ip)).map(extent);
    const smallest = extents.toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0))[0];
    const found = table.find(ip);
    if (found !== null) assert.ok(holdsNaively(ranges[found] as Range, ip), formatIp(ip));
    assert.equal(found === null ? undefined : extent(ranges[found] as Range), smallest, formatIp(ip));
    assert.equal(table.holds(ip), found !== null);
  }
}

/** Addresses about the edges of blocks and of the words that a table keeps them in. */
function about<T extends Ip>(edges: readonly T[]): fc.Arbitrary<T> {
  return fc.constantFrom(...edges.flatMap((ip) => [before(ip), ip, after(ip)] as T[]).filter((ip) => ip >= 0));
}

const ipv4 = fc.oneof(
  about([0, 0x0a000000, 0x0a010000, 0x0aff0000, 0x7fffffff, 0x80000000, 0xc0a80000, LAST_IPV4 - 1]),
  fc.integer({ min: 0, max: LAST_IPV4 }),
);
const ipv6 = fc.oneof(
  about([0n, 1n << 32n, 1n << 64n, 1n << 96n, 0x20010db8n << 96n, (0x20010db8n << 96n) + (1n << 64n), LAST_IPV6 - 1n]),
  fc.bigInt({ min: 0n, max: LAST_IPV6 }),
);
const spanOf = <T extends Ip>(ip: fc.Arbitrary<T>): fc.Arbitrary<Range> =>
  fc.tuple(ip, ip).map(([a, b]) => (a < b ? { lo: a, hi: b } : { lo: b, hi: a }));
const masked = fc.tuple(ipv4, fc.constantFrom(0xffffff7b, 0xffff0001, 0x80000000, 0xfffefffe, 0)).map(([ip, mask]) => ({
  net: (ip & mask) >>> 0,
  mask,
}));

test('the table agrees with a walk through all ranges at every edge of blocks, IPv6 and masks with holes included', () => {
  fc.assert(fc.property(fc.array(fc.oneof(spanOf(ipv4), spanOf(ipv6), masked), { maxLength: 30 }), agrees), {
    numRuns: 500,
  });
});

// A group of the search has sixteen addresses: a table is right below, at and above each power of that.
test('the table agrees with a walk through all ranges, whatever their number', () => {
  for (const count of [1, 7, 8, 15, 16, 17, 127, 128, 129, 255, 256, 257, 500]) {
    const apart = Array.from({ length: count }, (_, i) => ({ lo: 0xfffe0000 + i * 32, hi: 0xfffe0000 + i * 32 + 15 }));
    agrees(apart);
    agrees(apart.map(({ lo, hi }) => ({ lo: BigInt(lo) << 40n, hi: BigInt(hi) << 40n })));
    agrees(apart.flatMap((range) => [range, { lo: range.lo + 16, hi: range.lo + 31 }]));
  }
});

test('of 100 000 ranges that touch each is found by its first and its last address', () => {
  const ranges = Array.from({ length: 100_000 }, (_, i) => ({ lo: 0x7ff00000 + i * 7, hi: 0x7ff00000 + i * 7 + 6 }));
  const table = RangeTable.of(ranges);
  for (const [i, { lo, hi }] of ranges.entries()) {
    if (table.find(lo) !== i || table.find(hi) !== i) assert.fail(formatIp(lo));
  }
  assert.equal(table.find(0x7ff00000 - 1), null);
  assert.equal(table.find(0x7ff00000 + 700_000), null);
});

test('union, intersection and difference agree with what they say of each address', () => {
  const inside = (spans: readonly { lo: unknown; hi: unknown }[], ip: number): boolean =>
    spans.some(({ lo, hi }) => (lo as number) <= ip && ip <= (hi as number));
  fc.assert(
    fc.property(fc.array(span, { maxLength: 6 }), fc.array(span, { maxLength: 6 }), (first, second) => {
      const a = union(first);
      const b = union(second);
      for (let ip = 0; ip <= 41; ip++) {
        assert.equal(inside(a, ip), inside(first, ip), 'union');
        assert.equal(inside(intersect(a, b), ip), inside(a, ip) && inside(b, ip), 'intersection');
        assert.equal(inside(subtract(a, b), ip), inside(a, ip) && !inside(b, ip), 'difference');
      }
    }),
  );
});

// Ranges among the first 32 addresses of each family: small enough to be walked through.
const low = fc.integer({ min: 0, max: 31 });
const narrow = fc.oneof(
  fc.tuple(low, low).map(([net, bits]): Range => {
    const mask = (0xffffffe0 | bits) >>> 0;
    return { net: (net & mask) >>> 0, mask };
  }),
  spanOf(low),
  spanOf(low.map(BigInt)),
);
const WALKED: readonly Ip[] = Array.from({ length: 32 }, (_, i) => [i, BigInt(i)]).flat();

test('what a range has to do with another agrees with a walk through both, masks with holes and IPv6 included', () => {
  fc.assert(
    fc.property(narrow, narrow, (one, other) => {
      const ofOne = WALKED.filter((ip) => holdsNaively(one, ip));
      const inBoth = ofOne.filter((ip) => holdsNaively(other, ip));
      assert.equal(overlaps(one, other), inBoth.length > 0);
      assert.equal(isInside(one, other), inBoth.length === ofOne.length);
      assert.equal(Number(extent(one)), ofOne.length - 1);
      assert.deepEqual(hullOf(one), { lo: ofOne[0], hi: ofOne.at(-1) });
      if (!isMasked(one)) assert.equal(isSingle(one), ofOne.length === 1);
    }),
    { numRuns: 1000 },
  );
});

test('what the spans of a table cover together is their union, and masks with holes are left out', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(narrow, spanOf(ipv4), spanOf(ipv6)), { maxLength: 12 }), (ranges) => {
      const spans = ranges.flatMap((range) => (isMasked(range) ? [] : [range]));
      assert.deepEqual(atOnce(RangeTable.of(ranges).covered()), union(spans));
    }),
    { numRuns: 300 },
  );
});

test('a mask with holes goes before a span that holds more, and of two equal ones the first', () => {
  const found = (ip: string, ...texts: string[]): string | undefined =>
    texts[RangeTable.of(texts.flatMap((text) => parseRange(text).ranges)).find(parseIp(ip) as number) ?? -1];
  const four = '10.1.0.0;255.255.255.123'; // .0, .4, .128 and .132
  assert.equal(found('10.1.0.4', '10.1.0.0-10.1.0.4', four), four);
  assert.equal(found('10.1.0.4', four, '10.1.0.1-10.1.0.4'), '10.1.0.1-10.1.0.4');
  const twice = RangeTable.of(['10.2.0.0/16', four, four].flatMap((text) => parseRange(text).ranges));
  assert.equal(twice.find(parseIp('10.1.0.4') as number), 1);
});

test('any is wider than every address of a family, which is named by itself', () => {
  const texts = ['any', 'any', '0.0.0.0/0', '::/0'];
  const table = RangeTable.of(['any', '0.0.0.0/0', '::/0'].flatMap((text) => parseRange(text).ranges));
  assert.equal(texts[table.find(1) ?? -1], '0.0.0.0/0');
  assert.equal(texts[table.find(1n) ?? -1], '::/0');
});

test('blanks about the sign in the middle of a range are not looked at', () => {
  for (const [text, plain] of [
    ['192.0.2.5 - 192.0.2.9', '192.0.2.5-192.0.2.9'],
    ['192.0.2.5- 192.0.2.9', '192.0.2.5-192.0.2.9'],
    ['192.0.2.5 -192.0.2.9', '192.0.2.5-192.0.2.9'],
    ['192.0.2.5  -  192.0.2.9', '192.0.2.5-192.0.2.9'],
    ['10.0.0.0 ; 255.0.0.0', '10.0.0.0/8'],
    ['10.0.0.0 ;255.0.0.0', '10.0.0.0/8'],
    ['192.0.2.1-192.0.2.1', '192.0.2.1'],
    ['192.0.2.1/32', '192.0.2.1'],
    ['10.0.0.0;254.0.0.0', '10.0.0.0/7'],
    ['0.0.0.0;0.0.0.0', '0.0.0.0/0'],
  ] as const)
    assert.deepEqual(parseRange(text), { ranges: parseRange(plain).ranges }, text);
});

test('what may hold others than were meant is taken, and told with what it holds', () => {
  assert.match(parseRange('10.0.0.9/8').warning ?? '', /bits set behind its prefix: it means 10\.0\.0\.0\/8$/);
  assert.match(
    parseRange('10.1.0.0;255.255.0.123').warning ?? '',
    /: 10\.1\.0\.0 and 10\.1\.0\.4 are in it, what lies/,
  );
});

test('every address of one family is everything, and one less is not', () => {
  for (const text of ['any', '0.0.0.0/0', '::/0']) assert.ok(isEverything(parseRange(text).ranges[0] as Range), text);
  for (const text of ['0.0.0.1-255.255.255.255', '::/1', '10.0.0.0;255.0.0.1'])
    assert.ok(!isEverything(parseRange(text).ranges[0] as Range), text);
});

test('what is no range holds nobody, and is refused with a word about what was meant', () => {
  for (const [text, hint] of [
    ['192.0.2.1, 192.0.2.2', "['192.0.2.1', '192.0.2.2']"],
    ['192.0.2.1 192.0.2.5-192.0.2.9', "['192.0.2.1', '192.0.2.5-192.0.2.9']"],
    ['192.0.2.1, -', "['192.0.2.1', '-']"],
    ['001.002.003.004', 'did you mean 1.2.3.4?'],
    ['01.2.3', "'01.2.3' is not an address: four decimal parts"],
    ['host.example1', 'is a name'],
    ['1host.example', 'is a name'],
    ['*.example.com', 'is a name'],
    ['someone@mail.example', 'any and file:PATH are known'],
    ['mail.example.com:25', 'any and file:PATH are known'],
    ['*', 'every address is written any'],
    ['Any', 'every address is written any'],
    ['ALL', 'every address is written any'],
    ['all', 'every address is written any'],
    ['mail-out.example.com', "'mail-out.example.com' is a name"],
    ['192.0.2-192.0.2.9', "'192.0.2' is not an address"],
    ['192.0.2.1-x', "'x' is not an address"],
    ['192.0.2.1-192.0.2', "'192.0.2' is not an address"],
    ['192.0.2.10-99', 'did you mean 192.0.2.10-192.0.2.99?'],
    ['192.0.2.9-192.0.2.1', 'did you mean 192.0.2.1-192.0.2.9?'],
    ['2001:db8::1-9', "'9' is not an address"],
    ['192.0.2.1-::1', 'from IPv4 to IPv6'],
    ['x/8', "'x' is not an address"],
    ['10.0.0.0/x8', 'no prefix length from 0 to 32'],
    ['10.0.0.0/8x', 'no prefix length from 0 to 32'],
    ['10.0.0.0/33', 'no prefix length from 0 to 32'],
    ['10.0.0.0/08', 'no prefix length from 0 to 32'],
    ['::/129', 'no prefix length from 0 to 128'],
    ['10.0.0.0/255.0.0.0', 'did you mean 10.0.0.0;255.0.0.0?'],
    ['::ffff:10.0.0.0/8', 'reaches beyond the IPv4-mapped addresses'],
    ['fe80::1%eth0', 'zone id'],
    ['x;255.0.0.0', "'x' is not an address"],
    ['::;255.0.0.0', 'a mask is for IPv4'],
    ['10.0.0.0;x', 'no mask of four decimal parts'],
    ['10.0.0.0;::1', 'no mask of four decimal parts'],
    ['10.0.0.1;255.0.0.0', 'did you mean 10.0.0.0;255.0.0.0?'],
    ['10.0.0.0;10.0.0.9', 'is no mask'],
  ] as const) {
    const { ranges, error = '' } = parseRange(text);
    assert.deepEqual(ranges, [], text);
    assert.ok(error.includes(hint), `${text}: ${error}`);
  }
});
