import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatIp, parseIp } from '../../src/policy/ip.ts';
import { isWithin, networkOf, networksOf, parseNetwork } from '../../src/policy/networks.ts';

const ipv4 = fc.integer({ min: 0, max: 0xffffffff });
const ipv6 = fc.bigInt({ min: 1n << 64n, max: (1n << 128n) - 1n });

test('a network is an address without the bits behind its length', () => {
  assert.equal(networkOf(0xc0000281, 25), '192.0.2.128/25');
  assert.equal(networkOf(0xffffffff, 32), '255.255.255.255/32');
  assert.equal(networkOf(0xffffffff, 1), '128.0.0.0/1');
  assert.equal(networkOf(parseIp('2001:db8:1:2:3:4:5:6') ?? 0, 64), '2001:db8:1:2::/64');
  assert.equal(networkOf(parseIp('2001:db8::1') ?? 0, 128), '2001:db8::1/128');
});

test('an address lies within every network under which it may be banned, and in no other of that length', () => {
  fc.assert(
    fc.property(fc.oneof(ipv4, ipv6), fc.oneof(ipv4, ipv6), fc.integer({ min: 1, max: 32 }), (ip, other, length) => {
      const networks = networksOf(ip, { ipv4_prefix: length, ipv6_prefix: length });
      assert.equal(new Set(networks).size, networks.length);
      for (const network of networks) {
        assert.equal(isWithin(formatIp(ip), network), true);
        const bits = Number(network.split('/')[1]);
        const same = typeof ip === typeof other && networkOf(other, bits) === network;
        assert.equal(isWithin(formatIp(other), network), same);
      }
    }),
  );
});

test('what an operator writes is found again under the networks of every address in it', () => {
  fc.assert(
    fc.property(fc.oneof(ipv4, ipv6), fc.nat(), (ip, at) => {
      const networks = networksOf(ip, { ipv4_prefix: 28, ipv6_prefix: 60 });
      const network = networks[at % networks.length] as string;
      assert.deepEqual(parseNetwork(network, [{ ipv4_prefix: 28, ipv6_prefix: 60 }]), { network });
    }),
  );
});
