import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { PhaseTimers, type Timeouts } from '../../src/proxy/phase-timers.ts';
import {
  AWAITING_COMMAND,
  AWAITING_CONFIRMATION,
  AWAITING_DECISION,
  AWAITING_GO_AHEAD,
  AWAITING_GREETING,
  AWAITING_HANDSHAKE,
  AWAITING_MAIL_DATA,
  AWAITING_OPAQUE,
  AWAITING_REPLY,
  DOING,
} from '../../src/smtp/session.ts';

/** Each limit another, so that none is taken for another one. */
const TIMEOUTS: Timeouts = {
  client_idle: 1_000,
  command: 7_000,
  data_idle: 2_000,
  tls_handshake: 30_000,
  no_mail: 1_800_000,
  proxy_header: 1,
  upstream_connect: 1,
  upstream_greeting: 3_000,
  upstream_reply: 4_000,
  upstream_data: 5_000,
  upstream_final: 6_000,
  drain: 1,
  min_data_rate: 0,
};

/** When the session began, and when it came to where the test looks. */
const BEGAN = 100;
const SINCE = 500_000;

function waitingFor(doing: number, timeouts: Partial<Timeouts> = {}): PhaseTimers {
  const patience = new PhaseTimers({ ...TIMEOUTS, ...timeouts }, BEGAN);
  // By way of another phase, so that this one begins with its own time.
  patience.waitsFor(doing === AWAITING_COMMAND ? AWAITING_REPLY : AWAITING_COMMAND, true, SINCE - 1);
  patience.waitsFor(doing, true, SINCE);
  return patience;
}

function expiresAt(patience: PhaseTimers, time: number): void {
  assert.equal(patience.nextCheck, time);
  assert.equal(patience.isExpired(time - 1), false);
  assert.equal(patience.isExpired(time), true);
}

const PHASES: readonly (readonly [number, keyof Timeouts])[] = [
  [AWAITING_GREETING, 'upstream_greeting'],
  [AWAITING_COMMAND, 'client_idle'],
  [AWAITING_REPLY, 'upstream_reply'],
  [AWAITING_DECISION, 'upstream_reply'],
  [AWAITING_GO_AHEAD, 'upstream_data'],
  [AWAITING_MAIL_DATA, 'data_idle'],
  [AWAITING_CONFIRMATION, 'upstream_final'],
  [AWAITING_OPAQUE, 'client_idle'],
];

describe('patience', () => {
  for (const [doing, limit] of PHASES) {
    it(`ends ${limit} after the wait for a ${DOING[doing]} began`, () => {
      expiresAt(waitingFor(doing), SINCE + TIMEOUTS[limit]);
    });
  }

  it('ends a session that has brought no mail, when it is to say something', () => {
    const patience = new PhaseTimers({ ...TIMEOUTS, client_idle: 2_000, command: 2_000, no_mail: 10_000 }, 0);
    patience.waitsFor(AWAITING_COMMAND, true, 9_000);
    expiresAt(patience, 10_000);
    assert.equal(patience.deadline(10_000), 'timeouts.no_mail');
    patience.waitsFor(AWAITING_MAIL_DATA, true, 9_900);
    patience.heard(1000, 10_500);
    assert.equal(patience.isExpired(10_500), false); // a message on its way is brought to its end
    patience.broughtMail(11_000);
    patience.waitsFor(AWAITING_COMMAND, true, 11_000);
    assert.equal(patience.isExpired(12_999), false);
    patience.waitsFor(AWAITING_COMMAND, true, 20_500);
    expiresAt(patience, 21_000);
  });

  it('lets a slow link stop and go on, and ends one that drips', () => {
    const slow = { data_idle: 180_000, min_data_rate: 10 };
    const drips = waitingFor(AWAITING_MAIL_DATA, slow);
    for (let minute = 1; minute < 5; minute++) {
      drips.heard(1, SINCE + minute * 60_000);
      assert.equal(drips.isExpired(SINCE + minute * 60_000), false);
    }
    drips.heard(1, SINCE + 299_000);
    expiresAt(drips, SINCE + 300_000);
    // 30 octets a second, as over HF radio, with a pause of almost three minutes.
    const radio = waitingFor(AWAITING_MAIL_DATA, slow);
    for (let second = 1; second <= 300; second++) {
      if (second > 120 && second < 299) continue;
      radio.heard(30, SINCE + second * 1000);
      assert.equal(radio.isExpired(SINCE + second * 1000), false);
    }
  });

  it('leaves a handshake to the deadline that it has of its own', () => {
    assert.equal(waitingFor(AWAITING_HANDSHAKE).nextCheck, Number.POSITIVE_INFINITY);
  });

  it('is prolonged by the octets of either side where nothing is read', () => {
    const patience = waitingFor(AWAITING_OPAQUE);
    patience.heard(1, SINCE + 900); // the client's
    expiresAt(patience, SINCE + 900 + TIMEOUTS.client_idle);
    patience.waitsFor(AWAITING_OPAQUE, true, SINCE + 1_800); // the upstream's
    expiresAt(patience, SINCE + 1_800 + TIMEOUTS.client_idle);
  });

  it('counts the greeting from the beginning of the session', () => {
    expiresAt(new PhaseTimers(TIMEOUTS, BEGAN), BEGAN + TIMEOUTS.upstream_greeting);
  });

  for (const [doing, limit] of PHASES.filter(([, name]) => name.startsWith('upstream_'))) {
    it(`is not prolonged by what the client says while a ${DOING[doing]} is awaited`, () => {
      const patience = waitingFor(doing);
      for (let now = SINCE; now < SINCE + TIMEOUTS[limit]; now += 500) {
        patience.heard(1, now);
        patience.waitsFor(doing, false, now);
      }
      expiresAt(patience, SINCE + TIMEOUTS[limit]);
    });
  }

  it('begins anew with every reply while the next one is awaited', () => {
    const patience = waitingFor(AWAITING_REPLY);
    patience.waitsFor(AWAITING_REPLY, true, SINCE + 3_999);
    expiresAt(patience, SINCE + 3_999 + TIMEOUTS.upstream_reply);
  });

  it('lets a client be silent client_idle at a time, but a command take no longer than its deadline', () => {
    const patience = waitingFor(AWAITING_COMMAND);
    for (let now = SINCE; now < SINCE + TIMEOUTS.command; now += 999) {
      assert.equal(patience.isExpired(now), false);
      patience.heard(1, now);
      patience.waitsFor(AWAITING_COMMAND, false, now);
    }
    expiresAt(patience, SINCE + TIMEOUTS.command);
  });

  it('counts the time of a command from its first octet: before it a client may be silent for longer', () => {
    const patience = waitingFor(AWAITING_COMMAND, { client_idle: 60_000, command: 5_000 });
    assert.equal(patience.isExpired(SINCE + 50_000), false);
    patience.heard(1, SINCE + 50_000);
    expiresAt(patience, SINCE + 55_000);
    assert.equal(patience.deadline(SINCE + 55_000), 'timeouts.command');
  });

  it('gives every command its own time', () => {
    const patience = waitingFor(AWAITING_COMMAND);
    for (let now = SINCE; now < SINCE + 3 * TIMEOUTS.command; now += 999) {
      assert.equal(patience.isExpired(now), false);
      patience.heard(6, now);
      patience.waitsFor(AWAITING_COMMAND, true, now);
    }
  });

  it('has no deadline for mail data that keeps coming', () => {
    const patience = waitingFor(AWAITING_MAIL_DATA);
    let now = SINCE;
    for (let octets = 0; octets < 1_000; octets++) {
      now += 1_999;
      assert.equal(patience.isExpired(now), false);
      patience.heard(1, now);
      patience.waitsFor(AWAITING_MAIL_DATA, false, now);
    }
    expiresAt(patience, now + TIMEOUTS.data_idle);
  });

  it('does not count the time in which we stopped mail data ourselves as silence', () => {
    const patience = waitingFor(AWAITING_MAIL_DATA);
    patience.excuse(SINCE + 1_999);
    expiresAt(patience, SINCE + 1_999 + TIMEOUTS.data_idle);
  });
});

