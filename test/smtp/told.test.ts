// What a session tells whoever keeps the log, the counts and the limits: every event with all that it says, and what the judge is
// asked. Why sessions end stands in the golden dialogues.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Decision, OwnReply, Profile, Question, SessionEvent, SessionLimits } from '../../src/smtp/types.ts';
import { DEFAULT_LIMITS, type Harness, type HarnessOptions } from '../helpers/harness.ts';
import { ALICE, behind, IN_MAIL_DATA, IN_TRANSACTION, OPENED, say, WITH_RECIPIENT } from '../helpers/opened.ts';

type Told<Name extends SessionEvent['name']> = Extract<SessionEvent, { name: Name }>;

/** The events of one name, without fields that are undefined; a trace as what it tells. */
function told<Name extends SessionEvent['name']>(harness: Harness, name: Name): unknown[] {
  return harness.events
    .filter((event): event is Told<Name> => event.name === name)
    .map((event) => Object.fromEntries(Object.entries(event).filter(([, value]) => value !== undefined)))
    .map((event) => (typeof event.trace === 'function' ? { ...event, trace: event.trace() } : event));
}

const LATER: OwnReply = { code: 450, enhanced: '4.7.1', text: 'Not <{recipient}> of <{sender}> now' };
const PROCEED: Decision = { action: 'proceed', reason: 'rule', rule: null, observed: false };
const REJECT: Decision = { action: 'reject', reason: 'limit', rule: 'limits.some', reply: LATER, trace: () => 'tried' };
const DISCONNECT: Decision = { ...REJECT, action: 'disconnect' };
/** The judge answers so at this command, and lets all else pass. */
const at = (state: Question['protocolState'], decision: Decision): HarnessOptions => ({
  judge: ({ protocolState }) => (protocolState === state ? decision : PROCEED),
});
const limits = (some: Partial<SessionLimits>): SessionLimits => ({ ...DEFAULT_LIMITS, ...some });
const wouldReject = (reply?: OwnReply): Decision => {
  return { action: 'proceed', reason: 'no_rule', rule: 'never', observed: true, trace: () => 'tried', reply };
};

const GATEWAY = 'IMCEAFAX-5551234@local.example';
const ROUTE = '@a.example:user@local.example';

