// Postfix and Exim are also read as they really write: test/real/logs.test.ts.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answers, read } from './read.ts';

const NOW = Date.UTC(2026, 0, 5);
const postfix = (daemon: string, text: string, process = 7): string =>
  `Jan  2 08:00:01 mail postfix/${daemon}[${process}]: ${text}\n`;

test('Postfix: sender and recipients are put together by the queue id, under the address that the client gave', async () => {
  const { told, report } = await read(
    postfix('smtpd', 'connect from printer.example.net[198.51.100.17]') +
      postfix(
        'smtpd',
        'Anonymous TLS connection established from printer.example.net[198.51.100.17]: TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)',
      ) +
      postfix(
        'smtpd',
        'NOQUEUE: reject: RCPT from printer.example.net[198.51.100.17]: 554 5.7.1 <x@foreign.example>: Relay access denied; from=<scan@example.com> to=<x@foreign.example> proto=ESMTP helo=<printer>',
      ) +
      postfix('smtpd', '4XyZ12: client=printer.example.net[198.51.100.17], sasl_method=PLAIN, sasl_username=alice') +
      postfix('qmgr', '4XyZ12: from=<scan@example.com>, size=100, nrcpt=2 (queue active)') +
      postfix(
        'smtpd',
        'disconnect from printer.example.net[198.51.100.17] ehlo=1 mail=1 rcpt=1/2 data=1 quit=1 commands=5/6',
      ) +
      postfix(
        'local',
        '4XyZ12: to=<alice@mail.example.com>, orig_to=<all@example.com>, relay=local, delay=0.1, delays=0/0/0/0, dsn=2.0.0, status=sent (delivered)',
      ) +
      postfix(
        'local',
        '4XyZ12: to=<bob@mail.example.com>, orig_to=<all@example.com>, relay=local, delay=0.1, delays=0/0/0/0, dsn=2.0.0, status=sent (delivered)',
      ) +
      postfix('qmgr', '4XyZ12: removed'),
    { now: NOW },
  );
  assert.equal(report.unknown, 0);
  assert.deepEqual(told.map(answers), [['accepted all@example.com', 'refused x@foreign.example']]);
  const [message] = told;
  assert.deepEqual(
    [message?.ptr, message?.login, message?.tls, message?.sender, message?.untold],
    ['printer.example.net', 'alice', true, 'scan@example.com', 1],
  );
  assert.equal(new Date(message?.at ?? 0).getFullYear(), 2026);
});

test('Postfix: what comes back from a content filter with its first client is counted once', async () => {
  const { told } = await read(
    postfix('smtpd', 'A1: client=localhost[127.0.0.1], orig_queue_id=B2, orig_client=unknown[203.0.113.7]') +
      postfix('qmgr', 'A1: removed'),
  );
  assert.deepEqual(told, []);
});

test('Exim: a message with login and TLS, and a refusal of its own', async () => {
  const { told } = await read(
    '2026-01-02 08:00:01 +0000 H=(spam) [203.0.113.7] F=<a@spam.example> temporarily rejected RCPT <b@example.com>: greylisted\n' +
      '2026-01-02 08:00:02 +0000 1vb0aa-000000001aB-0cDe <= scan@example.com H=printer.example.net (printer) [198.51.100.17]:4001 I=[192.0.2.6]:587 P=esmtpsa X=TLS1.3 A=plain:alice S=99 for c@foreign.example\n' +
      '2026-01-02 08:00:03 +0000 1vb0aa-000000001aB-0cDe => c@foreign.example R=out T=smtp\n' +
      '2026-01-02 08:00:03 +0000 1vb0aa-000000001aB-0cDe Completed\n',
  );
  assert.deepEqual(told.map(answers), [['accepted c@foreign.example'], ['deferred b@example.com']]);
  const [message] = told;
  assert.deepEqual(
    [message?.helo, message?.ptr, message?.login, message?.tls, message?.local],
    ['printer', 'printer.example.net', 'alice', true, '192.0.2.6:587'],
  );
});

const sendmail = (text: string): string => `Jan  2 08:00:01 mail sm-mta[9]: ${text}\n`;

