// The fifth law: everything that a peer controls is bounded, and work grows with the octets and not faster.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DEFAULT_LIMITS, Harness, type HarnessOptions } from '../helpers/harness.ts';
import { octetsTouched } from '../helpers/work.ts';

const RUNS = Number(process.env.POSTERN_FUZZ_RUNS ?? 1000);

const EHLO_REPLY = '250-mail.local.example\r\n250-PIPELINING\r\n250-CHUNKING\r\n250-AUTH PLAIN XOAUTH2\r\n250 SIZE\r\n';
const WITHOUT_PIPELINING = EHLO_REPLY.replace('250-PIPELINING\r\n', '');

function greeted(reply = EHLO_REPLY, options: HarnessOptions = {}): Harness {
  const profile = { limits: { ...UNLIMITED } };
  const harness = new Harness({ profile, ...options });
  harness.upstreamSays('220 mail.local.example\r\n');
  harness.clientSays('EHLO client.example\r\n');
  harness.upstreamSays(reply);
  harness.takeClientHeard();
  harness.takeUpstreamHeard();
  return harness;
}

const UNLIMITED = {
  errors: Number.POSITIVE_INFINITY,
  junkCommands: Number.POSITIVE_INFINITY,
  recipientsPerMessage: Number.POSITIVE_INFINITY,
  messages: Number.POSITIVE_INFINITY,
  authFailures: Number.POSITIVE_INFINITY,
  commandLine: 2048,
};

/** A session whose recipients are open. */
function withRecipient(reply?: string): Harness {
  const harness = greeted(reply);
  for (const command of ['MAIL FROM:<>\r\n', 'RCPT TO:<user@local.example>\r\n']) {
    harness.clientSays(command);
    harness.upstreamSays('250 ok\r\n');
  }
  harness.takeUpstreamHeard();
  return harness;
}

// --- what is kept

test('a line without an end is dropped and the session closed before 128 KiB of it came in', () => {
  const harness = greeted();
  let given = 0;
  for (; harness.closed === null && given < 1 << 20; given += 4096) harness.clientSays('A'.repeat(4096));
  assert.ok(harness.closed !== null);
  assert.ok(given <= 128 * 1024);
  assert.equal(harness.upstreamHeard, '');
});

test('a reply without an end closes the session before 128 KiB of it came in', () => {
  for (const piece of ['250-and so on\r\n', 'x', '250 '.repeat(1000)]) {
    const harness = greeted();
    harness.clientSays('NOOP\r\n');
    let given = 0;
    for (; harness.closed === null && given < 1 << 20; given += piece.length) harness.upstreamSays(piece);
    assert.ok(given <= 128 * 1024, `${given} octets of ${piece.slice(0, 20)}`);
    assert.equal(harness.closed?.origin, 'upstream');
  }
});

for (const [what, command] of [
  ['NOOP', 'NOOP\r\n'],
  ['RSET', 'RSET\r\n'],
  ['a good recipient', 'RCPT TO:<user@local.example>\r\n'],
  ['a refused recipient', 'RCPT TO:<victim@foreign.example>\r\n'],
  ['an unknown command', 'FOO\r\n'],
] as const) {
  test(`a client that pipelines ${what} is held while the upstream owes its replies`, () => {
    const harness = greeted();
    harness.clientSays('MAIL FROM:<>\r\n');
    let commands = 0;
    while (!harness.holding && commands < 100_000) {
      harness.clientSays(command.repeat(10));
      commands += 10;
    }
    assert.ok(commands <= 3000, `${commands} commands were taken`);
    assert.equal(harness.closed, null);
  });
}

test('a client that is held hears every reply once the upstream answers', () => {
  const harness = greeted();
  const count = 5000;
  harness.clientSays('NOOP\r\n'.repeat(count));
  let answered = 0;
  for (let heard = harness.takeUpstreamHeard(); heard !== ''; heard = harness.takeUpstreamHeard()) {
    answered += heard.length / 6;
    harness.upstreamSays('250 ok\r\n'.repeat(heard.length / 6));
  }
  assert.equal(answered, count);
  assert.equal(harness.takeClientHeard(), '250 ok\r\n'.repeat(count));
});