describe('of a recipient', () => {
  const about = { name: 'recipient', sender: 'a@sender.example' };

  const number = (harness: Harness): number =>
    (told(harness, 'recipient') as Told<'recipient'>[])[0]?.transaction ?? -1;

  it('that goes on', () => {
    const harness = behind(IN_TRANSACTION);
    say(harness, 'C RCPT TO:<user@local.example>');
    const why = {
      decision: 'proceed',
      reason: 'accepted_domain',
      rule: null,
      recipient: 'user@local.example',
      reply: '',
    };
    assert.deepEqual(told(harness, 'recipient'), [{ ...about, transaction: number(harness), ...why }]);
  });

  it('by the number of its transaction: the next one has another', () => {
    const harness = behind(WITH_RECIPIENT);
    say(harness, 'C RCPT TO:<1@local.example>', 'C RCPT TO:<2@local.example>', 'C RSET', 'C MAIL FROM:<>');
    say(harness, 'C RCPT TO:<3@local.example>');
    const [one, two, three] = (told(harness, 'recipient') as Told<'recipient'>[]).map(({ transaction }) => transaction);
    assert.equal(one, two);
    assert.notEqual(two, three);
  });

  const denied = 'Recipient address rejected';
  const refusals: readonly (readonly [string, string, object, string])[] = [
    ['without a domain', 'bob', { reason: 'unqualified' }, `553 5.1.3 <bob>: ${denied}: Domain name required`],
    ['of a gateway', GATEWAY, { reason: 'relay_trick' }, `554 5.7.1 <${GATEWAY}>: ${denied}: Relay access denied`],
    ['that is a trick', ROUTE, { reason: 'relay_trick' }, `554 5.7.1 <${ROUTE}>: ${denied}: Relay access denied`],
    ['that is no address', 'a b', { reason: 'syntax' }, `501 5.1.3 <a b>: ${denied}: Bad address syntax`],
  ];
  for (const [what, recipient, why, reply] of refusals) {
    it(what, () => {
      const harness = behind(IN_TRANSACTION);
      say(harness, `C RCPT TO:<${recipient}>`);
      const expected = {
        ...about,
        transaction: number(harness),
        decision: 'reject',
        rule: null,
        recipient,
        reply,
        ...why,
      };
      assert.deepEqual(told(harness, 'recipient'), [expected]);
      assert.equal(harness.clientHeard, `${reply}\r\n`);
      assert.equal(harness.upstreamHeard, '');
    });
  }

  it('that the judge refuses', () => {
    const harness = behind(IN_TRANSACTION, at('RCPT', REJECT));
    say(harness, 'C RCPT TO:<x@foreign.example>');
    const reply = '450 4.7.1 Not <x@foreign.example> of <a@sender.example> now';
    const why = { decision: 'reject', reason: 'limit', rule: 'limits.some', trace: 'tried', reply };
    const expected = { ...about, transaction: number(harness), recipient: 'x@foreign.example', ...why };
    assert.deepEqual(told(harness, 'recipient'), [expected]);
  });

  it('with a parameter that was not offered: the log has the whole line', () => {
    const harness = behind(IN_TRANSACTION);
    say(harness, 'C RCPT TO:<user@local.example> X=1  ');
    const why = { decision: 'reject', reason: 'syntax', rule: null, trace: 'RCPT TO:<user@local.example> X=1' };
    const reply = '555 5.5.4 Parameter not recognized or not offered';
    const expected = { ...about, transaction: number(harness), recipient: 'user@local.example', ...why, reply };
    assert.deepEqual(told(harness, 'recipient'), [expected]);
  });

  it('beyond the limit', () => {
    const harness = behind(IN_TRANSACTION, { profile: { limits: limits({ recipientsPerMessage: 0 }) } });
    say(harness, 'C RCPT TO:<user@local.example>');
    const why = { decision: 'reject', reason: 'limit', rule: 'limits.session.recipients_per_message' };
    const reply = '452 4.5.3 Too many recipients';
    const expected = { ...about, transaction: number(harness), recipient: 'user@local.example', ...why, reply };
    assert.deepEqual(told(harness, 'recipient'), [expected]);
  });

  it('that only the mode lets pass', () => {
    for (const [own, reply] of [
      [LATER, '450 4.7.1 Not <x@foreign.example> of <a@sender.example> now'],
      [undefined, ''],
    ] as const) {
      const harness = behind(IN_TRANSACTION, at('RCPT', wouldReject(own)));
      say(harness, 'C RCPT TO:<x@foreign.example>');
      const why = { decision: 'would_reject', reason: 'no_rule', rule: 'never', trace: 'tried', reply };
      const [event] = told(harness, 'recipient');
      assert.deepEqual(event, { ...about, transaction: number(harness), recipient: 'x@foreign.example', ...why });
    }
  });

  it('beyond a limit that is only observed', () => {
    const profile = { mode: 'observe', limits: limits({ recipientsPerMessage: 0 }) } as const;
    const harness = behind(IN_TRANSACTION, { profile });
    say(harness, 'C RCPT TO:<user@local.example>');
    const why = { decision: 'would_reject', reason: 'limit', rule: 'limits.session.recipients_per_message' };
    const reply = '452 4.5.3 Too many recipients';
    const [event] = told(harness, 'recipient');
    assert.deepEqual(event, { ...about, transaction: number(harness), recipient: 'user@local.example', ...why, reply });
    const key = 'recipients_per_message';
    assert.deepEqual(told(harness, 'limited'), [{ name: 'limited', kind: 'session', key, observed: true }]);
  });
});

describe('of a sender', () => {
  const about = { name: 'sender', sender: 'b@sender.example', trace: 'tried' };
  const reply = '450 4.7.1 Not <> of <b@sender.example> now';

  it('that is refused', () => {
    const harness = behind(OPENED, at('MAIL', REJECT));
    say(harness, 'C MAIL FROM:<b@sender.example>');
    const why = { decision: 'reject', reason: 'limit', rule: 'limits.some', reply };
    assert.deepEqual(told(harness, 'sender'), [{ ...about, ...why }]);
    assert.equal(harness.clientHeard, `${reply}\r\n`);
    assert.equal(harness.closed, null);
  });

  it('that only the mode lets pass', () => {
    for (const [own, shown] of [[LATER, reply] as const, [undefined, ''] as const]) {
      const harness = behind(OPENED, at('MAIL', wouldReject(own)));
      say(harness, 'C MAIL FROM:<b@sender.example>');
      const why = { decision: 'would_reject', reason: 'no_rule', rule: 'never', reply: shown };
      assert.deepEqual(told(harness, 'sender'), [{ ...about, ...why }]);
      assert.equal(harness.upstreamHeard, 'MAIL FROM:<b@sender.example>\r\n');
    }
  });

  it('nothing where it may', () => {
    const harness = behind(OPENED);
    say(harness, 'C MAIL FROM:<b@sender.example>');
    assert.deepEqual(told(harness, 'sender'), []);
  });
});

