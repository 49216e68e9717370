// What a driver reads of a session and does to it, beside handing octets in: the wait that it is in, whose turn it is, time-outs,
// ends of connections. And how it begins anew behind TLS.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { SHUTTING_DOWN } from '../../src/smtp/replies.ts';
import { DOING } from '../../src/smtp/session.ts';
import type { CloseReason } from '../../src/smtp/types.ts';
import { DEFAULT_LIMITS, Harness, type HarnessOptions } from '../helpers/harness.ts';
import { ALICE, behind, IN_MAIL_DATA, IN_TRANSACTION, OPENED, say, WITH_RECIPIENT } from '../helpers/opened.ts';

const TLS: HarnessOptions = { profile: { starttls: 'terminate' } };
const TUNNEL: HarnessOptions = { profile: { starttls: 'passthrough', relaysAnywhere: true } };
const OFFERS_TLS = ['S 220 mail.local.example', 'C EHLO client.example', 'S 250-mail.local.example', 'S 250 STARTTLS'];

interface Wait {
  readonly doing: string;
  readonly upstream: boolean; // is waited for
  readonly lines: readonly string[];
  readonly options?: HarnessOptions;
  /** What the client hears when its time is over, and when the upstream goes. */
  readonly expired: string;
  readonly lost: string;
}

const TIMEOUT = '421 4.4.2 Timeout, closing transmission channel\r\n';
const LOST = '421 4.4.2 Connection to the mail server lost, try again later\r\n';
const UNAVAILABLE = '421 4.3.2 Service not available, try again later\r\n';
const NOT_CONFIRMED = '451 4.4.2 Connection to the mail server lost before it confirmed the message\r\n';

const WAITS: readonly Wait[] = [
  { doing: 'greeting', upstream: true, lines: [], expired: UNAVAILABLE, lost: UNAVAILABLE },
  { doing: 'command', upstream: false, lines: OPENED, expired: TIMEOUT, lost: LOST },
  { doing: 'reply', upstream: true, lines: [...OPENED, 'C NOOP'], expired: LOST, lost: LOST },
  { doing: 'go-ahead', upstream: true, lines: [...WITH_RECIPIENT, 'C DATA'], expired: LOST, lost: LOST },
  { doing: 'mail data', upstream: false, lines: IN_MAIL_DATA, expired: TIMEOUT, lost: LOST },
  { doing: 'mail data', upstream: false, lines: [...WITH_RECIPIENT, 'C BDAT 5'], expired: TIMEOUT, lost: LOST },
  { doing: 'mail data', upstream: false, lines: [...OPENED, 'C BDAT 5'], expired: TIMEOUT, lost: LOST },
  {
    doing: 'confirmation',
    upstream: true,
    lines: [...IN_MAIL_DATA, 'C .'],
    expired: NOT_CONFIRMED,
    lost: NOT_CONFIRMED,
  },
  {
    doing: 'confirmation',
    upstream: true,
    lines: [...WITH_RECIPIENT, 'C BDAT 0 LAST'],
    expired: NOT_CONFIRMED,
    lost: NOT_CONFIRMED,
  },
  {
    doing: 'decision',
    upstream: false,
    lines: [...OPENED, 'C MAIL FROM:<>'],
    options: { judgement: 'asked' },
    expired: LOST,
    lost: LOST,
  },
  {
    doing: 'TLS handshake',
    upstream: false,
    lines: [...OFFERS_TLS, 'C STARTTLS'],
    options: TLS,
    expired: '',
    lost: '',
  },
  {
    doing: 'opaque octets',
    upstream: false,
    lines: [...OFFERS_TLS, 'C STARTTLS', 'S 220 go'],
    options: TUNNEL,
    expired: '',
    lost: '',
  },
];

const FOR_CLIENT = new Set(['command', 'mail data', 'opaque octets']);

