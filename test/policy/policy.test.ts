// Which connector answers whom, whose address was lost, and which recipients are our own.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PolicyOptions } from '../../src/policy/options.ts';
import type { Arrival, Policy } from '../../src/policy/policy.ts';
import { connector, sound } from './build.ts';

const ends = (clientAddress: string, given: Partial<Arrival> = {}): Arrival => ({
  clientAddress,
  localAddress: '192.0.2.25',
  localPort: 25,
  ...given,
});

function policyOf(told: string[], options: Partial<PolicyOptions> = {}): Policy {
  return sound(
    { connectors: [connector({ name: 'lan', remote_ip_ranges: ['10.0.0.0/8', '127.0.0.0/8', '::1', '192.0.2.25'] })] },
    {
      ownAddresses: ['10.0.0.7', 'not read'],
      gateways: ['10.0.0.1'],
      onLostAddress: (address) => told.push(address),
      ...options,
    },
  );
}

test('who is in no range, or has no address, is answered by no connector', () => {
  const policy = policyOf([]);
  assert.equal(policy.connectorFor(ends('10.0.0.9'))?.name, 'lan');
  assert.equal(policy.choiceFor(ends('10.0.0.9'))?.connector.name, 'lan');
  for (const address of ['192.0.2.1', 'no address'])
    assert.deepEqual([policy.connectorFor(ends(address)), policy.choiceFor(ends(address))], [null, null], address);
});

test('a client at an address of this host, of a gateway or of the loopback was lost, which is told once', () => {
  for (const [client, given] of [
    ['10.0.0.7', {}],
    ['10.0.0.1', {}],
    ['127.0.0.1', {}],
    ['::1', {}],
    ['192.0.2.25', {}],
    ['10.0.0.9', { lost: true }],
    ['no address', { lost: true }],
  ] as const) {
    const told: string[] = [];
    const policy = policyOf(told);
    policy.connectorFor(ends('10.0.0.9'));
    policy.connectorFor(ends('no address', { localAddress: 'none either' }));
    assert.deepEqual(told, [], 'nobody who was not');
    policy.choiceFor(ends(client, given));
    policy.connectorFor(ends(client, { ...given, check: true }));
    assert.deepEqual(told, [], 'a question and a check are no clients');
    policy.connectorFor(ends(client, given));
    policy.connectorFor(ends(client, given));
    assert.deepEqual(told, [client]);
    const quiet: string[] = [];
    policyOf(quiet, { lostAddressGuard: 'warn' }).connectorFor(ends(client, given));
    assert.deepEqual(quiet, [], 'without the guard');
  }
});

test('a range that may relay by itself answers no client whose address was lost', () => {
  const given = {
    connectors: [
      connector({ name: 'internet' }),
      connector({ name: 'relay', remote_ip_ranges: ['10.0.0.0/8'], rules: [{ allow: {} }] }),
      connector({ name: 'other', remote_ip_ranges: ['172.16.0.0/12'] }),
    ],
  };
  const hears = (address: string, lost: boolean, options: Partial<PolicyOptions> = {}): string | undefined =>
    sound(given, options).connectorFor(ends(address, { lost }))?.name;
  assert.deepEqual([hears('10.0.0.8', false), hears('10.0.0.8', true)], ['relay', 'internet']);
  assert.equal(hears('172.16.0.7', true), 'other');
  assert.equal(hears('10.0.0.8', true, { lostAddressGuard: 'warn' }), 'relay');
});

test('a recipient is ours when each address in it is, and when it has no domain', () => {
  const policy = sound({ accepted_domains: ['local.example'], relay_domains: ['relay.example'] });
  for (const local of [
    'a@local.example',
    'A@LOCAL.example',
    'postmaster',
    Buffer.from('müller@local.example').toString('latin1'),
  ])
    assert.equal(policy.isLocal(local), true, local);
  for (const foreign of [
    'a@relay.example',
    'a@foreign.example',
    'a%foreign.example@local.example',
    'a b@local.example',
    '',
  ])
    assert.equal(policy.isLocal(foreign), false, foreign);
});