describe('of a session that a decision ends', () => {
  for (const [line, state, what, rule] of [
    ['MAIL FROM:<b@sender.example>', 'MAIL', 'sender refused', 'limits.some'],
    ['MAIL FROM:<b@sender.example>', 'MAIL', 'sender refused', null],
    [`AUTH PLAIN ${ALICE}`, 'AUTH', 'login refused', 'limits.some'],
    [`AUTH PLAIN ${ALICE}`, 'AUTH', 'login refused', null],
  ] as const) {
    it(`${what}, ${rule === null ? 'by no setting' : 'by a setting'}`, () => {
      const harness = behind(OPENED, at(state, { ...DISCONNECT, rule }));
      say(harness, `C ${line}`, 'C NOOP');
      assert.deepEqual(harness.closed, { origin: 'policy', what, key: rule ?? undefined });
      assert.match(harness.clientHeard, /^450 4\.7\.1 Not .*\r\n$/);
      assert.equal(harness.upstreamHeard, '');
    });
  }

  it('recipient refused', () => {
    const harness = behind(IN_TRANSACTION, at('RCPT', DISCONNECT));
    say(harness, 'C RCPT TO:<user@local.example>', 'C NOOP');
    assert.deepEqual(harness.closed, { origin: 'policy', what: 'recipient refused' });
    assert.match(harness.clientHeard, /^450 4\.7\.1 Not .*\r\n$/);
    assert.equal(harness.upstreamHeard, '');
  });
});

describe('of a login', () => {
  const login = { mechanism: 'PLAIN', name: 'alice' };
  const reply = '450 4.7.1 Not <> of <> now';

  it('that was accepted, and one that failed', () => {
    const harness = behind(OPENED);
    say(harness, `C AUTH PLAIN ${ALICE}`, 'S 535 5.7.8 no', `C AUTH PLAIN ${ALICE}`, 'S 235 in');
    assert.deepEqual(told(harness, 'login_failed'), [{ name: 'login_failed', login, code: 535 }]);
    assert.deepEqual(told(harness, 'login'), [{ name: 'login', login }]);
    assert.deepEqual(told(harness, 'login_refused'), []);
  });

  it('that failed with the least of all refusals', () => {
    const harness = behind(OPENED);
    say(harness, `C AUTH PLAIN ${ALICE}`, 'S 400 not now');
    assert.deepEqual(told(harness, 'login_failed'), [{ name: 'login_failed', login, code: 400 }]);
  });

  it('that was given up: it failed if its 334 told what the guess was worth', () => {
    const lines = [...OPENED, 'C EHLO again', 'S 250-mail', 'S 250 AUTH LOGIN XOAUTH2'];
    const harness = behind(lines);
    say(harness, 'C AUTH LOGIN YWxpY2U=', 'S 334 UGFzc3dvcmQ6', 'C *', 'S 501 no');
    assert.deepEqual(told(harness, 'login_failed'), []);
    const token = Buffer.from('user=alice\x01auth=Bearer x\x01\x01').toString('base64');
    say(harness, `C AUTH XOAUTH2 ${token}`, 'S 334 e30=', 'C *', 'S 535 no');
    const failed = { mechanism: 'XOAUTH2', name: 'alice' };
    assert.deepEqual(told(harness, 'login_failed'), [{ name: 'login_failed', login: failed, code: 501 }]);
  });

  it('beyond the limit of failures, where that is only observed: it goes on', () => {
    const profile = { mode: 'observe', limits: limits({ authFailures: 0 }) } as const;
    const harness = behind(OPENED, { profile });
    say(harness, `C AUTH PLAIN ${ALICE}`);
    const limited = { name: 'limited', kind: 'session', key: 'auth_failures', observed: true };
    assert.deepEqual(told(harness, 'limited'), [limited]);
    assert.equal(harness.upstreamHeard, `AUTH PLAIN ${ALICE}\r\n`);
  });

  it('that is not put to the upstream is an error', () => {
    const harness = behind(OPENED, { ...at('AUTH', REJECT), profile: { limits: limits({ errors: 0 }) } });
    say(harness, `C AUTH PLAIN ${ALICE}`);
    assert.equal(harness.clientHeard, '421 4.7.0 Too many errors, closing transmission channel\r\n');
    assert.deepEqual(told(harness, 'limited'), [{ name: 'limited', kind: 'session', key: 'errors' }]);
  });

  it('that is not put to the upstream', () => {
    const harness = behind(OPENED, at('AUTH', REJECT));
    say(harness, `C AUTH PLAIN ${ALICE}`);
    const event = { name: 'login_refused', decision: 'reject', login, rule: 'limits.some', reply };
    assert.deepEqual(told(harness, 'login_refused'), [event]);
    assert.equal(harness.upstreamHeard, '');
  });

  it('that only the mode lets pass', () => {
    for (const [own, shown] of [[LATER, reply] as const, [undefined, ''] as const]) {
      const harness = behind(OPENED, at('AUTH', wouldReject(own)));
      say(harness, `C AUTH PLAIN ${ALICE}`);
      const event = { name: 'login_refused', decision: 'would_reject', login, rule: 'never', reply: shown };
      assert.deepEqual(told(harness, 'login_refused'), [event]);
      assert.equal(harness.upstreamHeard, `AUTH PLAIN ${ALICE}\r\n`);
    }
  });

  it('whose name comes within AUTH and is refused: the session ends, for the upstream waits for an answer', () => {
    for (const rule of ['limits.some', null]) {
      const judge = ({ login }: Question): Decision => (login?.name === 'alice' ? { ...REJECT, rule } : PROCEED);
      const harness = behind([...OPENED, 'C AUTH LOGIN', 'S 334 VXNlcm5hbWU6'], { judge });
      say(harness, 'C YWxpY2U=');
      const what = 'too many failed logins of this user';
      assert.deepEqual(harness.closed, { origin: 'policy', what, key: rule ?? undefined });
      assert.equal(harness.clientHeard, '421 4.7.0 Too many failed logins, closing transmission channel\r\n');
      assert.equal(harness.upstreamHeard, '');
    }
  });
});