test('a queue of replies that is never empty keeps its order', () => {
  const harness = greeted();
  const expected: string[] = [];
  for (let command = 0; command < 3000; command++) {
    harness.clientSays(command % 3 === 0 ? 'FOO\r\n' : 'NOOP\r\n');
    if (command % 3 === 0) expected.push('500 Command unrecognized\r\n');
    else expected.push(`250 ${command}\r\n`);
    if (command >= 12 && (command - 12) % 3 !== 0) harness.upstreamSays(`250 ${command - 12}\r\n`);
  }
  const heard = harness.takeClientHeard();
  assert.equal(heard, expected.join('').slice(0, heard.length));
  assert.ok(heard.split('\r\n').length > 2980);
});

// --- what is held for a peer

const FLOODS: Readonly<Record<string, string>> = {
  'refused recipients': 'RCPT TO:<victim@foreign.example>\r\n',
  'DATA in vain': 'DATA\r\n',
  'BDAT in vain': 'BDAT 1\r\nx',
  'BDAT LAST in vain': 'BDAT 0 LAST\r\n',
  'unknown commands': 'FOO\r\n',
  'nested MAIL': 'MAIL FROM:<>\r\n',
  'too large': 'MAIL FROM:<> SIZE=99999999\r\n',
  NOOP: 'NOOP\r\n',
  RSET: 'RSET\r\n',
  'good recipients': 'RCPT TO:<user@local.example>\r\n',
  EHLO: 'EHLO a\r\n',
  VRFY: 'VRFY x\r\n',
  AUTH: 'AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n',
};
const KIB = 1024;

for (const [what, octets] of Object.entries(FLOODS)) {
  const flood = octets.repeat(Math.ceil((64 * KIB) / octets.length));

  test(`whoever sends ${what} without end and reads nothing is held at a bound`, () => {
    const harness = greeted();
    harness.reads = false;
    harness.clientSays('MAIL FROM:<>\r\n');
    harness.upstreamSays('250 ok\r\n');
    harness.takeClientHeard();
    for (let chunk = 0; chunk < 16; chunk++) {
      harness.clientSays(flood);
      answerAll(harness, '250 ok\r\n');
    }
    const held = harness.clientHeard.length;
    assert.ok(held <= 96 * KIB, `${held} octets for a client that does not read`);
  });

  test(`whoever sends ${what} while the upstream is silent is held at a bound`, () => {
    const harness = greeted();
    harness.reads = false;
    harness.clientSays('MAIL FROM:<>\r\n');
    for (let chunk = 0; chunk < 16; chunk++) harness.clientSays(flood);
    assert.ok(harness.holding || harness.closed !== null);
    assert.ok(harness.upstreamHeard.length <= 96 * KIB);
    harness.upstreamSays('250 ok\r\n');
    assert.ok(harness.clientHeard.length <= 96 * KIB);
  });
}

test('a chunk full of commands is read in turns, and all of it', () => {
  const harness = greeted();
  harness.clientSays('MAIL FROM:<>\r\n');
  harness.upstreamSays('250 ok\r\n');
  harness.takeClientHeard();
  harness.clientSays(FLOODS['refused recipients']?.repeat(1000) as string);
  assert.equal(harness.takeClientHeard().split('\r\n').length - 1, 1000);
  assert.ok(harness.turns >= 30, `${harness.turns} turns`);
});

// --- what has its price

for (const [what, octets, most] of [
  ['DATA in vain', 'DATA\r\n', 22],
  ['BDAT in vain', 'BDAT 1\r\nx', 102],
  ['BDAT LAST in vain', 'BDAT 0 LAST\r\n', 102],
  ['MAIL that is too large', 'RSET\r\nMAIL FROM:<> SIZE=99999999\r\n', 202],
  ['NOOP', 'NOOP\r\n', 102],
  ['recipients far beyond the limit', 'RCPT TO:<victim@foreign.example>\r\n', 2022],
] as const) {
  test(`${what} without end ends the session`, () => {
    const harness = greeted(EHLO_REPLY.replace('SIZE', 'SIZE 1000'), { profile: { limits: DEFAULT_LIMITS } });
    harness.clientSays('MAIL FROM:<>\r\nRCPT TO:<victim@foreign.example>\r\n');
    answerAll(harness, '250 ok\r\n');
    harness.takeClientHeard();
    for (let times = 0; times < 3000 && harness.closed === null; times++) {
      harness.clientSays(octets);
      answerAll(harness, '250 ok\r\n');
    }
    assert.equal(harness.closed?.origin, 'policy');
    const replies = harness.clientHeard.split('\r\n').length - 1;
    assert.ok(replies <= most, `${replies} replies`);
    assert.match(harness.clientHeard, /421 4?[^\n]*closing transmission channel\r\n$/);
  });
}

