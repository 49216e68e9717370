// Limits that one block gives and another replaces, and what a policy is compiled with where nobody says otherwise.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { changedLimits, DEFAULT_LIMITS, replaceLimits } from '../../src/policy/document.ts';
import { compile, complaints, connector, sound } from './build.ts';

test('what a block of limits names replaces what stood there, and what it leaves out does not', () => {
  const base = replaceLimits(DEFAULT_LIMITS, { tarpit: 5_000, session: { errors: 7 }, ban: { for: 60_000 } });
  assert.deepEqual([base.session.errors, base.session.junk_commands], [7, 100]);
  assert.equal(replaceLimits(base, undefined), base);
  const limits = replaceLimits(base, { source: { connections: 3, message_rate: undefined } });
  assert.deepEqual(limits, { ...base, source: { ...base.source, connections: 3 } });
  assert.equal(limits.tarpit, 5_000);
  assert.equal(replaceLimits(base, { tarpit: 0 }).tarpit, 0);
  assert.deepEqual(changedLimits(limits), {
    session: { errors: 7 },
    source: { connections: 3 },
    login: {},
    sender: {},
    connector: {},
    ban: { for: 60_000 },
    tarpit: 5_000,
  });
});

test('limits are those of Exchange and Postfix, where nobody says otherwise', () => {
  const none = { message_rate: null };
  assert.deepEqual(DEFAULT_LIMITS, {
    session: {
      errors: 20,
      junk_commands: 100,
      recipients_per_message: 1000,
      messages: Number.POSITIVE_INFINITY,
      auth_failures: 3,
      command_line: 2048,
    },
    source: {
      connections: 100,
      connections_percent: 100,
      connection_rate: null,
      ...none,
      recipient_rate: null,
      byte_rate: null,
      rejected_recipient_rate: null,
      auth_failure_rate: null,
      ipv4_prefix: 32,
      ipv6_prefix: 64,
    },
    login: { ...none, recipient_rate: null, auth_failure_rate: null },
    sender: none,
    connector: { connections: 5000, ...none },
    ban: { after: null, for: 600_000, never_ban: [] },
    tarpit: 0,
  });
});

test('a policy enforces, passes lines on as they are, and reads no files, where nobody says otherwise', () => {
  const [only] = sound({}).connectors;
  assert.ok(only !== undefined);
  assert.deepEqual(
    [only.mode, only.profile.dotLines, only.profile.textLine],
    ['enforce', 'pass', Number.POSITIVE_INFINITY],
  );
  assert.deepEqual(complaints({ valid_recipients: { file: 'own.txt' } }), ['error: own.txt cannot be read here']);
  const open = connector({ i_know_this_is_open: true, rules: [{ allow: {} }], remote_ip_ranges: ['192.0.2.0/25'] });
  assert.notEqual(compile({ connectors: [open] }).policy, null);
});
