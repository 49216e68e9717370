// Nobody writes our log by being refused often: what repeats is counted, and the count is told.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { SessionEvent } from '../../src/smtp/types.ts';
import { ends, taken, type Watched, watch } from './watched.ts';

const MILLION = 1_000_000;
const MEGABYTE = 1_000_000;
const WINDOW_MS = 600_000;

const long = (name: string) => `${name}${'x'.repeat(300)}@foreign.example`;
const refused: SessionEvent = {
  name: 'recipient',
  transaction: 1,
  decision: 'reject',
  reason: 'no_rule',
  rule: null,
  sender: long('a'),
  recipient: long('b'),
  reply: `554 5.7.1 <${long('b')}>: Recipient address rejected: Relay access denied\r\n`,
};
const REFUSED_METRIC =
  'postern_recipients_total{connector="internet",decision="reject",reason="no_rule",answer="none"}';
const reply = { code: 554, enhanced: null, text: 'No' };

function octets({ lines }: Watched): number {
  return lines.reduce((sum, line) => sum + line.length, 0);
}

function session(watched: Watched, address: string, events: readonly SessionEvent[] = []) {
  const opened = watched.observer.sessionOpened({ ...ends, clientAddress: address }, 'internet');
  opened.heloName = long('h');
  for (const event of events) opened.event(event);
  return opened;
}

const quit = { origin: 'client', what: 'quit' } as const;
const times = (count: number, event: SessionEvent) => Array<SessionEvent>(count).fill(event);

describe('refusals of one session', () => {
  it('are told a hundred times and then counted, and the summary has the count', async () => {
    const watched = watch();
    session(watched, '192.0.2.1', times(10_000, refused)).closed(quit);
    const entries = watched.entries();
    assert.equal(entries.filter(({ msg }) => msg === 'recipient refused').length, 100);
    const summary = entries.at(-1);
    assert.deepEqual([summary?.msg, summary?.repeated, summary?.recipients_refused], ['session ended', 9900, 10_000]);
    assert.equal((await watched.samples()).get(REFUSED_METRIC), 10_000);
  });

  it('that are a hundred have no count', () => {
    const watched = watch();
    session(watched, '192.0.2.1', times(100, refused)).closed(quit);
    assert.equal(watched.entries().length, 101);
    assert.equal(watched.entries().at(-1)?.repeated, undefined);
  });

  it('take no line from another session of another source', () => {
    const watched = watch();
    session(watched, '192.0.2.1', times(5_000, refused));
    session(watched, '192.0.2.2', [refused]).closed(quit);
    assert.deepEqual(
      watched
        .entries()
        .slice(-2)
        .map(({ msg, client_address }) => [msg, client_address]),
      [
        ['recipient refused', '192.0.2.2'],
        ['session ended', '192.0.2.2'],
      ],
    );
  });
});

describe('a million refusals of one source', () => {
  it('that are messages, refused by the server at their end, make less', async (t) => {
    const watched = watch();
    const put: SessionEvent = { ...refused, decision: 'proceed' } as SessionEvent;
    const about = { sender: long('a'), octets: 9, code: 554, reply: `554 ${long('no')}` };
    const message: SessionEvent = {
      name: 'upstream_refused',
      protocolState: 'END-OF-MESSAGE',
      transaction: 1,
      ...about,
    };
    const answer: SessionEvent = { name: 'answered', code: 250, reply: `250 ${long('yes')}` };
    const one = [...times(15, put), ...times(15, answer), message];
    const sessions = 1000;
    for (let i = 0; i < sessions; i++) {
      const opened = session(watched, '192.0.2.1', [...one, ...times(MILLION / sessions - 1, message)]);
      opened.closed(quit);
    }
    await watched.observer.flush();
    t.diagnostic(`${octets(watched)} octets`);
    assert.ok(octets(watched) < MEGABYTE, `${octets(watched)} octets`);
    const lines = watched.entries().filter(({ msg }) => msg === 'message');
    assert.deepEqual([lines.length, lines[0]?.recipients_untold], [100, 10]);
    const metric = 'postern_answered_messages_total{connector="internet",outcome="refused"}';
    assert.equal((await watched.samples()).get(metric), MILLION);
  });

  it('in one session make less than a megabyte', async (t) => {
    const watched = watch();
    const opened = session(watched, '192.0.2.1');
    for (let i = 0; i < MILLION; i++) opened.event(refused);
    opened.closed(quit);
    await watched.observer.flush();
    t.diagnostic(`${octets(watched)} octets`);
    assert.ok(octets(watched) < MEGABYTE, `${octets(watched)} octets`);
    assert.equal(watched.entries().at(-1)?.repeated, MILLION - 100);
    assert.equal((await watched.samples()).get(REFUSED_METRIC), MILLION);
  });

  it('each in a session of its own make less, and none is lost', async () => {
    const watched = watch();
    const count = MILLION / 10;
    for (let i = 0; i < count; i++) session(watched, '192.0.2.1', [refused]).closed(quit);
    await watched.observer.flush();
    assert.ok(octets(watched) < MEGABYTE, `${octets(watched)} octets`);
    const told = watched.entries().filter(({ msg }) => msg === 'recipient refused').length;
    const last = watched.entries().at(-1);
    assert.equal(last?.source, '192.0.2.1');
    assert.equal(told + Number(last?.repeated), count);
    const ends = watched.entries().filter(({ msg }) => msg === 'session ended').length;
    assert.equal(ends + Number(last?.sessions), count);
    assert.equal((await watched.samples()).get(REFUSED_METRIC), count);
  });

  it('at connection time make less', async () => {
    const watched = watch();
    const count = MILLION / 10;
    for (let i = 0; i < count; i++) watched.observer.connectionRefused(ends, 'internet', 'connections', reply);
    await watched.observer.flush();
    assert.ok(octets(watched) < MEGABYTE, `${octets(watched)} octets`);
    const told = watched.entries().filter(({ msg }) => msg === 'connection refused').length;
    assert.equal(told + Number(watched.entries().at(-1)?.repeated), count);
    const samples = await watched.samples();
    assert.equal(samples.get('postern_limited_total{kind="door",key="connections"}'), count);
  });

  it('as PROXY headers make less', async () => {
    const watched = watch();
    const count = MILLION / 10;
    for (let i = 0; i < count; i++) watched.observer.proxyHeader(ends, 'none', 'EHLO x');
    await watched.observer.flush();
    assert.ok(octets(watched) < MEGABYTE, `${octets(watched)} octets`);
    assert.equal((await watched.samples()).get('postern_proxy_headers_total{result="none"}'), count);
  });
});

