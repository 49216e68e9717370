// Who is let in where DNS has to be asked: the limits know of a client while that takes its time.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { Gate } from '../../src/commands/gate.ts';
import { Limiter } from '../../src/commands/limits/limiter.ts';
import { MemoryStore } from '../../src/limits/memory-store.ts';
import type { Resolve } from '../../src/policy/judge.ts';
import { connector, sound } from '../policy/build.ts';

const door = { clientAddress: '192.0.2.1', clientPort: 40000, localAddress: '203.0.113.5', localPort: 25 };

function gateWith(resolve: Resolve): Gate {
  const limits = { source: { connections: 2 } };
  const wanted = connector({ connect: { allow: ['any'], deny: ['*.dialup.example'] }, limits });
  const policy = sound({ connectors: [wanted] }, { resolve });
  const nobody = { limited: () => {}, banned: () => {} };
  return new Gate(policy, new Limiter(new MemoryStore(), nobody, () => 0));
}

async function outcome(gate: Gate): Promise<string> {
  const admission = await gate.admit(door);
  return admission.admitted ? 'admitted' : admission.reason;
}

test('a source whose names DNS is slow to give has no more connections than another', async () => {
  let answer: (names: readonly string[]) => void = () => {};
  const names = new Promise<readonly string[]>((resolve) => {
    answer = resolve;
  });
  const gate = gateWith(() => names);
  const waiting = [outcome(gate), outcome(gate)];
  assert.equal(await Promise.race([outcome(gate), turn('waits')]), 'connections');
  answer(['mail.example']);
  assert.deepEqual(await Promise.all(waiting), ['admitted', 'admitted']);
});

test('who is refused by name gives the place back', async () => {
  const gate = gateWith(async () => ['a.dialup.example']);
  for (let i = 0; i < 5; i++) assert.equal(await outcome(gate), 'connect');
});
