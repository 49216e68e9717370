// senders.own_address: a login sends as its own address, and every spelling that may be one account is held to it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type Case, parseCases } from '../../src/policy/cases.ts';
import { compilePolicy } from '../../src/policy/compile.ts';
import type { PolicyDocument, SendersDocument } from '../../src/policy/document.ts';
import { explain, formatExplanation } from '../../src/policy/explain.ts';
import { answerQuestion } from '../../src/policy/policy-question.ts';
import { connector, document, noon } from './build.ts';

const CORP = { CORP: 'corp.example.com' };

function policyOf(senders: Partial<SendersDocument>, more: Partial<PolicyDocument> = {}) {
  const all: SendersDocument = {
    own_domains: 'allow',
    login_must_match: {},
    own_address: 'required',
    others: 'allow',
    ...senders,
  };
  return compilePolicy(
    document({
      accepted_domains: ['*.example.com'],
      user_domains: CORP,
      connectors: [connector({ senders: all, rules: [{ name: 'in', allow: { authenticated: true } }] })],
      ...more,
    }),
    { now: () => noon },
  );
}

/** Each line is a case; what came out otherwise. */
async function wrong(senders: Partial<SendersDocument>, lines: string, more: Partial<PolicyDocument> = {}) {
  const { policy, problems } = policyOf(senders, more);
  assert.ok(policy, JSON.stringify(problems));
  const found: string[] = [];
  for (const one of parseCases(lines)) {
    const { line, expected, asked } = one as Case;
    const { answer } = await answerQuestion(policy, asked);
    if (answer !== expected) found.push(`${lines.split('\n')[line - 1]?.trim()}: ${answer}`);
  }
  return found;
}

test('a login sends as its own address alone, and as nobody', async () => {
  const cases = String.raw`
    proceed       10.1.1.1 login=CORP\alice sender=alice@corp.example.com -> x@foreign.example
    proceed       10.1.1.1 login=corp\ALICE sender=Alice@CORP.example.com -> x@foreign.example
    proceed       10.1.1.1 login=alice@corp.example.com sender=alice@corp.example.com -> x@foreign.example
    proceed       10.1.1.1 login=CORP\alice -> x@foreign.example
    proceed       10.1.1.1 sender=boss@corp.example.com -> user@example.com
    refuse-sender 10.1.1.1 login=CORP\alice sender=bob@corp.example.com -> x@foreign.example
    refuse-sender 10.1.1.1 login=CORP\alice sender=alice@example.com -> user@example.com
    refuse-sender 10.1.1.1 login=CORP\alice sender=alice+news@corp.example.com -> user@example.com
    refuse-sender 10.1.1.1 login=CORP\alice sender=alice -> user@example.com
    refuse-sender 10.1.1.1 login=CORP\alice sender=alice@[192.0.2.1] -> user@example.com`;
  assert.deepEqual(await wrong({}, cases), []);
  assert.deepEqual(await wrong({ others: 'deny' }, cases), []);
});

test('every spelling that may be the account is held to its address', async () => {
  const spellings = [
    'alice',
    'alice@CORP',
    'CORP/alice',
    'corp.example.com\\alice',
    'alice@corp.local',
    'alice%corp.example.com',
    'CORP\\Álice',
    'CORP\\alice.',
    'ＣＯＲＰ\\alice',
  ];
  for (const login of spellings) {
    const held = `
      proceed       10.1.1.1 login=${login} sender=alice@corp.example.com -> x@foreign.example
      refuse-sender 10.1.1.1 login=${login} sender=bob@corp.example.com -> x@foreign.example
      refuse-sender 10.1.1.1 login=${login} sender=a@elsewhere.example -> x@foreign.example`;
    assert.deepEqual(await wrong({}, held), [], login);
    assert.deepEqual(
      await wrong(
        { others: 'deny' },
        `refuse-sender 10.1.1.1 login=${login} sender=alice@corp.example.com -> x@foreign.example`,
      ),
      [],
      `${login} is not the spelling that the policy tells`,
    );
  }
  assert.deepEqual(
    await wrong(
      {},
      String.raw`
        refuse-sender 10.1.1.1 login=CORP\álice sender=álice@corp.example.com -> x@foreign.example
        refuse-sender 10.1.1.1 login=a\b\c\d\e\f\g\h\i\alice sender=a@elsewhere.example -> x@foreign.example`,
    ),
    [],
    'no yes for what is beyond ASCII, and none for who may be anybody',
  );
  const two = { user_domains: { ...CORP, LAB: 'lab.example.com' } };
  assert.deepEqual(
    await wrong(
      {},
      String.raw`proceed 10.1.1.1 login=corp.example.com\alice sender=alice@corp.example.com -> x@foreign.example`,
      two,
    ),
    [],
    'she cannot be the one of the laboratory',
  );
  assert.deepEqual(
    await wrong({}, 'refuse-sender 10.1.1.1 login=alice sender=alice@corp.example.com -> x@foreign.example', two),
    [],
    'she may be the one of the laboratory',
  );
});

