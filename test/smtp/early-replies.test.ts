// Replies that begin before they are asked for: what still waits to be forwarded must not make them its answers.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Harness } from '../helpers/harness.ts';

const GREETED = ['220 mail.local.example\r\n', '250-mail.local.example\r\n250 PIPELINING\r\n'] as const;

function inTransaction(): Harness {
  const harness = new Harness();
  harness.upstreamSays(GREETED[0]);
  harness.clientSays('EHLO client.example\r\n');
  harness.upstreamSays(GREETED[1]);
  harness.clientSays('MAIL FROM:<>\r\n');
  harness.upstreamSays('250 ok\r\n');
  harness.takeUpstreamHeard();
  return harness;
}

for (const end of [' Go on\r\n', '\r\n']) {
  test(`DATA is not sent behind a reply with which a surplus 354 began (${JSON.stringify(end)})`, () => {
    const harness = inTransaction();
    harness.clientSays('RCPT TO:<user@local.example>\r\nDATA\r\n');
    harness.upstreamSays('250 ok\r\n354');
    assert.equal(harness.takeUpstreamHeard(), 'RCPT TO:<user@local.example>\r\n');
    harness.upstreamSays(end);
    assert.equal(harness.takeUpstreamHeard(), '');
    assert.equal(harness.closed?.what, 'upstream sent a surplus reply');
  });
}

test('no octet of mail data is sent when another reply began with the 354', () => {
  const harness = inTransaction();
  harness.clientSays('RCPT TO:<user@local.example>\r\n');
  harness.upstreamSays('250 ok\r\n');
  harness.clientSays('DATA\r\n');
  harness.takeUpstreamHeard();
  harness.upstreamSays('354 Go on\r\n250 que');
  harness.clientSays('text\r\n.\r\n');
  assert.equal(harness.takeUpstreamHeard(), '');
  harness.upstreamSays('ued\r\n');
  assert.equal(harness.takeUpstreamHeard(), '');
  assert.equal(harness.closed?.what, 'upstream answered inside mail data');
});

test('behind the end of a session nothing is put into the tarpit: what waited for its turn is not said', () => {
  const harness = new Harness({ profile: { tarpit: 1000 } });
  harness.upstreamSays(GREETED[0]);
  harness.clientSays('EHLO client.example\r\n');
  harness.upstreamSays(GREETED[1]);
  harness.clientSays('MAIL FROM:<>\r\n');
  harness.upstreamSays('250 ok\r\n');
  harness.clientSays('RSET\r\nMAIL FROM:<>\r\nRCPT TO:<victim@foreign.example>\r\n');
  harness.upstreamSays('502 no RSET here\r\n');
  harness.waited();
  harness.upstreamSays('250 ok\r\n');
  assert.equal(harness.closed?.what, 'upstream refused RSET and took MAIL');
  assert.match(harness.clientHeard, /502 no RSET here\r\n421 [^\r]*\r\n$/);
});
