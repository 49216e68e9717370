// Whom a no may be about, found by hashes, beside a walk through the whole list.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { listedKeys, mayBeOne, saidKeys, UserNames } from '../../src/policy/accounts.ts';
import { Suspects } from '../../src/policy/suspects.ts';
import { login } from './build.ts';

test('who may be one of a long list is who may be one of its entries', () => {
  const names = fc.constantFrom('steven', 'Stéven', 'ben', 'müller', 'm?ller', '\u043b\u0451\u0432', 'a'.repeat(40));
  const domains = fc.constantFrom('CORP', 'OTHER', 'corp.example.com', 'shop.example', 'x.example', 'Y');
  const written = fc.oneof(
    fc.tuple(domains, names).map(([realm, name]) => `${realm}\\${name}`),
    fc.tuple(domains, names).map(([realm, name]) => `${name}@${realm}`),
    names,
    fc.tuple(names, domains, names).map((parts) => parts.join('@')),
  );
  const users = new UserNames();
  users.add('CORP', 'corp.example.com');
  fc.assert(
    fc.property(fc.array(written, { maxLength: 600 }), fc.array(written, { maxLength: 20 }), (listed, said) => {
      const suspects = Suspects.of(users, listed);
      for (const name of said) {
        const who = login(Buffer.from(name, 'utf8').toString('latin1'));
        const may = listed.filter((one) =>
          users
            .readings(one)
            .some((meant) =>
              users
                .readingsOf(who)
                .some(
                  (reading) =>
                    mayBeOne(reading.realm, meant.realm) &&
                    saidKeys(reading.name).some((key) => listedKeys(meant.name).includes(key)),
                ),
            ),
        );
        assert.deepEqual(new Set(suspects.whoMayBe(who)), new Set(may), name);
        assert.equal(suspects.find(who) === null, may.length === 0);
      }
    }),
    { numRuns: 100 },
  );
});

test('a login without a name may be each of those listed, and nobody where none is', () => {
  const users = new UserNames();
  const suspects = Suspects.of(users, ['CORP\\a', 'b@c.example', 'd']);
  assert.deepEqual(new Set(suspects.whoMayBe(login(null))), new Set(['CORP\\a', 'b@c.example', 'd']));
  assert.equal(Suspects.of(users, []).find(login(null)), null);
  assert.equal(Suspects.of(users, []).find(login('a')), null);
});

test('the first that may be meant is told, and who has another name or domain is none', () => {
  const suspects = Suspects.of(new UserNames(), ['CORP\\steven', 'steven@corp.example', 'ben@corp.example']);
  assert.equal(suspects.find(login('other\\ben')), 'ben@corp.example', 'OTHER may be its Windows domain');
  assert.equal(suspects.find(login('ben@other.example')), null);
  assert.equal(suspects.find(login('OTHER\\carl')), null);
});

test('who has a name or a domain of the same hash is nobody of the list', () => {
  const find = (listed: string, said: string): string | null =>
    Suspects.of(new UserNames(), [listed]).find(login(said));
  assert.equal(find('bob@d62515.example', 'bob@d62515.example'), 'bob@d62515.example');
  assert.equal(find('bob@d62515.example', 'bob@d70989.example'), null);
  assert.equal(find('1e56rtr', '1e56rtr'), '1e56rtr');
  assert.equal(find('1e56rtr', '0f94688'), null);
  assert.deepEqual([...Suspects.of(new UserNames(), []).whoMayBe(login(null))], []);
});
