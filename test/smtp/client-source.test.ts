import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sourceOf } from '../../src/smtp/client-source.ts';

for (const [address, source] of [
  ['192.0.2.1', '192.0.2.1'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:db8:1:2::3', '2001:db8:1:2::/64'],
  ['2001:db8:1::2:3', '2001:db8:1:0::/64'],
  ['2001:db8::', '2001:db8:0:0::/64'],
  ['2001::3:4:5:6:7:8', '2001:0:3:4::/64'],
  ['::1', '0:0:0:0::/64'],
  ['::2:3:4:5:6:7:8', '0:2:3:4::/64'],
  ['::', '0:0:0:0::/64'],
] as const) {
  test(`${address} is counted as ${source}`, () => {
    assert.equal(sourceOf(address), source);
  });
}
