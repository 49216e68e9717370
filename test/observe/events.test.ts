import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { SessionEvent } from '../../src/smtp/types.ts';
import { ends, taken, watch } from './watched.ts';

const refused: SessionEvent = {
  name: 'recipient',
  transaction: 1,
  decision: 'reject',
  reason: 'no_rule',
  rule: null,
  sender: 'a@sender.example',
  recipient: 'x@foreign.example',
  reply: '554 5.7.1 <x@foreign.example>: Recipient address rejected: Relay access denied\r\n',
};
const accepted: SessionEvent = { ...refused, decision: 'proceed', reason: 'accepted_domain', reply: '250 OK' };

const OK = { result: 'ok', protocol: 'TLSv1.3', cipher: 'TLS_AES_256_GCM_SHA384', names: [], subject: null } as const;

describe('a handshake', () => {
  it('is counted, and its facts are in the summary; a peer cannot write lines with the names in its certificate', async () => {
    const { observer, entries, samples } = watch();
    const session = observer.sessionOpened(ends, 'internet');
    session.handshake({ ...OK, subject: 'a\n{"level":"ok"}', unverified: null });
    assert.deepEqual(entries(), []);
    session.closed({ origin: 'client', what: 'quit' });
    const [summary] = entries();
    assert.equal(summary?.encryption_protocol, 'TLSv1.3');
    assert.equal(summary?.encryption_cipher, 'TLS_AES_256_GCM_SHA384');
    assert.equal(summary?.ccert_subject, 'a\\x0a{"level":"ok"}');
    assert.equal((await samples()).get('postern_tls_handshakes_total{result="ok"}'), 1);
  });

  it('that failed at connection time is a line and an end of the client, and one in a session is only counted', async () => {
    const { observer, entries, samples } = watch();
    observer.handshakeFailed(ends, 'internet', { result: 'timeout', why: 'too long' });
    observer.sessionOpened(ends, 'internet').handshake({ result: 'failed', why: 'x' });
    const [line, ...others] = entries();
    assert.deepEqual([line?.msg, line?.why, line?.client_address], ['TLS handshake failed', 'too long', '10.9.1.1']);
    assert.equal(others.length, 0);
    const found = await samples();
    assert.equal(found.get('postern_tls_handshakes_total{result="timeout"}'), 1);
    assert.equal(found.get('postern_tls_handshakes_total{result="failed"}'), 1);
    assert.equal(found.get('postern_sessions_total{connector="internet",outcome="client"}'), 1);
  });

  it('with a certificate that could not be verified is a line that says why', () => {
    const { observer, entries } = watch();
    observer.sessionOpened(ends, 'internet').handshake({ ...OK, unverified: 'CERT_HAS_EXPIRED' });
    const [line] = entries();
    assert.equal(line?.msg, 'client certificate names nobody: it could not be verified');
    assert.equal(line?.why, 'CERT_HAS_EXPIRED');
  });
});

describe('a login', () => {
  it('is counted by the answer of the upstream', async () => {
    const { observer, samples } = watch();
    const session = observer.sessionOpened(ends, 'internet');
    session.event({ name: 'login_failed', login: { mechanism: 'PLAIN', name: 'alice' }, code: 535 });
    session.event({ name: 'login_failed', login: { mechanism: 'PLAIN', name: 'alice' }, code: 535 });
    session.event({ name: 'login', login: { mechanism: 'PLAIN', name: 'alice' } });
    const found = await samples();
    assert.equal(found.get('postern_logins_total{connector="internet",outcome="accepted"}'), 1);
    assert.equal(found.get('postern_logins_total{connector="internet",outcome="failed"}'), 2);
  });
});