test('a client that pipelines DATA, or chunks, behind refused recipients pays nothing for it', () => {
  const harness = greeted(EHLO_REPLY, { profile: { limits: DEFAULT_LIMITS } });
  const attempt = 'MAIL FROM:<>\r\nRCPT TO:<victim@foreign.example>\r\n';
  for (let message = 0; message < 300; message++) {
    harness.clientSays(`${attempt}${message % 2 === 0 ? 'DATA\r\n' : 'BDAT 0 LAST\r\n'}RSET\r\n`);
    answerAll(harness, '250 ok\r\n');
  }
  assert.equal(harness.closed, null);
});

// --- what is worked

/** The work on `count` of something, and that on twice as many, may differ by a factor of two and a little. */
function assertLinear(count: number, prepare: () => Harness, run: (harness: Harness, count: number) => void): void {
  const work = (times: number): number => {
    const harness = prepare();
    return octetsTouched(() => run(harness, times));
  };
  const [once, twice] = [work(count), work(2 * count)];
  assert.ok(twice <= 2.3 * once, `${once} octets touched for ${count}, ${twice} for twice as many`);
}

const answerAll = (harness: Harness, reply: string): void => {
  for (let heard = harness.takeUpstreamHeard(); heard !== ''; heard = harness.takeUpstreamHeard()) {
    harness.upstreamSays(reply.repeat(heard.split('\r\n').length - 1));
  }
};

const eachOctet = (harness: Harness, octets: string): void => {
  for (const octet of octets) harness.clientSays(octet);
};

test('work is linear in the octets of a command line that comes octet by octet', () => {
  assertLinear(1000, greeted, (harness, count) => eachOctet(harness, `NOOP ${'x'.repeat(count)}`));
});

test('work is linear in the octets of a login response that comes octet by octet', () => {
  const prepare = (): Harness => {
    const harness = greeted();
    harness.clientSays('AUTH XOAUTH2\r\n');
    harness.upstreamSays('334 \r\n');
    return harness;
  };
  assertLinear(6000, prepare, (harness, count) => eachOctet(harness, 'A'.repeat(count)));
});

test('work is linear in the octets of an over-long line', () => {
  assertLinear(16_000, greeted, (harness, count) => eachOctet(harness, 'x'.repeat(count)));
});

test('work is linear in the commands of one chunk', () => {
  assertLinear(2000, greeted, (harness, count) => {
    harness.clientSays('NOOP\r\n'.repeat(count));
    answerAll(harness, '250 ok\r\n');
  });
});

test('work is linear in the commands of one chunk for an upstream that takes one at a time', () => {
  assertLinear(
    2000,
    () => greeted(WITHOUT_PIPELINING),
    (harness, count) => {
      harness.clientSays('NOOP\r\n'.repeat(count));
      answerAll(harness, '250 ok\r\n');
    },
  );
});

test('work is linear in the refused recipients of one chunk', () => {
  assertLinear(
    2000,
    () => withRecipient(),
    (harness, count) => {
      harness.clientSays('RCPT TO:<victim@foreign.example>\r\n'.repeat(count));
    },
  );
});

test('work is linear in chunks of one octet', () => {
  assertLinear(
    1000,
    () => withRecipient(),
    (harness, count) => {
      for (let chunks = 0; chunks < count; chunks++) {
        harness.clientSays('BDAT 1\r\nx');
        harness.takeUpstreamHeard();
        harness.upstreamSays('250 ok\r\n');
      }
    },
  );
});

