// Addresses as sockets give them, in the one form that policies know.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { normaliseAddress } from '../../src/proxy/address.ts';

test('an IPv4 address that is mapped into IPv6 is IPv4, a zone is dropped, and case is folded', () => {
  assert.equal(normaliseAddress('::ffff:10.1.2.3'), '10.1.2.3');
  assert.equal(normaliseAddress('::FFFF:10.1.2.3'), '10.1.2.3');
  assert.equal(normaliseAddress('fe80::1%eth0'), 'fe80::1');
  assert.equal(normaliseAddress('2001:DB8::1'), '2001:db8::1');
  assert.equal(normaliseAddress('192.0.2.1'), '192.0.2.1');
});