test('Sendmail: accepted and refused recipients, and mail of the machine itself is left out', async () => {
  const { told } = await read(
    sendmail('AUTH=server, relay=printer.example.net [198.51.100.17], authid=alice, mech=PLAIN, bits=0') +
      sendmail(
        '6028011A000009: ruleset=check_rcpt, arg1=<x@foreign.example>, relay=printer.example.net [198.51.100.17], reject=550 5.7.1 <x@foreign.example>... Relaying denied',
      ) +
      sendmail(
        '6028011A000009: from=<scan@example.com>, size=30, class=0, nrcpts=2, msgid=<1@printer>, proto=ESMTP, daemon=MTA, relay=printer.example.net [198.51.100.17]',
      ) +
      sendmail(
        '6028011A000009: to=<a@example.com>,<b@example.com>, delay=00:00:01, xdelay=00:00:01, mailer=local, pri=30, dsn=2.0.0, stat=Sent',
      ) +
      sendmail('6028011A000010: from=root, size=30, class=0, nrcpts=1, msgid=<2@mail>, relay=root@localhost') +
      sendmail(
        '6028011A000010: to=root, ctladdr=root (0/0), delay=00:00:01, mailer=relay, pri=30, dsn=2.0.0, stat=Sent',
      ),
  );
  assert.deepEqual(told.map(answers), [
    ['refused x@foreign.example', 'accepted a@example.com', 'accepted b@example.com'],
  ]);
  assert.deepEqual([told[0]?.login, told[0]?.delivered, told[0]?.ptr], ['alice', 'yes', 'printer.example.net']);
});

// As Sendmail 8.17 wrote them, but for the addresses.
test('Sendmail: refused at the end of the message, though it had a sender and a recipient', async () => {
  const { told } = await read(
    sendmail(
      '6ASNiIQE015406: from=<a@example.com>, size=25, class=0, nrcpts=1, proto=ESMTP, daemon=bed, relay=localhost [192.0.2.1]',
    ) +
      sendmail(
        '6ASNiIQE015406: ruleset=check_eom, arg1=25, relay=localhost [192.0.2.1], reject=554 5.7.1 not this one',
      ) +
      sendmail('6ASNiIQE015406: to=<x@foreign.example>, delay=00:00:00, pri=30025, stat=not this one') +
      sendmail(
        '6ASNiIBI015405: ruleset=check_rcpt, arg1=<nobody@example.com>, relay=localhost [192.0.2.1], reject=550 5.1.1 <nobody@example.com>... nobody here',
      ) +
      sendmail(
        '6ASNiIBI015405: from=<>, size=0, class=0, nrcpts=0, proto=ESMTP, daemon=bed, relay=localhost [192.0.2.1]',
      ),
  );
  assert.deepEqual(
    told.map(({ sender, delivered }) => [sender, delivered]),
    [
      ['a@example.com', 'no'],
      ['', 'no'],
    ],
  );
  assert.deepEqual(told.map(answers), [['accepted x@foreign.example'], ['refused nobody@example.com']]);
});

test('journalctl -o json and -o export are read as the lines themselves', async () => {
  const client = 'A1: client=printer.example.net[198.51.100.17]';
  const entries = [
    ['smtpd', client],
    ['qmgr', 'A1: from=<scan@example.com>, size=1, nrcpt=1 (queue active)'],
    ['smtp', 'A1: to=<a@foreign.example>, relay=none, delay=1, delays=0/0/0/0, dsn=2.0.0, status=sent (250 ok)'],
    ['qmgr', 'A1: removed'],
  ];
  const micros = NOW * 1000;
  const json = entries.map(([daemon, text]) =>
    JSON.stringify({
      __REALTIME_TIMESTAMP: `${micros}`,
      _HOSTNAME: 'mail',
      SYSLOG_IDENTIFIER: `postfix/${daemon}`,
      _PID: '7',
      MESSAGE: daemon === 'smtpd' ? [...Buffer.from(text as string)] : text,
    }),
  );
  const exported = entries.map(
    ([daemon, text], at) =>
      `__CURSOR=s=${at}\n__REALTIME_TIMESTAMP=${micros}\n_HOSTNAME=mail\nSYSLOG_IDENTIFIER=postfix/${daemon}\n_PID=7\nMESSAGE=${text}\n`,
  );
  for (const content of [json.join('\n'), exported.join('\n')]) {
    const { told } = await read(content);
    assert.deepEqual(told.map(answers), [['accepted a@foreign.example']]);
    assert.equal(told[0]?.at, NOW);
  }
});

test('what journalctl -o json has left out is said, with what to do', async () => {
  const { report } = await read('{"__REALTIME_TIMESTAMP":"1","SYSLOG_IDENTIFIER":"postern","MESSAGE":null}\n');
  assert.equal(report.unknown, 1);
  assert.deepEqual(report.notes, ['journalctl -o json leaves out what is longer than 4 KiB: have it write with --all']);
});
