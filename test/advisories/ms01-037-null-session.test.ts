// MS01-037: the SMTP service of Windows 2000 answered 235 to a null NTLM session, and relayed for it.
//
// The upstream's 235 is passed on, but it names nobody here, so a right to relay for authenticated users stays shut. The
// null session may also hide in GSSAPI or SPNEGO, or be a login as ANONYMOUS.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { attack, OPENING } from '../helpers/attack.ts';
import type { HarnessOptions } from '../helpers/harness.ts';
import { ANONYMOUS, authenticate, negotiate, wrapped } from '../helpers/ntlm.ts';

const options: HarnessOptions = { policy: { accepted: ['local.example'], relay: 'authenticated' } };
const NULL_SESSION = authenticate({ lm: Buffer.alloc(1), nt: Buffer.alloc(0), flags: ANONYMOUS });
const RELAY = ['MAIL FROM:<s@sender.example>\r\n', 'RCPT TO:<victim@foreign.example>\r\n'];

const line = (octets: Buffer): string => `${octets.toString('base64')}\r\n`;

function login(mechanism: string, ...messages: readonly Buffer[]): string[] {
  return [...OPENING, `AUTH ${mechanism}\r\n`, ...messages.map(line), ...RELAY];
}

test('a null NTLM session that the upstream accepts may not relay', () => {
  for (const { recipients, replies } of attack({ bursts: login('NTLM', negotiate, NULL_SESSION), options })) {
    assert.match(replies, /^235 /m);
    assert.match(replies, /^554 5\.7\.1 <victim@foreign\.example>/m);
    assert.deepEqual(recipients, []);
  }
});

test('a null session inside GSSAPI may not relay', () => {
  const bursts = login('GSSAPI', wrapped(negotiate), wrapped(NULL_SESSION), Buffer.alloc(0));
  for (const { recipients, replies } of attack({ bursts, options })) {
    assert.match(replies, /^235 /m);
    assert.deepEqual(recipients, []);
  }
});

test('a login as ANONYMOUS is not heard upstream', () => {
  const backend = { caps_add: ['AUTH ANONYMOUS'] };
  for (const { commands } of attack({ bursts: login('ANONYMOUS dHJhY2U='), backend, options })) {
    assert.ok(!commands.some((command) => command.startsWith('AUTH')));
  }
});

test('a user who is somebody may relay where the rule says so', () => {
  const bursts = login('NTLM', negotiate, authenticate({ domain: 'CORP', user: 'alice' }));
  for (const { recipients } of attack({ bursts, options })) assert.deepEqual(recipients, ['victim@foreign.example']);
});