describe('of the upstream', () => {
  const about = { transaction: 1, sender: 'a@sender.example', octets: 0 };

  /** What all these say, but for the number of the transaction. */
  function withoutNumber(events: unknown[]): unknown[] {
    return events.map((event) => ({ ...(event as object), transaction: 1 }));
  }

  it('which steps of a transaction it refused, and with what, cut at 1024 octets', () => {
    for (const [lines, line, protocolState] of [
      [OPENED, 'MAIL FROM:<a@sender.example>', 'MAIL'],
      [WITH_RECIPIENT, 'DATA', 'DATA'],
      [WITH_RECIPIENT, 'BDAT 0', 'DATA'],
      [WITH_RECIPIENT, 'BDAT 0 LAST', 'END-OF-MESSAGE'],
      [IN_MAIL_DATA, '.', 'END-OF-MESSAGE'],
    ] as const) {
      for (const code of [400, 421, 554]) {
        const harness = behind(lines);
        say(harness, `C ${line}`, `S ${code}-first`, `S ${code} ${'x'.repeat(2000)}`);
        const reply = `${code}-first\r\n${code} ${'x'.repeat(1009)}`;
        const event = { name: 'upstream_refused', protocolState, ...about, code, reply };
        assert.deepEqual(withoutNumber(told(harness, 'upstream_refused')), [event]);
      }
    }
  });

  it('that it refused in the middle of mail data', () => {
    const harness = behind(IN_MAIL_DATA);
    say(harness, 'C four', 'S 451 4.3.0 full');
    const event = { name: 'upstream_refused', protocolState: 'END-OF-MESSAGE', ...about, octets: 6, code: 451 };
    assert.deepEqual(withoutNumber(told(harness, 'upstream_refused')), [{ ...event, reply: '451 4.3.0 full' }]);
  });

  it('which message a step was about, behind another one', () => {
    const harness = behind([...IN_MAIL_DATA, 'C .', 'S 250 ok']);
    say(harness, 'C MAIL FROM:<b@sender.example>', 'S 550 no');
    const event = { name: 'upstream_refused', protocolState: 'MAIL', ...about, sender: 'b@sender.example', code: 550 };
    assert.deepEqual(withoutNumber(told(harness, 'upstream_refused')), [{ ...event, reply: '550 no' }]);
  });

  it('a MAIL that was reset meanwhile: of no transaction', () => {
    const harness = behind(OPENED);
    say(harness, 'C MAIL FROM:<a@sender.example>', 'C RSET', 'S 550 no');
    const event = { name: 'upstream_refused', protocolState: 'MAIL', ...about, sender: '', code: 550, reply: '550 no' };
    assert.deepEqual(withoutNumber(told(harness, 'upstream_refused')), [event]);
  });

  it('a MAIL in doubt that it refused', () => {
    const harness = behind([...WITH_RECIPIENT, 'C DATA', 'S 451 no']);
    say(harness, 'C MAIL FROM:<b@sender.example>', 'S 503 nested');
    const event = { name: 'upstream_refused', protocolState: 'MAIL', ...about, code: 503, reply: '503 nested' };
    assert.deepEqual(withoutNumber(told(harness, 'upstream_refused')), [event]);
  });

  it('nothing of the sort where it refused what is no step of a transaction', () => {
    for (const line of ['NOOP', 'RSET', 'VRFY x', 'EHLO again', 'QUIT']) {
      const harness = behind(OPENED);
      say(harness, `C ${line}`, 'S 421 out');
      assert.deepEqual(told(harness, 'upstream_refused'), []);
    }
    const taken = behind(OPENED);
    say(taken, 'C MAIL FROM:<>', 'S 250 ok', 'C RCPT TO:<user@local.example>', 'S 250 ok', 'C BDAT 0', 'S 250 ok');
    say(taken, 'C BDAT 0 LAST', 'S 250 ok');
    assert.deepEqual(told(taken, 'upstream_refused'), []);
    const unasked = behind(WITH_RECIPIENT);
    say(unasked, 'S 421 out');
    assert.deepEqual(told(unasked, 'upstream_refused'), []);
  });

  it('what it answered to a RCPT', () => {
    const harness = behind(IN_TRANSACTION);
    say(harness, 'C RCPT TO:<user@local.example>', 'S 250 2.1.5 ok', 'C RCPT TO:<b@local.example>', 'S 550 no');
    say(harness, 'C RCPT TO:<c@local.example>', 'S 421 out');
    assert.deepEqual(told(harness, 'answered'), [
      { name: 'answered', code: 250, reply: '250 2.1.5 ok' },
      { name: 'answered', code: 550, reply: '550 no' },
      { name: 'answered', code: 421, reply: '421 out' },
    ]);
  });

  it('that it took a message: which, and how large', () => {
    for (const [lines, sent, octets] of [
      [IN_MAIL_DATA, 'C four', 6],
      [[...WITH_RECIPIENT, 'C BDAT 4', 'C 34', 'S 250 ok', 'C BDAT 2'], 'C ', 6],
    ] as const) {
      const harness = behind(lines);
      say(harness, sent);
      if (lines === IN_MAIL_DATA) say(harness, 'C .');
      else say(harness, 'S 250 ok', 'C BDAT 0 LAST');
      say(harness, 'S 250 2.6.0 queued');
      const event = { name: 'message', ...about, octets, code: 250, reply: '250 2.6.0 queued' };
      assert.deepEqual(withoutNumber(told(harness, 'message')), [event]);
    }
  });

  it('how its replies count: by the command and their class', () => {
    const counted = (lines: readonly string[], ...more: readonly string[]): string[] => {
      const harness = behind(lines, {
        profile: { starttls: 'passthrough', relaysAnywhere: true, exchangeVerbs: 'forward' },
      });
      say(harness, ...more);
      return (told(harness, 'replied') as Told<'replied'>[]).map(
        ({ command, replyClass }) => `${command} ${replyClass}`,
      );
    };
    assert.deepEqual(counted(OPENED, 'C NOOP', 'S 250 ok', 'C VRFY x', 'S 550 no', 'C HELP', 'S 214 help'), [
      ...['other 2yz', 'other 5yz', 'other 2yz'],
    ]);
    assert.deepEqual(counted(OPENED, 'C EHLO a', 'S 501 no', 'C HELO a', 'S 250 ok', 'C RSET', 'S 250 ok'), [
      ...['EHLO 5yz', 'HELO 2yz', 'other 2yz'],
    ]);
    assert.deepEqual(counted(OPENED, 'C AUTH LOGIN', 'S 334 VXNlcm5hbWU6', 'C *', 'S 501 no', 'C QUIT', 'S 221 bye'), [
      ...['AUTH 3yz', 'AUTH 5yz', 'QUIT 2yz'],
    ]);
    assert.deepEqual(counted(IN_TRANSACTION, 'C RCPT TO:<user@local.example>', 'S 451 later', 'C RSET', 'S 250 ok'), [
      ...['RCPT 4yz', 'RSET 2yz'],
    ]);
    assert.deepEqual(counted(WITH_RECIPIENT, 'C DATA', 'S 354 go', 'C .', 'S 250 ok', 'C MAIL FROM:<>', 'S 250 ok'), [
      ...['DATA 3yz', 'END-OF-MESSAGE 2yz', 'MAIL 2yz'],
    ]);
    assert.deepEqual(counted(WITH_RECIPIENT, 'C BDAT 0', 'S 250 ok', 'C BDAT 0 LAST', 'S 250 ok'), [
      ...['BDAT 2yz', 'END-OF-MESSAGE 2yz'],
    ]);
    // A MAIL in doubt, and the RSET of ours behind it.
    assert.deepEqual(counted(WITH_RECIPIENT, 'C DATA', 'S 451 no', 'C MAIL FROM:<>', 'S 250 ok', 'S 250 ok'), [
      ...['DATA 4yz', 'MAIL 2yz', 'RSET 2yz'],
    ]);
    const list = ['S 250-mail.local.example', 'S 250-STARTTLS', 'S 250 XEXCH50'];
    assert.deepEqual(counted(OPENED, 'C EHLO a', ...list, 'C STARTTLS', 'S 454 no'), ['EHLO 2yz', 'STARTTLS 4yz']);
  });

  it('that nothing is read any more behind its STARTTLS', () => {
    const options: HarnessOptions = { profile: { starttls: 'passthrough', relaysAnywhere: true } };
    const harness = behind([...OPENED, 'C EHLO a', 'S 250-mail', 'S 250 STARTTLS'], options);
    say(harness, 'C STARTTLS', 'S 454 no');
    assert.deepEqual(told(harness, 'opaque'), []);
    say(harness, 'C STARTTLS', 'S 220 go');
    assert.deepEqual(told(harness, 'opaque'), [{ name: 'opaque' }]);
  });
});