describe('a source', () => {
  const flood = (watched: Watched, address: string) => {
    for (let i = 0; i < 250; i++)
      watched.observer.connectionRefused({ ...ends, clientAddress: address }, null, 'no_connector', reply);
  };

  it('is told what was counted when its time is over, and has lines again', () => {
    const watched = watch();
    flood(watched, '192.0.2.1');
    watched.clock.ms = WINDOW_MS - 1;
    flood(watched, '192.0.2.2');
    assert.deepEqual(
      watched.entries().filter(({ source }) => source !== undefined),
      [],
    );
    watched.clock.ms = WINDOW_MS;
    flood(watched, '192.0.2.1');
    const counted = watched.entries().filter(({ source }) => source !== undefined);
    assert.deepEqual(
      counted.map(({ source, repeated, seconds }) => [source, repeated, seconds]),
      [['192.0.2.1', 50, 600]],
    );
    assert.equal(watched.entries().filter(({ client_address }) => client_address === '192.0.2.1').length, 400);
  });

  it('is told what was counted when the process ends', () => {
    const watched = watch();
    flood(watched, '192.0.2.1');
    watched.observer.drained(0);
    const [counted] = watched.entries().filter(({ source }) => source !== undefined);
    assert.equal(counted?.repeated, 50);
  });

  it('is an IPv4 address, or the /64 of an IPv6 customer', () => {
    const watched = watch();
    for (const address of ['2001:db8:0:7::1', '2001:db8::7:1:2:3:4', '2001:db8:0:7:ffff::']) flood(watched, address);
    for (const address of ['2001:db8:0:8::1', '192.0.2.1', '::1']) flood(watched, address);
    watched.observer.drained(0);
    const counted = watched.entries().filter(({ source }) => source !== undefined);
    assert.deepEqual(
      counted.map(({ source, repeated }) => [source, repeated]),
      [
        ['2001:db8:0:7::/64', 550],
        ['2001:db8:0:8::/64', 50],
        ['192.0.2.1', 50],
        ['0:0:0:0::/64', 50],
      ],
    );
  });

  it('beyond ten thousand others is forgotten, not what was counted of it', () => {
    const watched = watch({ level: 'warn' });
    // Only warnings are written, and so only warnings count.
    const ambiguous: SessionEvent = { name: 'ambiguous_end', octets: '\n.\n', offset: 1, key: 'bare_lf' };
    for (let i = 0; i < 3; i++) session(watched, '192.0.2.1', times(100, ambiguous));
    for (let i = 0; i < 10_000; i++) session(watched, `10.0.${i >> 8}.${i & 255}`, [ambiguous]);
    const counted = watched.entries().filter(({ source }) => source !== undefined);
    assert.deepEqual(
      counted.map(({ source, repeated }) => [source, repeated]),
      [['192.0.2.1', 100]],
    );
  });

  it('that brings mail has the summary of that session, whatever else it does', () => {
    const watched = watch();
    flood(watched, '192.0.2.1');
    for (let i = 0; i < 300; i++) session(watched, '192.0.2.1').closed(quit);
    const ends = () => watched.entries().filter(({ msg }) => msg === 'session ended').length;
    assert.equal(ends(), 200);
    session(watched, '192.0.2.1', [taken()]).closed(quit);
    session(watched, '192.0.2.1').closed(quit);
    assert.equal(ends(), 201);
    watched.observer.drained(0);
    assert.equal(watched.entries().find(({ source }) => source !== undefined)?.sessions, 101);
  });
});
