// Who is let in where DNS has to be asked: the limits know of a client while that takes its time.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { MemoryStore } from '../../src/limits/memory-store.ts';
import type { Resolve } from '../../src/policy/judge.ts';
import { AdmissionControl } from '../../src/serve/admission.ts';
import { Limiter } from '../../src/serve/limiter.ts';
import { connector, sound } from '../policy/build.ts';

const ends = { clientAddress: '192.0.2.1', clientPort: 40000, localAddress: '203.0.113.5', localPort: 25 };

function gateWith(resolve: Resolve): AdmissionControl {
  const limits = { source: { connections: 2 } };
  const wanted = connector({ connect: { allow: ['any'], deny: ['*.dialup.example'] }, limits });
  const policy = sound({ connectors: [wanted] }, { resolve });
  const nobody = { limited: () => {}, banned: () => {} };
  return new AdmissionControl(policy, new Limiter(new MemoryStore(), nobody, () => 0));
}

async function outcome(admissionControl: AdmissionControl): Promise<string> {
  const admission = await admissionControl.admit(ends);
  return admission.admitted ? 'admitted' : admission.reason;
}

test('a source whose names DNS is slow to give has no more connections than another', async () => {
  let answer: (names: readonly string[]) => void = () => {};
  const names = new Promise<readonly string[]>((resolve) => {
    answer = resolve;
  });
  const admissionControl = gateWith(() => names);
  const waiting = [outcome(admissionControl), outcome(admissionControl)];
  assert.equal(await Promise.race([outcome(admissionControl), turn('waits')]), 'connections');
  answer(['mail.example']);
  assert.deepEqual(await Promise.all(waiting), ['admitted', 'admitted']);
});

test('who is refused by name gives the place back', async () => {
  const admissionControl = gateWith(async () => ['a.dialup.example']);
  for (let i = 0; i < 5; i++) assert.equal(await outcome(admissionControl), 'connect');
});