describe('of mail data', () => {
  const octets = (harness: Harness): number[] =>
    (told(harness, 'octets') as Told<'octets'>[]).map((event) => event.octets);

  it('how many octets go on, of DATA and of chunks', () => {
    const harness = behind(IN_MAIL_DATA);
    say(harness, 'C four', 'C a');
    assert.deepEqual(octets(harness), [6, 3]);
    const chunked = behind([...WITH_RECIPIENT, 'C BDAT 6']);
    say(chunked, 'C 4', 'C 3');
    assert.deepEqual(octets(chunked), [3, 3]);
    const together = behind(WITH_RECIPIENT);
    together.clientSays('BDAT 6\r\nfour\r\n');
    assert.deepEqual(octets(together), [6]);
    const swallowed = behind([...OPENED, 'C BDAT 6']);
    say(swallowed, 'C 4', 'C 3');
    assert.deepEqual(octets(swallowed), []);
  });

  it('once that there is too much of it, in however many pieces, and none beyond the limit goes on', () => {
    const limited = { name: 'limited', kind: 'session', key: 'max_message_size' };
    for (const [mode, goesOn, event] of [
      ['enforce', '12345678', limited],
      ['observe', '123456789abcdef', { ...limited, observed: true }],
    ] as const) {
      const harness = behind(IN_MAIL_DATA, { profile: { mode, maxMessageSize: 8 } });
      for (const piece of ['12345', '6789a', 'bcdef']) harness.clientSays(piece);
      assert.equal(harness.upstreamHeard, goesOn);
      assert.deepEqual(told(harness, 'limited'), [event]);
      assert.equal(harness.closed, null, 'the client is told at the end of its message');
    }
  });

  it('what was read in two ways, where, and which setting says so', () => {
    for (const [profile, key] of [
      [{}, 'bare_lf'],
      [{ dotLines: 'strict' }, 'upstream.dot_lines'],
      [{ dotLines: 'strict', upstream: 'old' }, 'upstreams.old.dot_lines'],
    ] as const) {
      const harness = behind(IN_MAIL_DATA, { profile });
      harness.clientSays('text\n.\r\n');
      const event = { name: 'ambiguous_end', octets: '\n.\r\n', offset: 5, key };
      assert.deepEqual(told(harness, 'ambiguous_end'), [event]);
      assert.deepEqual(harness.closed, { origin: 'policy', what: 'ambiguous end of mail data', key });
    }
  });
});