for (const { doing, upstream, lines, options, expired, lost } of WAITS) {
  describe(`a session that waits for ${doing} (${lines.at(-1) ?? 'at its start'})`, () => {
    it('says so, and whether it is the upstream that it waits for', () => {
      const { session } = behind(lines, options);
      assert.equal(DOING[session.doing], doing);
      assert.equal(session.waitsForUpstream, upstream);
    });

    it('ends when the time is over', () => {
      const harness = behind(lines, options);
      harness.does((session) => session.expire('timeouts.some'));
      const origin = FOR_CLIENT.has(doing) ? 'client' : 'upstream';
      assert.deepEqual(harness.closed, { origin, what: `timeout while awaiting ${doing}`, key: 'timeouts.some' });
      assert.equal(harness.clientHeard, expired);
      assert.equal(DOING[harness.session.doing], 'nothing');
      assert.equal(harness.session.waitsForUpstream, false);
    });

    it('ends when the upstream goes', () => {
      const harness = behind(lines, options);
      harness.upstreamEnds();
      const what =
        doing === 'greeting'
          ? 'upstream cannot be reached, or closed before its greeting'
          : `upstream closed while awaiting ${doing}`;
      assert.deepEqual(harness.closed, { origin: 'upstream', what });
      assert.equal(harness.clientHeard, lost);
    });

    it('ends when the client is lost', () => {
      const harness = behind(lines, options);
      harness.does((session) => session.clientLost());
      assert.deepEqual(harness.closed, { origin: 'client', what: `client was lost while awaiting ${doing}` });
      assert.equal(harness.clientHeard, '');
    });
  });
}

describe('what a session says of itself', () => {
  it('its progress grows with every command while one is awaited, else with every reply', () => {
    const harness = behind(OPENED);
    const { session } = harness;
    const heard = session.progress;
    say(harness, 'C FOO', 'C ', 'C  ');
    assert.equal(session.progress, heard + 3);
    harness.clientSays('MAIL FROM:<>\r\n');
    const waiting = session.progress;
    harness.clientSays('RCPT TO:<user@local.example>\r\n');
    assert.equal(session.progress, waiting);
    harness.upstreamSays('250 ok\r\n');
    assert.equal(session.progress, waiting + 1);
  });

  it('octets in a tunnel are progress as well', () => {
    const harness = behind([...OFFERS_TLS, 'C STARTTLS', 'S 220 go', 'C hello'], TUNNEL);
    const before = harness.session.progress;
    harness.upstreamSays('hello');
    assert.equal(harness.session.progress, before + 1);
  });

  it('the name of the last EHLO or HELO, accepted or not, and none behind a handshake', () => {
    const harness = new Harness(TLS);
    assert.equal(harness.session.helo, '');
    say(harness, 'S 220 mail.local.example', 'C EHLO one');
    assert.equal(harness.session.helo, 'one');
    say(harness, 'S 250 mail.local.example', 'C HELO two', 'S 501 no');
    assert.equal(harness.session.helo, 'two');
    say(harness, 'C STARTTLS');
    harness.shakeHands();
    assert.equal(harness.session.helo, '');
  });

  it('the verb of the last command, but for what may be part of a login', () => {
    const harness = behind(OPENED);
    say(harness, 'C noop', 'S 250 ok');
    assert.equal(harness.session.verb, 'NOOP');
    say(harness, 'C secret');
    assert.equal(harness.session.verb, '');
  });

  it('who has logged in', () => {
    const harness = behind(OPENED);
    assert.equal(harness.session.loginName, null);
    say(harness, `C AUTH PLAIN ${ALICE}`, 'S 235 in');
    assert.equal(harness.session.loginName, 'alice');
  });

  it('whether a certificate names the client', () => {
    const harness = new Harness(TLS);
    say(harness, 'S 220 mail.local.example', 'C EHLO one', 'S 250 mail.local.example');
    assert.equal(harness.session.isNamed, false);
    say(harness, 'C STARTTLS');
    harness.shakeHands(['CN=client']);
    assert.equal(harness.session.isNamed, true);
  });

  it('whether the next octets are mail data, behind DATA and in a chunk', () => {
    const { session } = behind(IN_MAIL_DATA);
    assert.deepEqual([session.inMailData, session.isMailData(1_000_000)], [true, true]);
    const chunk = behind([...WITH_RECIPIENT, 'C BDAT 5']).session;
    assert.deepEqual([chunk.inMailData, chunk.isMailData(5), chunk.isMailData(6)], [true, true, false]);
    const swallowed = behind([...OPENED, 'C BDAT 5']).session;
    assert.deepEqual([swallowed.inMailData, swallowed.isMailData(5)], [false, false]);
    const command = behind(WITH_RECIPIENT).session;
    assert.deepEqual([command.inMailData, command.isMailData(1)], [false, false]);
    const early = behind(IN_MAIL_DATA);
    early.upstreamSays('250 que');
    assert.deepEqual([early.session.inMailData, early.session.isMailData(1)], [false, false]);
  });
});

