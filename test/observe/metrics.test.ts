import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import type { CloseReason, Reason } from '../../src/smtp/types.ts';
import { ends, taken, watch } from './watched.ts';

const recipient = {
  name: 'recipient',
  transaction: 1,
  rule: null,
  sender: 'a@b',
  recipient: 'c@d',
  reply: '554 no',
} as const;

describe('the metrics', () => {
  it('have the names and labels of the contract', async () => {
    const { observer, samples } = watch();
    const session = observer.sessionOpened(ends, 'internet');
    session.event({ ...recipient, decision: 'reject', reason: 'no_rule' });
    session.event({ name: 'limited', kind: 'session', key: 'errors' });
    const names = [...(await samples()).keys()].filter((name) => name.startsWith('postern_'));
    for (const expected of [
      'postern_sessions',
      'postern_sessions_total{connector="internet",outcome="client"}',
      'postern_recipients_total{connector="internet",decision="reject",reason="no_rule",answer="none"}',
      'postern_messages_total{connector="internet"}',
      'postern_bytes_total{direction="from_client"}',
      'postern_bytes_total{direction="from_upstream"}',
      'postern_limited_total{kind="session",key="errors"}',
      'postern_upstream_up{server="10.0.0.10:25"}',
      'postern_upstream_connect_seconds_count',
      'postern_command_delay_seconds_count',
      'postern_event_loop_delay_seconds_bucket{le="0.02"}',
      'postern_defects_total',
      'postern_log_lines_lost_total',
    ]) {
      assert.ok(names.includes(expected), `${expected} in\n${names.join('\n')}`);
    }
  });

  it('are all in the table of docs/metrics.md', async () => {
    const page = readFileSync(join(import.meta.dirname, '../../docs/metrics.md'), 'utf8');
    const names = (await watch().observer.metrics()).matchAll(/^# TYPE (postern_\w+)/gm);
    for (const [, name] of names) assert.ok(page.includes(`\`${name}\``), name);
  });

  it('count the octets of sessions that still run', async () => {
    const { observer, samples } = watch();
    const ended = observer.sessionOpened(ends, 'internet');
    ended.octetsFromClient = 100;
    ended.octetsFromUpstream = 10;
    ended.closed({ origin: 'client', what: 'said QUIT' });
    const running = observer.sessionOpened(ends, 'internet');
    running.octetsFromClient = 1000;
    const first = await samples();
    running.octetsFromClient = 5000;
    const second = await samples();
    assert.equal(first.get('postern_bytes_total{direction="from_client"}'), 1100);
    assert.equal(first.get('postern_bytes_total{direction="from_upstream"}'), 10);
    assert.equal(second.get('postern_bytes_total{direction="from_client"}'), 5100);
    assert.equal(second.get('postern_sessions'), 1);
    assert.equal(second.get('postern_sessions_total{connector="internet",outcome="client"}'), 1);
  });

  it('count messages and recipients by connector, a new one after a reload too', async () => {
    const { observer, samples } = watch();
    for (const connector of ['internet', 'internet', 'scanners']) {
      const session = observer.sessionOpened(ends, connector);
      session.event({ ...recipient, decision: 'proceed', reason: 'rule' });
      session.event({ name: 'answered', code: 250, reply: '' });
      session.event(taken());
      session.closed({ origin: 'policy', what: 'too many errors' });
    }
    const found = await samples();
    assert.equal(found.get('postern_messages_total{connector="internet"}'), 2);
    assert.equal(found.get('postern_messages_total{connector="scanners"}'), 1);
    assert.equal(
      found.get('postern_recipients_total{connector="scanners",decision="proceed",reason="rule",answer="accepted"}'),
      1,
    );
    assert.equal(found.get('postern_sessions_total{connector="internet",outcome="policy"}'), 2);
  });

  it('count messages by what came of them, relays by rule, and replies by command and class', async () => {
    const rules = { internet: ['partners', 'never used'] };
    const { observer, samples } = watch({ rules });
    const session = observer.sessionOpened(ends, 'internet');
    const about = { sender: 'a@b', octets: 9, code: 554, reply: '554 no' };
    const put = (transaction: number, reason: Reason, rule: string | null = null) => {
      session.event({ ...recipient, transaction, decision: 'proceed', reason, rule });
      session.event({ name: 'answered', code: 250, reply: '250 Ok' });
    };
    put(1, 'accepted_domain');
    session.event(taken(1));
    put(2, 'rule', 'partners');
    put(2, 'rule', 'partners');
    put(2, 'relay_domain');
    session.event(taken(2));
    put(3, 'rule', 'partners');
    session.event({ name: 'upstream_refused', protocolState: 'END-OF-MESSAGE', transaction: 3, ...about });
    session.event({ name: 'upstream_refused', protocolState: 'MAIL', transaction: 4, ...about });
    session.event({ name: 'replied', command: 'MAIL', replyClass: '5yz' });
    const found = await samples();
    const count = (name: string, labels: string) => found.get(`postern_${name}{${labels}}`);
    const outcomes = ['local', 'relayed', 'deferred', 'refused'];
    assert.deepEqual(
      outcomes.map((outcome) => count('answered_messages_total', `connector="internet",outcome="${outcome}"`)),
      [1, 1, 0, 1],
    );
    assert.deepEqual(
      ['partners', '(relay_domain)', 'never used'].map((rule) =>
        count('relayed_recipients_total', `connector="internet",rule="${rule}"`),
      ),
      [2, 1, 0],
    );
    assert.equal(count('upstream_replies_total', 'command="MAIL",class="5yz"'), 1);
    assert.equal(count('upstream_replies_total', 'command="END-OF-MESSAGE",class="4yz"'), 0);
  });

  it('count a recipient by the answer of the server, in order, and those that it never answered at the end', async () => {
    const { observer, samples, entries } = watch({ observing: ['internet'] });
    const session = observer.sessionOpened(ends, 'internet');
    session.event({ ...recipient, decision: 'proceed', reason: 'accepted_domain' });
    session.event({ ...recipient, decision: 'would_reject', reason: 'no_rule' });
    session.event({ ...recipient, decision: 'reject', reason: 'syntax' });
    session.event({ ...recipient, decision: 'proceed', reason: 'rule' });
    session.event({ ...recipient, decision: 'proceed', reason: 'relay_domain' });
    const recipients = async (labels: string) =>
      (await samples()).get(`postern_recipients_total{connector="internet",${labels}}`);
    assert.equal(await recipients('decision="proceed",reason="accepted_domain",answer="none"'), 0);
    for (const [code, reply] of [
      [550, '550 no'],
      [250, ''],
      [451, '451 later'],
    ] as const) {
      session.event({ name: 'answered', code, reply });
    }
    session.closed({ origin: 'upstream', what: 'lost' });
    assert.equal(await recipients('decision="proceed",reason="accepted_domain",answer="refused"'), 1);
    assert.equal(await recipients('decision="would_reject",reason="no_rule",answer="accepted"'), 1);
    assert.equal(await recipients('decision="reject",reason="syntax",answer="none"'), 1);
    assert.equal(await recipients('decision="proceed",reason="rule",answer="deferred"'), 1);
    assert.equal(await recipients('decision="proceed",reason="relay_domain",answer="none"'), 1);
    const end = entries().at(-1);
    assert.deepEqual(
      [
        end?.recipients_accepted,
        end?.recipients_refused_by_server,
        end?.recipients_deferred,
        end?.recipients_unanswered,
      ],
      [1, 1, 1, 1],
    );
  });

  it('count a connection refused at connection time, with and without a connector', async () => {
    const { observer, samples } = watch();
    const reply = { code: 554, enhanced: null, text: 'No' };
    observer.connectionRefused(ends, null, 'no_connector', reply);
    observer.connectionRefused(ends, 'internet', 'connections', reply);
    const found = await samples();
    assert.equal(found.get('postern_sessions_total{connector="(none)",outcome="refused"}'), 1);
    assert.equal(found.get('postern_sessions_total{connector="internet",outcome="refused"}'), 1);
    assert.equal(found.get('postern_limited_total{kind="door",key="connections"}'), 1);
  });

  it('never make a label of what a peer sent', async () => {
    const { observer, samples } = watch();
    const session = observer.sessionOpened(ends, 'internet');
    const reasons: Reason[] = ['accepted_domain', 'no_rule', 'syntax', 'relay_trick', 'limit', 'cannot_tell'];
    const origins: CloseReason['origin'][] = ['client', 'upstream', 'policy', 'operator', 'defect'];
    session.heloName = 'evil-peer';
    session.event({ name: 'login', login: { mechanism: 'evil-peer', name: 'evil-peer' } });
    session.event({ name: 'login_failed', login: { mechanism: 'evil-peer', name: 'evil-peer' }, code: 535 });
    for (const reason of reasons) {
      session.event({ ...recipient, decision: 'reject', reason, rule: 'evil-peer', recipient: 'evil-peer' });
    }
    session.event({ name: 'limited', kind: 'session', key: 'evil-peer' });
    session.closed({ origin: 'client', what: 'evil-peer', cause: new Error('evil-peer') });
    for (const origin of origins) observer.sessionOpened(ends, 'internet').closed({ origin, what: 'evil-peer' });
    observer.defect(new Error('evil-peer'), 'evil-peer');
    const found = await samples();
    assert.deepEqual(
      [...found.keys()].filter((name) => name.includes('evil')),
      [],
    );
    assert.equal(found.get('postern_limited_total{kind="session",key="other"}'), 1);
    assert.equal(found.get('postern_defects_total'), 1);
  });

  it('show the delay of commands as a histogram whose buckets add up', async () => {
    const { observer, samples } = watch();
    const session = observer.sessionOpened(ends, 'internet');
    for (const seconds of [0.00001, 0.00003, 0.00003, 60]) session.delay(seconds);
    const found = await samples();
    const bucket = (le: string) => found.get(`postern_command_delay_seconds_bucket{le="${le}"}`);
    assert.equal(bucket('0.00001'), 1);
    assert.equal(bucket('0.00005'), 3);
    assert.equal(bucket('10'), 3);
    assert.equal(bucket('+Inf'), 4);
    assert.equal(found.get('postern_command_delay_seconds_count'), 4);
    assert.ok(Math.abs((found.get('postern_command_delay_seconds_sum') ?? 0) - 60.00007) < 1e-9);
  });

  it('show which servers answer', async () => {
    const { observer, samples } = watch({ servers: ['10.0.0.10:25', '10.0.0.11:25'] });
    observer.upstreamUp('10.0.0.10:25', true);
    observer.upstreamConnected('10.0.0.10:25', 0.002);
    const found = await samples();
    assert.equal(found.get('postern_upstream_up{server="10.0.0.10:25"}'), 1);
    assert.equal(found.get('postern_upstream_up{server="10.0.0.11:25"}'), 0);
    assert.equal(found.get('postern_upstream_connect_seconds_sum'), 0.002);
  });
});