test('a login without a known address falls under others', async () => {
  const other = String.raw`10.1.1.1 login=OTHER\alice sender=boss@corp.example.com -> x@foreign.example`;
  assert.deepEqual(await wrong({}, `proceed ${other}`), []);
  assert.deepEqual(await wrong({ others: 'deny' }, `refuse-sender ${other}`), []);
  const untold = '10.1.1.1 login=alice@example.com sender=boss@example.com -> x@foreign.example';
  assert.deepEqual(await wrong({}, `proceed ${untold}`, { user_domains: {} }), []);
  assert.deepEqual(await wrong({ others: 'deny' }, `refuse-sender ${untold}`, { user_domains: {} }), []);
});

test('what login_must_match lists comes beside the own address, however the login is spelled', async () => {
  const listed = { login_must_match: { 'CORP\\alice': ['sales@example.com'] } };
  const cases = String.raw`
    proceed       10.1.1.1 login=CORP\alice sender=sales@example.com -> x@foreign.example
    proceed       10.1.1.1 login=CORP\alice sender=alice@corp.example.com -> x@foreign.example
    refuse-sender 10.1.1.1 login=CORP\alice sender=bob@corp.example.com -> x@foreign.example
    refuse-sender 10.1.1.1 login=CORP\bob sender=sales@example.com -> x@foreign.example
    proceed       10.1.1.1 login=alice sender=sales@example.com -> x@foreign.example
    proceed       10.1.1.1 login=alice sender=alice@corp.example.com -> x@foreign.example
    refuse-sender 10.1.1.1 login=alice sender=bob@corp.example.com -> x@foreign.example`;
  assert.deepEqual(await wrong(listed, cases), []);
});

test('a login whose name nobody sees is asked to try again where its address could be the sender', async () => {
  const lines = `
    defer   10.1.1.1 login=? sender=alice@corp.example.com -> x@foreign.example
    defer   10.1.1.1 login=? sender=a@elsewhere.example -> user@example.com
    proceed 10.1.1.1 login=? -> user@example.com`;
  assert.deepEqual(await wrong({}, lines), []);
  const none = 'refuse-sender 10.1.1.1 login=? sender=a@elsewhere.example -> user@example.com';
  assert.deepEqual(await wrong({ others: 'deny' }, none), [], 'nobody may send as that');
  const some = 'defer 10.1.1.1 login=? sender=alice@corp.example.com -> user@example.com';
  const two = { user_domains: { ...CORP, LAB: 'lab.example.com' } };
  assert.deepEqual(await wrong({ others: 'deny' }, some, two), [], 'alice may');
  const free = 'proceed 10.1.1.1 login=? sender=a@elsewhere.example -> user@example.com';
  assert.deepEqual(await wrong({}, free, { user_domains: {} }), [], 'where no address is known anybody may');
});