describe('a turn', () => {
  const refused = (count: number): string => 'RCPT TO:<victim@foreign.example>\r\n'.repeat(count);

  it('is 32 commands of a chunk; the next ones are read when the driver gives it another', () => {
    const harness = behind(IN_TRANSACTION);
    harness.reads = false;
    harness.clientSays(refused(31));
    assert.equal(harness.session.hasHadItsTurn, false);
    harness.clientSays(refused(33));
    assert.equal(harness.takeClientHeard().split('\r\n').length - 1, 31 + 32);
    assert.ok(harness.session.hasHadItsTurn && harness.holding);
    harness.does((session) => session.goOn());
    assert.equal(harness.takeClientHeard().split('\r\n').length - 1, 1);
    assert.ok(!harness.session.hasHadItsTurn && !harness.holding);
  });

  it('is 64 KiB for a client', () => {
    const recipients = Array.from({ length: 32 }, (_, at) => `C RCPT TO:<user${at}@local.example>`);
    const line = `250-${'x'.repeat(1018)}\r\n`;
    const reply = line + line.replace('-', ' '); // 2048 octets
    for (const [octets, isOver] of [
      [reply.repeat(32), true],
      [reply.repeat(31) + reply.replace('x', ''), false],
    ] as const) {
      const harness = behind([...IN_TRANSACTION, ...recipients]);
      harness.reads = false;
      harness.upstreamSays(octets);
      assert.equal(harness.session.hasHadItsTurn, isOver);
      assert.equal(harness.takeClientHeard(), octets);
      harness.reads = true;
      say(harness, 'C NOOP');
      assert.equal(harness.session.hasHadItsTurn, false);
      assert.equal(harness.takeUpstreamHeard(), 'NOOP\r\n');
      harness.upstreamSays(reply.repeat(1)); // of a turn of its own
      assert.equal(harness.session.hasHadItsTurn, false);
    }
  });

  describe('begins anew', () => {
    const patient = { ...DEFAULT_LIMITS, errors: Number.POSITIVE_INFINITY };
    const unknown = (count: number): string => 'FOO\r\n'.repeat(count);

    it('with what the upstream says', () => {
      const harness = behind(IN_TRANSACTION, { profile: { limits: patient } });
      harness.reads = false;
      harness.clientSays(`${unknown(20)}NOOP\r\n${unknown(31)}`);
      say(harness, 'S 250 ok');
      assert.equal(harness.session.hasHadItsTurn, false);
      assert.equal(harness.clientHeard.split('\r\n').length - 1, 20 + 1 + 31);
    });

    it('with a decision', () => {
      const harness = behind(OPENED, { judgement: 'asked', profile: { limits: patient } });
      harness.reads = false;
      harness.clientSays(`${unknown(20)}MAIL FROM:<>\r\n${unknown(31)}`);
      harness.answer();
      say(harness, 'S 250 ok');
      assert.equal(harness.session.hasHadItsTurn, false);
      assert.equal(harness.clientHeard.split('\r\n').length - 1, 20 + 1 + 31);
    });

    it('with what comes out of the tarpit', () => {
      const harness = behind(OPENED, { profile: { limits: patient, tarpit: 1000 } });
      harness.reads = false;
      harness.clientSays(unknown(40));
      for (let i = 0; i < 40; i++) harness.waited();
      assert.equal(harness.clientHeard.split('\r\n').length - 1, 40);
    });
  });

  it('is not over at the start', () => {
    assert.equal(new Harness().session.hasHadItsTurn, false);
  });

  it('is over with the session', () => {
    const harness = behind(IN_TRANSACTION);
    harness.reads = false;
    harness.clientSays(refused(64));
    assert.ok(harness.session.hasHadItsTurn);
    harness.does((session) => session.shutDown());
    assert.equal(harness.session.hasHadItsTurn, false);
    harness.session.goOn();
  });
});