test('work is linear in chunks of one octet that come in one segment', () => {
  assertLinear(
    1000,
    () => withRecipient(),
    (harness, count) => {
      harness.clientSays('BDAT 1\r\nx'.repeat(count));
      for (let chunks = 0; chunks < count; chunks++) harness.upstreamSays('250 ok\r\n');
    },
  );
});

for (const [what, piece] of [
  ['text', 'x'],
  ['line ends', '\r\n'],
  ['dots at line starts', '\r\n.x'],
  ['bare line feeds', 'x\n'],
  ['bare carriage returns', 'x\r'],
  ['NULs', '\0'],
] as const) {
  test(`work is linear in mail data of ${what}, in one chunk and octet by octet`, () => {
    const prepare = (): Harness => {
      const harness = withRecipient();
      harness.clientSays('DATA\r\n');
      harness.upstreamSays('354 go\r\n');
      return harness;
    };
    assertLinear(20_000, prepare, (harness, count) => harness.clientSays(piece.repeat(count)));
    assertLinear(2000, prepare, (harness, count) => eachOctet(harness, piece.repeat(count)));
  });
}

test('work is linear in the lines of a reply that comes octet by octet', () => {
  const prepare = (): Harness => {
    const harness = greeted();
    harness.clientSays('NOOP\r\n');
    return harness;
  };
  assertLinear(1000, prepare, (harness, count) => {
    for (const octet of `${'250-so\r\n'.repeat(count)}250 on\r\n`) harness.upstreamSays(octet);
  });
});

test('work is linear in what waits for a held session', () => {
  const prepare = (): Harness => {
    const harness = withRecipient();
    harness.clientSays('DATA\r\n');
    return harness;
  };
  assertLinear(2000, prepare, (harness, count) => {
    for (let lines = 0; lines < count; lines++) harness.clientSays('a line of mail data\r\n');
    harness.upstreamSays('354 go\r\n');
  });
});

// --- what may be said

const OCTETS = fc.oneof(
  fc.constantFrom(
    'EHLO c\r\n',
    'MAIL FROM:<>\r\n',
    'RCPT TO:<u@local.example>\r\n',
    'DATA\r\n',
    '.\r\n',
    'BDAT 3 LAST\r\n',
    'QUIT\r\n',
    'AUTH LOGIN\r\n',
    'AUTH XOAUTH2\r\n',
    '*\r\n',
    'YQ==\r\n',
    'NOOP\r\n',
    '\r\n.\r\n',
  ),
  fc.constantFrom(
    '220 hi\r\n',
    '250 ok\r\n',
    EHLO_REPLY,
    '354 go\r\n',
    '334 \r\n',
    '235 in\r\n',
    '550 no\r\n',
    '421 out\r\n',
    '250-',
    '221 bye\r\n',
    '535 no\r\n',
  ),
  fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((octet) => String.fromCharCode(octet)), maxLength: 20 }),
);

const MOVES = fc.array(
  fc.tuple(
    fc.constantFrom(
      'client',
      'client',
      'client',
      'upstream',
      'upstream',
      'upstream',
      'client ends',
      'upstream ends',
      'drain',
      'answer',
    ),
    OCTETS,
  ),
  { maxLength: 40 },
);

test('bounded: whatever the two sides, the judge and the operator do, in any order, nothing throws and no 2yz is ours', () => {
  fc.assert(
    fc.property(MOVES, fc.constantFrom('now', 'late', 'asked'), fc.boolean(), (moves, judgement, pushy) => {
      const harness = new Harness({ judgement, pushy });
      let said = '';
      for (const [who, octets] of moves) {
        if (harness.closed !== null) break;
        if (who === 'client') harness.clientSays(octets);
        else if (who === 'client ends') harness.clientEnds();
        else if (who === 'upstream ends') harness.upstreamEnds();
        else if (who === 'drain') harness.drain();
        else if (who === 'answer') {
          if (harness.asked) harness.answer();
        } else {
          said += octets;
          harness.upstreamSays(octets);
        }
      }
      const good = (heard: string): number => heard.match(/^2\d\d(?![\d-])/gm)?.length ?? 0;
      assert.ok(good(harness.clientHeard) <= good(said));
    }),
    { numRuns: RUNS },
  );
});
