// Octets stay octets: a command line that is no UTF-8 goes up as it came (protocol.md 1.13).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Harness } from '../helpers/harness.ts';

test('a name in latin-1 goes up as it came', () => {
  const harness = new Harness();
  harness.upstreamSays('220 mail.example\r\n');
  harness.clientSays('EHLO caf\xe9.example\r\n');
  assert.equal(harness.upstreamHeard, 'EHLO caf\xe9.example\r\n');
});