describe('of what was said and is answered by us', () => {
  const [small, login] = [{ maxMessageSize: 10 }, `AUTH PLAIN ${ALICE}`];
  const tooLarge = '552 5.3.4 Message size exceeds the limit';
  const cannotVerify = '252 2.5.0 Cannot VRFY user, but will accept message and attempt delivery';
  const encryption = '538 5.7.11 Encryption required for requested authentication mechanism';
  const cases: readonly (readonly [readonly string[], string, Partial<Profile>, string, string | null])[] = [
    [OPENED, 'FOO BAR', {}, '500 5.5.1 Command unrecognized', null],
    [IN_TRANSACTION, 'MAIL FROM:<>', {}, '503 5.5.1 Nested MAIL command', null],
    [OPENED, 'VRFY user', { vrfy: 'refuse' }, cannotVerify, 'vrfy'],
    [OPENED, 'BDAT x', {}, '501 5.5.4 Syntax: BDAT count [LAST]', null],
    [OPENED.slice(0, 1), 'BDAT 0', {}, '503 BDAT was not offered', null],
    [OPENED.slice(0, 1), 'BDAT 0', { chunking: 'hide' }, '503 BDAT was not offered', 'chunking'],
    [OPENED, 'GET / HTTP/1.1', {}, '500 5.5.1 This is an SMTP port', null],
    [OPENED, 'MAIL FROM:<> SIZE=1001', {}, tooLarge, null],
    [OPENED, 'MAIL FROM:<> SIZE=11', small, tooLarge, 'max_message_size'],
    [WITH_RECIPIENT, 'BDAT 11', small, tooLarge, 'max_message_size'],
    [OPENED, 'BDAT 0', {}, '503 5.5.1 No valid recipients', null],
    [OPENED, 'DATA', {}, '503 5.5.1 No valid recipients', null],
    [OPENED, 'XEXCH50 1 2', {}, '502 5.5.1 Command not available', 'exchange_verbs'],
    [OPENED, 'X-LINK2STATE x', {}, '502 5.5.1 Command not available', 'exchange_verbs'],
    [OPENED, 'STARTTLS', {}, '502 5.5.1 Command not available', 'starttls'],
    [OPENED.slice(0, 1), login, { auth: 'hide' }, '502 Command not available', 'auth'],
    [OPENED, login, { auth: 'require_tls' }, encryption, 'auth'],
  ];
  for (const [lines, line, profile, reply, key] of cases) {
    it(`${line}: ${reply}`, () => {
      const harness = behind(lines, { profile });
      say(harness, `C ${line}`);
      const said = line === login ? 'AUTH PLAIN' : line;
      assert.deepEqual(told(harness, 'refused'), [{ name: 'refused', verb: line.split(' ')[0], said, reply, key }]);
    });
  }

  it('256 octets of a line that is too long', () => {
    const harness = behind(OPENED);
    say(harness, `C NOOP ${'x'.repeat(2048)}`);
    const [said, key] = [`NOOP ${'x'.repeat(251)}`, 'limits.session.command_line'];
    const refused = { name: 'refused', verb: 'NOOP', said, reply: '500 5.5.2 Line too long', key };
    assert.deepEqual(told(harness, 'refused'), [refused]);
  });

  it('a line with a control character as it came', () => {
    const harness = behind(OPENED);
    say(harness, 'C RCPT\rTO:<x>');
    const reply = '500 5.5.2 Commands must end in CRLF and hold no control characters';
    const refused = { name: 'refused', verb: '', said: 'RCPT\rTO:<x>\r\n', reply, key: null };
    assert.deepEqual(told(harness, 'refused'), [refused]);
  });

  it('nothing of the first BDAT behind recipients that were refused: who pipelines cannot know', () => {
    const harness = behind(IN_TRANSACTION);
    say(harness, 'C RCPT TO:<x@foreign.example>', 'C BDAT 0 LAST');
    assert.deepEqual(told(harness, 'refused'), []);
    say(harness, 'C BDAT 0 LAST');
    assert.equal(told(harness, 'refused').length, 1);
  });

  it('never what may be part of a login', () => {
    const harness = behind([...OPENED, 'C AUTH LOGIN', 'S 535 no']);
    say(harness, 'C YWxpY2U=', 'C pass\rword');
    const withheld = '(withheld: it may be part of a login)';
    assert.deepEqual(
      (told(harness, 'refused') as Told<'refused'>[]).map(({ said }) => said),
      [withheld, withheld],
    );
  });

  it('nor what follows one of another protocol, which came to the wrong port', () => {
    const harness = behind(OPENED);
    say(harness, 'C USER alice', 'C secret');
    const withheld = '(withheld: it may be part of a login)';
    assert.deepEqual(
      (told(harness, 'refused') as Told<'refused'>[]).map(({ said }) => said),
      [withheld, withheld],
    );
  });

  it('nor what is wrong in a response of a login', () => {
    const harness = behind([...OPENED, 'C AUTH LOGIN', 'S 334 VXNlcm5hbWU6']);
    say(harness, 'C NOOP pass\rword');
    assert.equal((told(harness, 'refused') as Told<'refused'>[])[0]?.said, '(withheld: it may be part of a login)');
  });

  it('the signature of a PROXY header of version 2, in lines and before the greeting', () => {
    const header = '\r\n\r\n\0\r\nQUIT\n';
    const line = behind(OPENED.slice(0, 1));
    line.clientSays(header);
    assert.equal((told(line, 'refused') as Told<'refused'>[]).at(-1)?.said, 'PROXY (version 2)');
    const early = behind([], { profile: { earlyTalker: 'reject' } });
    early.clientSays(header);
    const key = 'early_talker';
    const reply = '554 SMTP synchronization error: wait for the greeting';
    const refused = { name: 'refused', verb: 'PROXY', said: 'PROXY (version 2)', reply, key };
    assert.deepEqual(told(early, 'refused'), [refused]);
  });

  it('the first line of who speaks before the greeting, cut at 256 octets', () => {
    const early = behind([], { profile: { earlyTalker: 'reject' } });
    say(early, 'C EHLO client.example\r\nMAIL FROM:<>');
    assert.equal((told(early, 'refused') as Told<'refused'>[])[0]?.said, 'EHLO client.example');
    const long = behind([], { profile: { earlyTalker: 'reject' } });
    say(long, `C EHLO ${'x'.repeat(300)}`);
    assert.equal((told(long, 'refused') as Told<'refused'>[])[0]?.said, `EHLO ${'x'.repeat(251)}`);
  });
});