describe('the least rate of mail data', () => {
  const WINDOW = 3_000;
  const guarded = () => waitingFor(AWAITING_MAIL_DATA, { data_idle: 60_000, min_data_rate: 100 });

  it('is looked at every three seconds', () => {
    assert.equal(guarded().nextCheck, SINCE + WINDOW);
  });

  it('is kept by 300 octets in three seconds at 100 octets a second, and not by 299', () => {
    for (const [octets, expired] of [
      [299, true],
      [300, false],
    ] as const) {
      const patience = guarded();
      patience.heard(octets, SINCE + 10);
      assert.equal(patience.isExpired(SINCE + WINDOW - 1), false);
      assert.equal(patience.isExpired(SINCE + WINDOW), expired);
    }
  });

  it('is asked for the whole time when the look comes late', () => {
    const patience = guarded();
    patience.heard(399, SINCE + 10);
    assert.equal(patience.isExpired(SINCE + 4_000), true);
  });

  it('does not let a fast beginning pay for a slow rest', () => {
    const patience = guarded();
    patience.heard(1_000_000, SINCE + 10);
    assert.equal(patience.isExpired(SINCE + WINDOW), false);
    assert.equal(patience.nextCheck, SINCE + 2 * WINDOW);
    patience.heard(299, SINCE + WINDOW + 10);
    assert.equal(patience.isExpired(SINCE + 2 * WINDOW), true);
  });

  it('does not count the commands before the mail data', () => {
    const patience = new PhaseTimers({ ...TIMEOUTS, data_idle: 60_000, min_data_rate: 100 }, BEGAN);
    patience.waitsFor(AWAITING_COMMAND, true, SINCE - 10);
    patience.heard(1_000_000, SINCE - 5);
    patience.waitsFor(AWAITING_GO_AHEAD, true, SINCE - 5);
    patience.waitsFor(AWAITING_MAIL_DATA, true, SINCE);
    assert.equal(patience.isExpired(SINCE + WINDOW), true);
  });

  it('begins anew when we had stopped the client', () => {
    const patience = guarded();
    patience.excuse(SINCE + 2_999);
    assert.equal(patience.isExpired(SINCE + WINDOW), false);
    assert.equal(patience.nextCheck, SINCE + 2_999 + WINDOW);
    assert.equal(patience.isExpired(SINCE + 2_999 + WINDOW), true);
  });

  it('leaves silence to data_idle', () => {
    const patience = waitingFor(AWAITING_MAIL_DATA, { data_idle: 2_999, min_data_rate: 1 });
    patience.heard(1_000_000, SINCE);
    expiresAt(patience, SINCE + 2_999);
  });

  it('is nobody else’s: commands and replies are not measured', () => {
    for (const doing of [AWAITING_COMMAND, AWAITING_REPLY, AWAITING_CONFIRMATION]) {
      const patience = waitingFor(doing, { client_idle: 60_000, command: 60_000, min_data_rate: 1_000_000 });
      assert.equal(patience.isExpired(SINCE + 3_500), false);
    }
  });

  it('is no guard at 0', () => {
    const patience = waitingFor(AWAITING_MAIL_DATA, { data_idle: 60_000 });
    assert.equal(patience.isExpired(SINCE + 59_999), false);
  });
});
