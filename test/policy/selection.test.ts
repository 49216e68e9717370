import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConnectorDocument } from '../../src/policy/document.ts';
import type { Policy } from '../../src/policy/policy.ts';
import { complaints, connector, sound } from './build.ts';

function named(...given: Partial<ConnectorDocument>[]): Policy {
  return sound({ connectors: given.map((one) => connector(one)) });
}

function chosen(policy: Policy, clientAddress: string, localAddress = '192.168.1.17', localPort = 25): string | null {
  return policy.connectorFor({ clientAddress, localAddress, localPort })?.name ?? null;
}

test('the most specific range that holds the client wins, wherever its connector stands', () => {
  const policy = named(
    { name: 'host', remote_ip_ranges: ['10.1.0.5'] },
    { name: 'internet', remote_ip_ranges: ['any'] },
    { name: 'lan', remote_ip_ranges: ['10.0.0.0/8', '2001:db8::/32'] },
    { name: 'floor', remote_ip_ranges: ['10.1.0.0-10.1.0.99'] },
  );
  assert.equal(chosen(policy, '192.0.2.1'), 'internet');
  assert.equal(chosen(policy, '2001:db9::1'), 'internet');
  assert.equal(chosen(policy, '10.2.0.1'), 'lan');
  assert.equal(chosen(policy, '2001:db8::1'), 'lan');
  assert.equal(chosen(policy, '10.1.0.99'), 'floor');
  assert.equal(chosen(policy, '10.1.0.100'), 'lan');
  assert.equal(chosen(policy, '10.1.0.5'), 'host');
  assert.equal(chosen(policy, '::ffff:10.1.0.5'), 'host');
});

test('a connector that binds the local address shuts out those without bindings', () => {
  const policy = named(
    { name: 'default', remote_ip_ranges: ['any'] },
    { name: 'line-of-business', bindings: ['192.168.1.17:25'], remote_ip_ranges: ['10.0.0.0/8'] },
    { name: 'submission', bindings: ['*:587'], remote_ip_ranges: ['any'] },
    { name: 'second-address', bindings: ['192.168.1.18:25', '[2001:db8::18]:25'], remote_ip_ranges: ['any'] },
  );
  assert.equal(chosen(policy, '10.1.1.1', '192.168.1.17', 25), 'line-of-business');
  assert.equal(chosen(policy, '192.0.2.1', '192.168.1.17', 25), null, 'nobody there answers it');
  assert.equal(chosen(policy, '192.0.2.1', '192.168.1.17', 26), 'default');
  assert.equal(chosen(policy, '192.0.2.1', '192.168.1.99', 587), 'submission');
  assert.equal(chosen(policy, '192.0.2.1', '192.168.1.18', 25), 'second-address');
  assert.equal(chosen(policy, '192.0.2.1', '192.168.1.18', 587), 'submission');
  assert.equal(chosen(named({ bindings: ['192.168.1.18'] }), '192.0.2.1', '192.168.1.18', 2525), 'internet');
  assert.equal(chosen(policy, '2001:db8::1', '2001:db8::18', 25), 'second-address');
  assert.equal(chosen(policy, '2001:db8::1', '2001:db8::18', 26), 'default');
  assert.equal(chosen(policy, '192.0.2.1', '192.168.1.99', 25), 'default');
});

test('connectors that a door can tell apart may have the same ranges, others may not', () => {
  const pair = (first: string[], second: string[]): number =>
    complaints({
      connectors: [connector({ name: 'a', bindings: first }), connector({ name: 'b', bindings: second })],
    }).length;
  assert.equal(pair(['192.0.2.1:25'], ['192.0.2.2:25']), 0);
  assert.equal(pair(['192.0.2.1:25'], ['192.0.2.1:587']), 0);
  assert.equal(pair(['192.0.2.1:25'], []), 0);
  assert.equal(pair(['192.0.2.1'], ['192.0.2.1:587']), 1);
  assert.equal(pair(['*:25'], ['192.0.2.1:25']), 1);
  assert.equal(pair([], []), 1);
});

/** What is said of two connectors with these ranges. */
function conflicts(first: string[], second: string[]): string[] {
  const made = [connector({ name: 'a', remote_ip_ranges: first }), connector({ name: 'b', remote_ip_ranges: second })];
  return complaints({ connectors: made }).filter((said) => / (equals|crosses) /.test(said));
}