describe('of a limit of the session', () => {
  it('which it is', () => {
    for (const [lines, key] of [
      [['C FOO'], 'errors'],
      [['C NOOP', 'S 250 ok'], 'junk_commands'],
    ] as const) {
      const harness = behind(OPENED, { profile: { limits: limits({ errors: 0, junkCommands: 0 }) } });
      say(harness, ...lines);
      assert.deepEqual(told(harness, 'limited'), [{ name: 'limited', kind: 'session', key }]);
    }
  });
});

describe('the judge is asked', () => {
  const client = { helo: 'client.example', login: null, tls: false, tlsSubject: [] };

  it('of a sender, with the address parsed', () => {
    const harness = behind(OPENED);
    say(harness, 'C MAIL FROM:<"b"@Sender.example.>');
    const senderAddress = { local: 'b', domain: 'sender.example', literal: null };
    const sender = '"b"@Sender.example.';
    const question = {
      protocolState: 'MAIL',
      transaction: 0,
      ...client,
      sender,
      senderAddress,
      recipient: '',
      addresses: [],
    };
    assert.deepEqual(harness.questions, [question]);
  });

  it('of a sender that has not said who it is', () => {
    const harness = behind(OPENED.slice(0, 1));
    say(harness, 'C MAIL FROM:<>');
    assert.equal(harness.questions[0]?.helo, '');
  });

  it('of a recipient, with the sender, every address, the login and TLS', () => {
    const options: HarnessOptions = { names: ['CN=client'], judge: () => PROCEED };
    const harness = behind([...OPENED, `C AUTH PLAIN ${ALICE}`, 'S 235 in', 'C MAIL FROM:<>', 'S 250 ok'], options);
    say(harness, 'C RCPT TO:<x%foreign.example@local.example>');
    const addresses = [
      { local: 'x%foreign.example', domain: 'local.example', literal: null },
      { local: 'x', domain: 'foreign.example', literal: null },
    ];
    const login = { mechanism: 'PLAIN', name: 'alice' };
    const about = { helo: 'client.example', login, tls: true, tlsSubject: ['CN=client'] };
    const recipient = 'x%foreign.example@local.example';
    const question = {
      protocolState: 'RCPT',
      transaction: 1,
      ...about,
      sender: '',
      senderAddress: null,
      recipient,
      addresses,
    };
    assert.deepEqual(harness.questions, [question]);
  });

  it('of a login: who it is that tries', () => {
    const harness = behind(OPENED);
    say(harness, `C AUTH PLAIN ${ALICE}`);
    const login = { mechanism: 'PLAIN', name: 'alice' };
    const nobody = { sender: '', senderAddress: null, recipient: '', addresses: [] };
    assert.deepEqual(harness.questions, [{ protocolState: 'AUTH', transaction: 0, ...client, login, ...nobody }]);
  });

  it('of a login, when it is tried and when its name is known, and not again', () => {
    const harness = behind(OPENED);
    say(harness, 'C AUTH LOGIN', 'S 334 VXNlcm5hbWU6', 'C YWxpY2U=', 'S 334 UGFzc3dvcmQ6', 'C c2VjcmV0', 'S 235 in');
    assert.deepEqual(
      harness.questions.map(({ login }) => login?.name),
      [null, 'alice'],
    );
  });
});