describe('a client that does not wait for replies', () => {
  const limits = { ...DEFAULT_LIMITS, recipientsPerMessage: Number.POSITIVE_INFINITY };
  const recipient = 'RCPT TO:<user@local.example>\r\n';

  it('is held while a thousand are owed, and read on when half of them are in', () => {
    const harness = behind(IN_TRANSACTION, { profile: { limits } });
    harness.clientSays(recipient.repeat(1000));
    assert.equal(harness.holding, false);
    harness.clientSays(recipient);
    assert.ok(harness.holding);
    assert.equal(harness.takeUpstreamHeard(), recipient.repeat(1000));
    harness.upstreamSays('250 ok\r\n'.repeat(499));
    assert.ok(harness.holding);
    harness.upstreamSays('250 ok\r\n');
    assert.equal(harness.holding, false);
    assert.equal(harness.takeUpstreamHeard(), recipient);
  });

  it('is held when 32 KiB of ours wait behind one that is owed', () => {
    const harness = behind([...OPENED, 'C MAIL FROM:<>'], { profile: { limits } });
    const refused = 'RCPT TO:<victim@foreign.example>\r\n';
    harness.clientSays(refused.repeat(300)); // 83 octets each
    assert.equal(harness.holding, false);
    harness.clientSays(refused.repeat(300));
    assert.ok(harness.holding);
    harness.upstreamSays('250 ok\r\n');
    assert.equal(harness.holding, false);
    assert.equal(harness.clientHeard.split('\r\n').length - 1, 601);
  });
});

describe('the tarpit', () => {
  const options: HarnessOptions = { profile: { tarpit: 1000 } };

  it('takes every 5yz, of ours and of the server, and nothing is read while it is there', () => {
    for (const lines of [['C FOO'], ['C NOOP', 'S 500 no']]) {
      const harness = behind(OPENED, options);
      say(harness, ...lines);
      assert.deepEqual([harness.tarpits, harness.inTarpit], [1, true]);
      harness.takeUpstreamHeard();
      say(harness, 'C NOOP');
      assert.equal(harness.takeUpstreamHeard(), '');
      harness.waited();
      assert.equal(harness.takeUpstreamHeard(), 'NOOP\r\n');
    }
  });

  it('lets go first what stands before it', () => {
    const harness = behind([...OPENED, 'C NOOP', 'C FOO'], options);
    let before = '';
    harness.tarpit = () => {
      before = harness.clientHeard;
    };
    say(harness, 'S 250 ok');
    assert.equal(before, '250 ok\r\n');
  });

  it('takes nothing else, nothing where there is none, and nothing of who has logged in', () => {
    const harness = behind(OPENED, options);
    say(harness, 'C NOOP', 'S 450 later', 'C NOOP', 'S 250 5.0.0 ok');
    const without = behind(OPENED);
    say(without, 'C FOO');
    const loggedIn = behind([...OPENED, `C AUTH PLAIN ${ALICE}`, 'S 235 in'], options);
    say(loggedIn, 'C FOO');
    assert.deepEqual([harness.tarpits, without.tarpits, loggedIn.tarpits], [0, 0, 0]);
  });
});

