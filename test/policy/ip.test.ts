// Addresses as text: the one spelling that everybody reads alike, and no other.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { after, before, compare, formatIp, isLoopback, parseIp } from '../../src/policy/ip.ts';

const read = (text: string): string | null => {
  const ip = parseIp(text);
  return ip === null ? null : formatIp(ip);
};

test('an address is read in its usual spellings', () => {
  for (const [text, means] of [
    ['0.0.0.0', '0.0.0.0'],
    ['255.255.255.255', '255.255.255.255'],
    ['10.20.30.40', '10.20.30.40'],
    ['::', '::'],
    ['2001:DB8::00ff', '2001:db8::ff'],
    ['1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['::2:3:4:5:6:7:8', '0:2:3:4:5:6:7:8'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['0:0:0:0:0:ffff:192.0.2.1', '192.0.2.1'],
    ['64:ff9b::192.0.2.1', '64:ff9b::c000:201'],
    ['::192.0.2.1', '::c000:201'],
  ] as const)
    assert.equal(read(text), means, text);
});

test('what could be read in two ways, or in none, is no address', () => {
  for (const text of [
    ...['', '1.2.3', '1.2.3.4.5', '1..3.4', '.1.2.3', '1.2.3.', '1.2.3.4.', '256.1.1.1', '1.2.3.256', '1.2.3.1000'],
    ...[
      '01.2.3.4',
      '1.2.3.04',
      '00.0.0.0',
      '0x1.2.3.4',
      '1.2.3.a',
      '1.2.3.;',
      '1-2-3-4',
      '1/2/3/4',
      '1.2.3.4/32',
      ' 1.2.3.4',
    ],
    ...[
      ':',
      ':::',
      '1::2::3',
      '1:2:3:4:5:6:7',
      '1:2:3:4:5:6:7:8:9',
      '1:2:3:4::5:6:7:8',
      '1:2:3:4::5:6:7:8::9',
      '::12345',
      '::g',
      '1:',
      ':1',
    ],
    ...['192.0.2.1::', '::192.0.2.1:1', '1:2:3:4:5:6:7:192.0.2.1', '::192.0.2', '::fe80%eth0', '::1 '],
  ])
    assert.equal(read(text), null, text);
});

test('addresses are in an order, each family by itself, and have neighbours', () => {
  for (const [low, high] of [
    ['10.0.0.255', '10.0.1.0'],
    ['127.255.255.255', '128.0.0.0'],
    ['2001:db8::ffff', '2001:db8::1:0'],
  ] as const) {
    const [one, other] = [parseIp(low), parseIp(high)];
    assert.ok(one !== null && other !== null);
    assert.ok(compare(one, other) < 0 && compare(other, one) > 0 && compare(one, one) === 0);
    assert.equal(after(one), other);
    assert.equal(before(other), one);
  }
});

test('loopback is 127.0.0.0/8 and ::1, and nothing beside them', () => {
  const loopback = ['127.0.0.0', '127.255.255.255', '::1', '::ffff:127.0.0.1'];
  const others = ['126.255.255.255', '128.0.0.0', '::', '::2', '2001:db8::1'];
  const isOne = (text: string): boolean => isLoopback(parseIp(text) as number);
  assert.deepEqual([...loopback, ...others].filter(isOne), loopback);
});