test('ranges of two connectors may lie in each other, whichever comes first and wherever they begin and end', () => {
  for (const [wide, narrow] of [
    ['10.0.0.0/8', '10.0.0.0/16'],
    ['10.0.0.0/8', '10.1.0.0/16'],
    ['10.0.0.0/8', '10.255.0.0/16'],
    ['any', '0.0.0.0/0'],
    ['any', '::/0'],
    ['10.0.0.0;255.0.0.1', '10.1.0.0;255.255.0.1'],
    ['192.0.0.0;255.0.0.1', '192.168.0.0;255.255.0.1'],
    ['10.0.0.0/8', '10.1.0.0;255.255.0.1'],
    ['2001:db8::/32', '2001:db8::/64'],
  ] as const) {
    assert.deepEqual(conflicts([wide], [narrow]), [], `${wide} ${narrow}`);
    assert.deepEqual(conflicts([narrow], [wide]), [], `${narrow} ${wide}`);
  }
  assert.deepEqual(conflicts(['10.0.0.0-10.0.0.9', '10.0.0.5-10.0.0.20'], ['192.0.2.0/24']), [], 'of one connector');
});

test('equal and crossing ranges of two connectors are named, both of them', () => {
  const crosses = (one: string, other: string): string =>
    `error: '${other}' of connector 'b' crosses '${one}' of connector 'a': one must lie wholly inside the other, or apart`;
  const equals = (one: string, other: string): string =>
    `error: '${other}' of connector 'b' equals '${one}' of connector 'a': which of them is meant cannot be told; give the range to one of them`;
  for (const [one, other, said] of [
    ['10.0.0.0/8', '10.0.0.0-10.255.255.255', equals],
    ['10.0.0.0-10.0.0.5', '10.0.0.5-10.0.0.9', crosses],
    ['10.0.0.5-10.0.0.9', '10.0.0.0-10.0.0.5', crosses],
    ['10.0.0.0;255.0.0.1', '10.0.0.0;255.0.0.1', equals],
    ['10.0.0.0;255.0.0.1', '10.0.0.0;255.0.0.2', crosses],
    ['10.0.0.0;255.0.0.1', '10.0.0.0/16', crosses],
    ['10.0.0.0/16', '10.0.0.0;255.0.0.1', crosses],
  ] as const)
    assert.deepEqual(conflicts([one], [other]), [said(one, other)], `${one} ${other}`);
  assert.deepEqual(
    conflicts(['10.0.0.0-10.0.0.100', '10.0.0.1-10.0.0.2'], ['10.0.0.50-10.0.0.200', '10.0.0.1-10.0.0.2']),
    [equals('10.0.0.1-10.0.0.2', '10.0.0.1-10.0.0.2'), crosses('10.0.0.0-10.0.0.100', '10.0.0.50-10.0.0.200')],
  );
  const many = Array.from({ length: 25 }, (_, i) => `10.0.0.${i}`);
  assert.equal(conflicts(many, many).length, 20, 'no more are told');
});

test('everybody of one family is less than everybody', () => {
  const policy = named({ name: 'all', remote_ip_ranges: ['any'] }, { name: 'v4', remote_ip_ranges: ['0.0.0.0/0'] });
  assert.equal(chosen(policy, '10.0.0.1'), 'v4');
  assert.equal(chosen(policy, '2001:db8::1'), 'all');
});

test('several connectors may bind one address at several ports', () => {
  const policy = named(
    { name: 'mx', bindings: ['192.0.2.1:25', '192.0.2.2:25'] },
    { name: 'submission', bindings: ['192.0.2.1:587', '192.0.2.2:587'] },
  );
  for (const address of ['192.0.2.1', '192.0.2.2']) {
    assert.equal(chosen(policy, '10.0.0.1', address, 25), 'mx');
    assert.equal(chosen(policy, '10.0.0.1', address, 587), 'submission');
    assert.equal(chosen(policy, '10.0.0.1', address, 26), null);
  }
});

test('a range inside another of the same connector is no conflict and changes nothing', () => {
  const policy = named({ name: 'a', remote_ip_ranges: ['any', '10.0.0.0/8', '10.0.0.0/9', '10.0.0.5-10.64.0.0'] });
  assert.equal(chosen(policy, '10.0.0.7'), 'a');
});

test('without a connector for the client there is none', () => {
  const policy = named({ name: 'lan', remote_ip_ranges: ['10.0.0.0/8'] });
  assert.equal(chosen(policy, '11.0.0.0'), null);
  assert.equal(chosen(policy, '9.255.255.255'), null);
  assert.equal(chosen(policy, 'not an address'), null);
});

test('a lost address falls through to the connector that grants it nothing', () => {
  const policy = sound(
    {
      connectors: [
        connector({ name: 'internet', rules: [{ allow: { authenticated: true } }] }),
        connector({ name: 'lan', remote_ip_ranges: ['192.0.2.0/24', '192.0.2.9'], rules: [{ allow: {} }] }),
      ],
    },
    {},
  );
  assert.equal(chosen(policy, '192.0.2.1', '192.0.2.17'), 'lan');
  assert.equal(chosen(policy, '192.0.2.17', '192.0.2.17'), 'internet', 'it seems to come from ourselves');
  assert.equal(chosen(policy, '192.0.2.9', '192.0.2.9'), 'lan', 'listed by itself');
});