describe('a client that closes its side', () => {
  const ended = (harness: Harness): string | undefined => {
    harness.clientEnds();
    return harness.closed?.what;
  };

  it('ends the session at once where nothing is owed', () => {
    assert.equal(ended(behind(OPENED)), 'client closed while awaiting command');
    assert.equal(ended(behind(IN_MAIL_DATA)), 'client closed while awaiting mail data');
    assert.equal(ended(behind([])), 'client closed while awaiting greeting');
    assert.equal(
      ended(behind([...OPENED, 'C AUTH LOGIN', 'S 334 VXNlcm5hbWU6'])),
      'client closed while awaiting command',
    );
  });

  it('ends it in the midst of a line that is too long, whatever is owed', () => {
    const harness = behind([...IN_TRANSACTION, 'C RCPT TO:<user@local.example>']);
    harness.clientSays('x'.repeat(3000));
    assert.equal(ended(harness), 'client closed while awaiting reply');
  });

  it('hears what it is owed first: a reply', () => {
    const harness = behind([...OPENED, 'C NOOP']);
    assert.equal(ended(harness), undefined);
    say(harness, 'S 250 ok');
    assert.equal(harness.clientHeard, '250 ok\r\n');
    assert.equal(harness.closed?.origin, 'client');
  });

  it('or the answer within a login', () => {
    const harness = behind([...OPENED, 'C AUTH LOGIN', 'S 334 VXNlcm5hbWU6', 'C YWxpY2U=']);
    assert.equal(ended(harness), undefined);
    say(harness, 'S 334 UGFzc3dvcmQ6');
    assert.equal(harness.closed?.origin, 'client');
  });

  it('or a decision', () => {
    const harness = behind([...OPENED, 'C MAIL FROM:<>'], { judgement: 'asked' });
    assert.equal(ended(harness), undefined);
    harness.answer();
    say(harness, 'S 250 ok');
    assert.equal(harness.clientHeard, '250 ok\r\n');
    assert.equal(harness.closed?.origin, 'client');
  });

  it('or the replies before our last one', () => {
    const harness = behind([...IN_TRANSACTION, 'C RCPT TO:<user@local.example>']);
    harness.clientSays('\x16');
    assert.equal(ended(harness), undefined);
    say(harness, 'S 250 ok');
    assert.equal(harness.clientHeard, '250 ok\r\n500 5.5.1 This is an SMTP port\r\n');
    assert.equal(harness.closed?.what, 'TLS on a plain SMTP port');
  });

  it('or the answer to what it said before the greeting', () => {
    const harness = behind([]);
    say(harness, 'C QUIT');
    assert.equal(ended(harness), undefined);
  });
});

describe('the operator ends a session between transactions', () => {
  const drained = (harness: Harness): CloseReason | null => {
    harness.drain();
    return harness.closed;
  };

  it('at once where there is none, and before the greeting', () => {
    for (const lines of [OPENED, []]) assert.deepEqual(drained(behind(lines)), { origin: 'operator', what: 'drained' });
  });

  it('not within one, nor within a login', () => {
    for (const lines of [IN_TRANSACTION, IN_MAIL_DATA, [...OPENED, 'C AUTH LOGIN', 'S 334 VXNlcm5hbWU6']])
      assert.equal(drained(behind(lines)), null);
  });
});

describe('an upstream that answers a chunk before all of it is there', () => {
  it('gets no more of it', () => {
    const harness = behind([...WITH_RECIPIENT, 'C BDAT 5']);
    harness.clientSays('ab');
    harness.upstreamSays('250 que');
    harness.clientSays('cde');
    assert.equal(harness.upstreamHeard, 'ab');
    harness.upstreamSays('ued\r\n');
    assert.equal(harness.closed?.origin, 'upstream');
  });
});

