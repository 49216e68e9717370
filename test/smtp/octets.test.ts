// Octets stay octets: a command line that is no UTF-8 goes up as it came (protocol.md 1.13).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Harness } from '../helpers/harness.ts';

const NAMES = {
  'latin-1': 'caf\xe9.example',
  'Windows-1251': '\xec\xe0\xf0\xe8\xff',
  'UTF-8': 'B\xc3\x9cRO-\xd0\x9c\xd0\xb0\xd1\x80\xd0\xb8\xd1\x8f',
};

for (const [writing, name] of Object.entries(NAMES)) {
  test(`a name in ${writing} goes up as it came`, () => {
    const harness = new Harness();
    harness.upstreamSays('220 mail.example\r\n');
    harness.clientSays(`EHLO ${name}\r\n`);
    assert.equal(harness.upstreamHeard, `EHLO ${name}\r\n`);
  });
}