test('no login sends as the address of another account, whatever it is spelled like', async () => {
  const { policy } = policyOf({});
  assert.ok(policy);
  const name = fc.constantFrom('alice', 'Alice', 'álice', 'alice ', 'bob', 'ａlice');
  const realm = fc.constantFrom('CORP', 'corp', 'CORP.', 'corp.example.com', 'corp.local', 'OTHER', '');
  const spell = fc.tuple(name, realm, fc.constantFrom('\\', '/', '@', '%')).map(([who, where, sign]) => {
    if (where === '') return who;
    return sign === '@' || sign === '%' ? `${who}${sign}${where}` : `${where}${sign}${who}`;
  });
  await fc.assert(
    fc.asyncProperty(spell, fc.constantFrom('alice', 'bob'), async (login, sender) => {
      const asked = {
        source: '10.1.1.1',
        local: { address: '10.0.0.1', port: 25 },
        helo: '',
        tls: false,
        tlsSubject: [],
      };
      const question = { ...asked, login, sender: `${sender}@corp.example.com`, recipient: 'user@example.com' };
      const { answer } = await answerQuestion(policy, question);
      const plain = login.normalize('NFKD').replace(/\p{M}/gu, '').toLowerCase();
      if (plain.includes('other')) assert.equal(answer, 'proceed', 'another domain, with others: allow');
      else if (!plain.includes(sender)) assert.equal(answer, 'refuse-sender', login);
    }),
  );
});

test('explain says whose address it is, and by which spelling', async () => {
  const { policy } = policyOf({ others: 'deny' });
  const told = async (login: string, given = policy): Promise<string> => {
    assert.ok(given);
    const asked = {
      source: '10.1.1.1',
      local: { address: '10.0.0.1', port: 25 },
      helo: '',
      tls: false,
      tlsSubject: [],
    };
    const question = { ...asked, login, sender: 'bob@corp.example.com', recipient: 'user@example.com' };
    const place = () => ({ file: 'office.yaml', line: 7, column: 1 });
    const text = formatExplanation(await explain(given, question, () => [], place));
    return /^setting {4}(.*)$/m.exec(text)?.[1] ?? text;
  };
  assert.equal(
    await told('CORP\\alice'),
    'connectors[0].senders.own_address (office.yaml:7): required: CORP\\alice is alice@corp.example.com, not <bob@corp.example.com>',
  );
  assert.equal(
    await told('OTHER\\alice'),
    'connectors[0].senders.others (office.yaml:7): deny, and OTHER\\alice is not named in login_must_match, and no address of its own is known',
  );
  assert.equal(
    await told('alice', policyOf({}).policy),
    'connectors[0].senders.own_address (office.yaml:7): required, and <bob@corp.example.com> is not known to be the address of alice; alice may be whose address is alice@corp.example.com',
  );
});

test('check says where it holds fewer than it seems to', () => {
  const said = (senders: Partial<SendersDocument>, more: Partial<PolicyDocument>): string[] =>
    policyOf(senders, more)
      .problems.filter(({ path }) => path.includes('own_address') || path[0] === 'user_domains')
      .map(({ severity, message }) => `${severity}: ${message}`);
  assert.deepEqual(said({}, { user_domains: {} }), [
    'warning: required, and without user_domains no address is known: every login sends as it likes, since others is allow; user_domains: { CORP: example.com } says that CORP\\steven is steven@example.com, and { example.com: example.com } that steven@example.com is',
  ]);
  assert.deepEqual(said({}, { groups: { staff: ['CORP\\alice', 'LAB\\bob'] } }), [
    "warning: required, and user_domains does not tell the address of 'LAB\\bob': such a login sends as it likes, since others is allow",
  ]);
  assert.deepEqual(said({ others: 'deny' }, { groups: { staff: ['CORP\\alice'] } }), []);
  assert.deepEqual(said({ others: 'deny' }, { user_domains: { CORP: 'corp.local' } }), [
    'warning: logins of CORP have to send as …@corp.local (own_address: required), and no such domain is accepted',
  ]);
});

test('whoever is held to an address cannot have a stream that nobody reads', () => {
  const { problems } = policyOf(
    {},
    {
      connectors: [
        connector({
          remote_ip_ranges: ['10.0.0.1'],
          senders: { own_domains: 'allow', login_must_match: {}, own_address: 'required', others: 'allow' },
          rules: [{ name: 'all', allow: {} }],
          exchange_verbs: 'forward',
        }),
      ],
    },
  );
  assert.ok(problems.some(({ severity, path }) => severity === 'error' && path.includes('exchange_verbs')));
});