describe('ends that a driver knows of', () => {
  const ends: readonly (readonly [string, readonly string[], (harness: Harness) => void, CloseReason, string])[] = [
    [
      'a handshake that came to nothing',
      [...OFFERS_TLS, 'C STARTTLS'],
      (harness) => harness.does((session) => session.handshakeFailed('no shared cipher', 'listeners[].tls')),
      { origin: 'client', what: 'TLS handshake failed', cause: 'no shared cipher', key: 'listeners[].tls' },
      '',
    ],
    [
      'a machine that is short of what a connection needs',
      [],
      (harness) => harness.does((session) => session.cannotDial('EMFILE')),
      { origin: 'operator', what: 'this machine was short of what a connection needs', cause: 'EMFILE' },
      UNAVAILABLE,
    ],
    [
      'the operator, at once',
      IN_MAIL_DATA,
      (harness) => harness.does((session) => session.shutDown()),
      { origin: 'operator', what: 'shut down' },
      '421 4.3.2 Service shutting down, closing transmission channel\r\n',
    ],
    [
      'the operator, between transactions, with words and reason of its own; of two the first counts',
      OPENED,
      (harness) => {
        say(harness, 'C NOOP');
        const own = { code: 421, enhanced: '4.7.0', text: 'Enough of {client_address}' };
        harness.does((session) => session.drain(own, { origin: 'policy', what: 'banned' }));
        harness.does((session) => session.drain(SHUTTING_DOWN, { origin: 'operator', what: 'drained' }));
        say(harness, 'S 250 2.0.0 ok');
      },
      { origin: 'policy', what: 'banned' },
      '250 2.0.0 ok\r\n421 4.7.0 Enough of \r\n',
    ],
    [
      'an upstream that goes where it owes the answer to QUIT',
      [...OPENED, 'C QUIT'],
      (harness) => harness.upstreamEnds(),
      { origin: 'client', what: 'quit' },
      '',
    ],
    [
      'an upstream that goes where it owes other answers before that to QUIT',
      [...OPENED, 'C NOOP', 'C QUIT'],
      (harness) => harness.upstreamEnds(),
      { origin: 'upstream', what: 'upstream closed while awaiting reply' },
      LOST,
    ],
  ];
  for (const [what, lines, act, reason, hears] of ends) {
    it(what, () => {
      const harness = behind(lines, TLS);
      act(harness);
      assert.deepEqual(withoutAbsent(harness.closed), reason);
      assert.equal(harness.clientHeard, hears);
    });
  }

  it('in words of ours that have a code where the server has them, and before the client has said who it is', () => {
    const ended = (lines: readonly string[]): string => {
      const harness = behind(lines);
      harness.does((session) => session.shutDown());
      return harness.clientHeard;
    };
    const words = 'Service shutting down, closing transmission channel\r\n';
    assert.equal(ended(OPENED), `421 4.3.2 ${words}`);
    assert.equal(ended(OPENED.slice(0, 1)), `421 4.3.2 ${words}`);
    assert.equal(ended(['S 220 mail', 'C EHLO client.example', 'S 250 mail']), `421 ${words}`);
  });

  it('in words of ours that have placeholders', () => {
    const own = { code: 421, enhanced: null, text: 'Enough of {client_address} <{recipient}> <{sender}>' };
    const ended = behind(OPENED, { address: '192.0.2.7' });
    ended.does((session) => session.drain(own));
    assert.equal(ended.clientHeard, '421 Enough of 192.0.2.7 <> <>\r\n');
    const refused = behind(IN_TRANSACTION, { address: '192.0.2.7', profile: { relayReply: own } });
    say(refused, 'C RCPT TO:<@a.example:b@c.example>');
    assert.equal(refused.clientHeard, '421 Enough of 192.0.2.7 <@a.example:b@c.example> <a@sender.example>\r\n');
    const login: HarnessOptions = { judge: () => ({ action: 'reject', reason: 'limit', rule: null, reply: own }) };
    const tried = behind(OPENED, { ...login, address: '192.0.2.7' });
    say(tried, `C AUTH PLAIN ${ALICE}`);
    assert.equal(tried.clientHeard, '421 Enough of 192.0.2.7 <> <>\r\n');
  });

  it('of who speaks before the greeting, and of nobody who speaks behind it', () => {
    const harness = behind(OPENED.slice(0, 1), { profile: { earlyTalker: 'reject' } });
    say(harness, 'C EHLO client.example');
    assert.equal(harness.upstreamHeard, 'EHLO client.example\r\n');
    const early = behind([], { profile: { earlyTalker: 'reject' } });
    say(early, 'C EHLO client.example');
    assert.equal(early.closed?.what, 'client spoke before the greeting');
  });

  it('behind a reply that ends it those that came along with it are not heard', () => {
    const lines = [...IN_TRANSACTION, 'C RCPT TO:<a@local.example>', 'C RCPT TO:<b@local.example>'];
    const harness = behind(lines);
    harness.upstreamSays('354 what\r\n550 no\r\n');
    assert.equal(harness.closed?.origin, 'upstream');
    assert.deepEqual(harness.events, [{ name: 'replied', command: 'RCPT', replyClass: '3yz' }]);
  });

  it('behind it nothing is asked that waited for the replies before it', () => {
    const harness = behind([...OPENED, 'C MAIL FROM:<>', 'C RSET', `C AUTH PLAIN ${ALICE}`]);
    harness.upstreamSays('250 ok\r\n250 ok\r\n250 surplus\r\n');
    assert.equal(harness.closed?.what, 'upstream sent a surplus reply');
    assert.deepEqual(harness.questions, []);
  });

  it('of the operator in a handshake, when that is over', () => {
    const harness = behind([...OFFERS_TLS, 'C STARTTLS'], TLS);
    harness.drain();
    assert.ok(harness.securing);
    harness.shakeHands();
    assert.equal(harness.closed?.what, 'drained');
  });

  it('of an upstream that begins to speak in a handshake: it is asked nothing more', () => {
    const harness = behind([...OFFERS_TLS, 'C STARTTLS'], TLS);
    harness.upstreamSays('250 sur');
    harness.shakeHands();
    say(harness, 'C EHLO again');
    assert.equal(harness.upstreamHeard, '');
    harness.upstreamSays('plus\r\n');
    assert.equal(harness.closed?.what, 'upstream sent a surplus reply');
  });

  it('behind the end nothing is told either, though the client spoke too early', () => {
    const harness = behind([], { profile: { earlyTalker: 'reject' } });
    harness.does((session) => session.shutDown());
    harness.session.fromClient(Buffer.from('EHLO client.example\r\n'));
    assert.deepEqual(harness.events, []);
  });

  it('behind the end a decision that was owed comes to nothing, and so does a handshake', () => {
    const asked = behind(OPENED, { judgement: 'asked' });
    say(asked, 'C MAIL FROM:<>');
    asked.does((session) => session.shutDown());
    const reply = { code: 550, enhanced: null, text: 'No' };
    asked.session.judged({ action: 'reject', reason: 'no_rule', rule: null, reply });
    assert.deepEqual(asked.events, []);
    const securing = behind([...OFFERS_TLS, 'C STARTTLS'], TLS);
    securing.does((session) => session.shutDown());
    securing.session.clientSecured([]);
    assert.equal(securing.session.helo, 'client.example');
  });

  it('a decision counts once', () => {
    const harness = behind(OPENED, { judgement: 'asked' });
    say(harness, 'C MAIL FROM:<>');
    for (let times = 0; times < 2; times++)
      harness.does((session) => session.judged({ action: 'proceed', reason: 'rule', rule: null, observed: false }));
    assert.equal(harness.upstreamHeard, 'MAIL FROM:<>\r\n');
  });

  it('a handshake counts once', () => {
    const harness = behind([...OFFERS_TLS, 'C STARTTLS'], TLS);
    harness.shakeHands();
    say(harness, 'C EHLO again');
    harness.does((session) => session.clientSecured([]));
    assert.equal(harness.session.helo, 'again');
  });

  it('behind the end nothing happens any more, whoever calls', () => {
    const harness = behind(OPENED);
    harness.does((session) => session.shutDown());
    const { session } = harness; // the harness throws when the session does anything from here on
    session.fromClient(Buffer.from('NOOP\r\n'));
    session.fromUpstream(Buffer.from('250 ok\r\n'));
    session.goOn();
    session.waited();
    session.clientSecured([]);
    session.judged({ action: 'proceed', reason: 'rule', rule: null, observed: false });
    session.drain();
    session.clientEnded();
    session.clientLost();
    session.upstreamEnded();
    session.expire();
    assert.equal(harness.closed?.what, 'shut down');
  });
});

function withoutAbsent(reason: CloseReason | null): unknown {
  return Object.fromEntries(Object.entries(reason ?? {}).filter(([, value]) => value !== undefined));
}
