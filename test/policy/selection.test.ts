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
