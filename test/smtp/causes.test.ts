// What a line of the log names as the setting behind a refusal. That it is in the log: told.test.ts.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hiddenBy, ofUpstream, sizeLimitOf } from '../../src/smtp/causes.ts';
import type { Profile } from '../../src/smtp/types.ts';
import { DEFAULT_PROFILE } from '../helpers/harness.ts';

const HIDES: Profile = {
  ...DEFAULT_PROFILE,
  ...{ auth: 'hide', starttls: 'hide', chunking: 'hide', exchangeVerbs: 'hide' },
};
const SHOWS: Profile = {
  ...DEFAULT_PROFILE,
  ...{ auth: 'offer', starttls: 'passthrough', chunking: 'offer', exchangeVerbs: 'forward' },
};

for (const [verb, key] of [
  ['AUTH', 'auth'],
  ['STARTTLS', 'starttls'],
  ['X-ANONYMOUSTLS', 'starttls'],
  ['BDAT', 'chunking'],
  ['X-EXPS', 'auth'],
  ['XEXCH50', 'exchange_verbs'],
  ['X-LINK2STATE', 'exchange_verbs'],
] as const) {
  test(`${verb} is hidden by ${key}, or not by us`, () => {
    assert.equal(hiddenBy(HIDES, verb), key);
    assert.equal(hiddenBy(SHOWS, verb), null);
  });
}

test('a login of Exchange is hidden with all logins, or with what is of Exchange; nothing else is with logins', () => {
  assert.equal(hiddenBy({ ...SHOWS, exchangeVerbs: 'hide' }, 'X-EXPS'), 'exchange_verbs');
  assert.equal(hiddenBy({ ...SHOWS, auth: 'hide' }, 'X-EXPS'), 'auth');
  assert.equal(hiddenBy({ ...SHOWS, auth: 'hide' }, 'XEXCH50'), null);
});

test('a key of the one upstream, and of one that has a name', () => {
  assert.equal(ofUpstream(DEFAULT_PROFILE, 'text_line'), 'upstream.text_line');
  assert.equal(ofUpstream({ ...DEFAULT_PROFILE, upstream: 'branch' }, 'text_line'), 'upstreams.branch.text_line');
});

test('a message is too large for our limit from the octet on that goes beyond it, else for the server', () => {
  const profile = { ...DEFAULT_PROFILE, maxMessageSize: 1000 };
  assert.equal(sizeLimitOf(profile, 1000), null);
  assert.equal(sizeLimitOf(profile, 1001), 'max_message_size');
});
