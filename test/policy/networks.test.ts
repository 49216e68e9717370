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

test('a network of length 0 is every address, and what is no address lies in none', () => {
  assert.equal(networkOf(0xc0000281, 0), '0.0.0.0/0');
  assert.equal(isWithin('no address', '0.0.0.0/0'), false);
});

test('an address may be banned under its source and each of a few lengths', () => {
  const prefixes = { ipv4_prefix: 28, ipv6_prefix: 60 };
  assert.deepEqual(networksOf(parseIp('192.0.2.129') ?? 0, prefixes), [
    ...['192.0.2.128/28', '192.0.2.129/32', '192.0.2.0/24', '192.0.0.0/16', '192.0.0.0/8'],
  ]);
  assert.deepEqual(networksOf(parseIp('2001:db8:1:2:3::1') ?? 0, prefixes), [
    ...['2001:db8:1::/60', '2001:db8:1:2:3::1/128', '2001:db8:1:2::/64', '2001:db8:1::/56', '2001:db8:1::/48'],
    '2001:db8::/32',
  ]);
});

test('an operator writes an address or a network, or is told what is wanted', () => {
  const read = (text: string): string =>
    Object.values(parseNetwork(text, [{ ipv4_prefix: 28, ipv6_prefix: 60 }])).join();
  const wanted = 'is neither an address nor a network: 192.0.2.1, 192.0.2.0/24 or 2001:db8::/64 is wanted';
  for (const [text, said] of [
    ['192.0.2.1', '192.0.2.1/32'],
    ['2001:db8::1', '2001:db8::/64'],
    ['192.0.2.16/28', '192.0.2.16/28'],
    ['192.0.2.0/024', '192.0.2.0/24'],
    ['', `'' ${wanted}`],
    ['nobody', `'nobody' ${wanted}`],
    ['192.0.2.0/24/24', `'192.0.2.0/24/24' ${wanted}`],
    ['192.0.2.0/25', "'/25': a ban may have the length /32, /28, /24, /16, /8"],
    ['2001:db8::/65', "'/65': a ban may have the length /128, /64, /60, /56, /48, /32"],
    ['192.0.2.0/x24', "'/x24': a ban may have the length /32, /28, /24, /16, /8"],
    ['192.0.2.0/ 24', "'/ 24': a ban may have the length /32, /28, /24, /16, /8"],
    ['192.0.2.0/24.0', "'/24.0': a ban may have the length /32, /28, /24, /16, /8"],
    ['192.0.2.1/24', "'192.0.2.1/24' has bits behind its length: 192.0.2.0/24 is meant, or one address"],
  ] as const) {
    assert.equal(read(text), said, text);
  }
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