describe('a session', () => {
  it('writes one line for a refused recipient, in the words of the Postfix policy protocol', () => {
    const { observer, entries } = watch();
    const session = observer.sessionOpened(ends, 'internet');
    session.heloName = 'client.example';
    session.event({ name: 'login', login: { mechanism: 'PLAIN', name: 'CORP\\alice' } });
    session.event(refused);
    const [line, ...others] = entries();
    assert.equal(others.length, 0);
    assert.match(String(line?.time), /^\d{4}-\d\d-\d\dT/);
    assert.deepEqual(
      { ...line, time: null },
      {
        level: 'info',
        time: null,
        session: 1,
        client_address: '10.9.1.1',
        client_port: 40001,
        connector: 'internet',
        helo_name: 'client.example',
        sasl_method: 'PLAIN',
        sasl_username: 'CORP\\alice',
        sender: 'a@sender.example',
        recipient: 'x@foreign.example',
        protocol_state: 'RCPT',
        decision: 'reject',
        reason: 'no_rule',
        key: 'connectors[internet].rules',
        reply: '554 5.7.1 <x@foreign.example>: Recipient address rejected: Relay access denied',
        msg: 'recipient refused',
      },
    );
  });

  it('asks for the rules that were tried only when it writes the line', () => {
    let asked = 0;
    const traced: SessionEvent = { ...refused, trace: () => `never yes ${++asked}` };
    const quiet = watch({ level: 'warn' });
    quiet.observer.sessionOpened(ends, 'internet').event(traced);
    assert.deepEqual([quiet.entries(), asked], [[], 0]);
    const { observer, entries } = watch();
    observer.sessionOpened(ends, 'internet').event(traced);
    assert.deepEqual([entries()[0]?.trace, asked], ['never yes 1', 1]);
  });

  it('writes nothing for a recipient that passes, and one summary at its end', () => {
    const { observer, entries, clock } = watch({ messages: 'none' });
    const session = observer.sessionOpened(ends, 'internet');
    session.heloName = 'client.example';
    session.event(accepted);
    session.event(accepted);
    for (let i = 0; i < 2; i++) session.event({ name: 'answered', code: 250, reply: '' });
    session.event(taken());
    session.octetsFromClient = 4096;
    session.octetsFromUpstream = 300;
    clock.ms = 1500;
    assert.deepEqual(entries(), []);
    session.closed({ origin: 'client', what: 'said QUIT' });
    session.closed({ origin: 'upstream', what: 'closed' });
    const [line, ...others] = entries();
    assert.equal(others.length, 0);
    assert.deepEqual(
      { ...line, time: null },
      {
        level: 'info',
        time: null,
        session: 1,
        client_address: '10.9.1.1',
        client_port: 40001,
        connector: 'internet',
        helo_name: 'client.example',
        messages: 1,
        recipients_accepted: 2,
        recipients_refused: 0,
        octets_from_client: 4096,
        octets_from_upstream: 300,
        seconds: 1.5,
        origin: 'client',
        what: 'said QUIT',
        msg: 'session ended',
      },
    );
  });

  it('counts what would be refused apart from what is', () => {
    const { observer, entries } = watch({ mode: 'observe' });
    const session = observer.sessionOpened(ends, 'internet');
    session.event({ ...refused, decision: 'would_reject', rule: 'never' });
    session.closed({ origin: 'client', what: 'said QUIT' });
    const [recipient, , end] = entries();
    assert.equal(recipient?.msg, 'recipient would be refused');
    assert.equal(recipient?.decision, 'would_reject');
    assert.equal(recipient?.rule, 'never');
    assert.equal(end?.recipients_refused, 0);
    assert.equal(end?.recipients_would_refuse, 1);
  });

  it('keeps one event on one line of JSON whatever the peer calls itself', () => {
    const { observer, lines, entries } = watch();
    const session = observer.sessionOpened(ends, 'internet');
    session.heloName = 'a\x1b[2J\x1b]0;x\x07';
    session.event({ name: 'login', login: { mechanism: 'NTLM', name: 'CORP\\\u202ealice\r\n{"level":"ok"}' } });
    session.event({
      ...refused,
      sender: '"\xe2\x80\xae}{\\","level\\":\\"ok"@sender.example',
      recipient: `${'x\x9b31m\x00\x7f\u2028\n'.repeat(100)}@foreign.example`,
    });
    session.closed({ origin: 'upstream', what: 'connection lost', cause: new Error('read\nECONNRESET\x1b') });
    assert.equal(lines.length, 2);
    for (const line of lines) assert.match(line, /^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+\n$/u);
    const [recipient, end] = entries();
    assert.equal(recipient?.level, 'info');
    assert.equal(recipient?.helo_name, 'a\\x1b[2J\\x1b]0;x\\x07');
    assert.equal(String(recipient?.recipient).length, 256);
    assert.equal(end?.cause, 'read\\x0aECONNRESET\\x1b');
  });

  it('logs a refused sender with the state it was refused in', () => {
    const { observer, entries } = watch();
    const session = observer.sessionOpened(ends, 'internet');
    session.event({
      name: 'sender',
      decision: 'reject',
      reason: 'sender',
      rule: null,
      sender: 'x@a.example',
      reply: '550 no',
    });
    assert.equal(entries()[0]?.msg, 'sender refused');
    assert.equal(entries()[0]?.protocol_state, 'MAIL');
  });
});

describe('the firewall', () => {
  it('logs a connection refused at connection time', () => {
    const { observer, entries } = watch();
    const reply = { code: 421, enhanced: '4.7.0', text: 'Too many connections' };
    observer.connectionRefused(ends, 'internet', 'connections', reply);
    assert.equal(entries()[0]?.msg, 'connection refused');
    assert.equal(entries()[0]?.reply, '421 4.7.0 Too many connections');
    assert.equal(entries()[0]?.reason, 'connections');
  });

  it('says once that an upstream is away and once that it is back', () => {
    const { observer, entries } = watch();
    for (const up of [true, true, false, false, true])
      observer.upstreamUp('10.0.0.10:25', up, 'connect ECONNREFUSED', 0.9996);
    assert.deepEqual(
      entries().map((entry) => entry.msg),
      ['upstream answers', 'upstream does not answer', 'upstream answers again'],
    );
    assert.equal(entries()[1]?.next_probe_seconds, 1);
  });

  it('says at the start and at a reload that observe does not protect', () => {
    const { observer, entries } = watch({ mode: 'observe' });
    observer.listening(['0.0.0.0:25']);
    observer.reloaded('postern.yaml', 'observe');
    observer.reloaded('postern.yaml', 'enforce');
    const warnings = entries().filter((entry) => entry.level === 'warn');
    assert.equal(warnings.length, 2);
    assert.match(String(warnings[0]?.msg), /not protected/);
  });

  it('logs a defect with what it was doing and where, on one line', () => {
    const { observer, lines, entries } = watch();
    observer.defect(new Error('broken\r\nline'), 'reading a reply');
    assert.equal(lines.length, 1);
    assert.equal(entries()[0]?.level, 'error');
    assert.equal(entries()[0]?.doing, 'reading a reply');
    assert.match(JSON.stringify(entries()[0]?.stack), /broken[^x]*x0d/);
  });

  it('is not sure of an upstream that answered half a minute ago', () => {
    const { observer, clock } = watch();
    assert.equal(observer.readiness().upstream, null);
    observer.upstreamUp('10.0.0.10:25', true);
    clock.ms = 29_999;
    assert.equal(observer.readiness().upstream, true);
    clock.ms = 30_000;
    assert.equal(observer.readiness().upstream, null);
    observer.upstreamUp('10.0.0.10:25', false);
    assert.equal(observer.readiness().upstream, false);
  });
});
