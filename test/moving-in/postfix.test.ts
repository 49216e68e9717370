// Settings of Postfix that state what policies/postfix.yaml states, imported: the policy answers every case of that preset.
// And what Postfix can say otherwise. A real Postfix answers the same questions in test/real/postfix-import.test.ts.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { POSTFIX } from '../../src/moving-in/postfix.ts';
import { imported, presetCases, tried } from './importing.ts';

const RECIPIENTS = fileURLToPath(new URL('../../policies/postfix.recipients.txt', import.meta.url));

const PRESET = `
compatibility_level = 3.6
mydestination = $myhostname, example.com
myhostname = mail.example.com
mynetworks = 127.0.0.0/8 [::1]/128 10.20.30.0/24 [2001:db8:20::]/64
relay_domains = backup.example
smtpd_recipient_restrictions = check_recipient_access hash:/etc/postfix/recipient_access,
    check_client_access hash:/etc/postfix/client_access, permit_mynetworks, permit_sasl_authenticated,
    reject_unauth_destination
smtpd_sasl_auth_enable = yes
smtpd_sender_login_maps = hash:/etc/postfix/senders
smtpd_sender_restrictions = reject_sender_login_mismatch
smtpd_tls_auth_only = yes
smtpd_tls_security_level = may
virtual_mailbox_domains = typo.example
`;

const TABLES = [
  [
    'copy/client_access',
    '# who may not relay\n10.20.30.66 reject_unauth_destination\ndynamic.example.com reject_unauth_destination\n',
  ],
  ['copy/recipient_access', 'typo.example REJECT no such domain\n'],
  ['copy/senders', 'alice@example.com alice\nbob@example.com bob\n'],
] as const;

test('the preset, out of postconf -n and its tables, answers every case', async () => {
  const made = imported(POSTFIX, [PRESET, ...TABLES], { validRecipients: RECIPIENTS });
  const { wrong, findings } = await tried(made, presetCases('postfix'));
  assert.deepEqual(wrong, []);
  assert.deepEqual(
    findings.filter((one) => !one.startsWith('note')),
    [],
  );
});

const BASE = 'myhostname = mail.example.com\nmydestination = example.com\nmynetworks = 10.0.0.0/8\n';

async function answers(
  settings: string,
  lines: readonly string[],
  tables: readonly (readonly [string, string])[] = [],
): Promise<void> {
  const { wrong } = await tried(imported(POSTFIX, [BASE + settings, ...tables]), lines);
  assert.deepEqual(wrong, []);
}

const INSIDE = '10.1.2.3 -> x@foreign.example';
const OUTSIDE = '203.0.113.7 -> x@foreign.example';

test('without restrictions those that Postfix has by default hold', () =>
  answers('smtpd_helo_required = yes\n', [
    `proceed ${INSIDE}`,
    `reject ${OUTSIDE}`,
    'proceed 203.0.113.7 -> a@example.com',
    'reject 203.0.113.7 -> a@sub.example.com',
  ]));

test('a login relays where logins are switched on', async () => {
  await answers('smtpd_sasl_auth_enable = yes\n', ['proceed 203.0.113.7 login=alice -> x@foreign.example']);
  await answers('', ['reject 203.0.113.7 login=alice -> x@foreign.example']);
});

test('a login, or a word that is asked for, may be called as what every object of JavaScript has', () =>
  answers(
    'relay_domains = $toString\nsmtpd_sender_login_maps = hash:/etc/postfix/senders\n' +
      'smtpd_sasl_auth_enable = yes\nsmtpd_sender_restrictions = reject_sender_login_mismatch\n',
    [
      'refuse-sender 203.0.113.7 login=bob sender=a@example.com -> x@foreign.example',
      'proceed 203.0.113.7 login=tostring sender=a@example.com -> x@foreign.example',
    ],
    [['copy/senders', 'a@example.com toString\n']],
  ));

test('an open relay is not carried over unless it is asked for', async () => {
  const may = 'permit_mynetworks, check_recipient_access hash:/a/r, check_client_access cidr:/a/c';
  const tables = [
    ['r', 'friend@foreign.example OK\n'],
    ['c', '0.0.0.0/0 OK\n'],
  ] as const;
  for (const end of ['', ', reject_unauth_destination']) {
    const settings = `${BASE}smtpd_relay_restrictions =\nsmtpd_recipient_restrictions = ${may}${end}\n`;
    const made = imported(POSTFIX, [settings, ...tables]);
    const asked = [`proceed ${INSIDE}`, `reject ${OUTSIDE}`, 'reject 203.0.113.7 -> friend@foreign.example'];
    assert.deepEqual((await tried(made, asked)).wrong, []);
    assert.ok(made.report.some(({ loud, why }) => loud === true && why.startsWith('an open relay')));
    const open = imported(POSTFIX, [settings, ...tables], { keepOpen: true });
    assert.deepEqual((await tried(open, [`proceed ${OUTSIDE}`])).wrong, []);
  }
});

test('the whole Internet in mynetworks is not carried over', () =>
  answers('mynetworks = 0.0.0.0/0, 192.168.0.0/16\n', [
    `reject ${OUTSIDE}`,
    'proceed 192.168.1.1 -> x@foreign.example',
  ]));

test('what ! takes out of mynetworks is out for what stands behind it', () =>
  answers('mynetworks = !10.9.0.0/16 10.0.0.0/8\n', [`proceed ${INSIDE}`, 'reject 10.9.1.1 -> x@foreign.example']));

test('a client that is refused for everything cannot connect, but for those that were let through before', () =>
  answers(
    'smtpd_client_restrictions = permit_mynetworks, check_client_access cidr:/etc/postfix/bad\n',
    [
      'refuse-connection 198.51.100.5 -> a@example.com',
      'proceed 10.66.0.1 -> x@foreign.example',
      'proceed 198.51.101.5 -> a@example.com',
    ],
    [['bad', '198.51.100.0/24 REJECT spam\n10.66.0.0/16 REJECT\n']],
  ));

test('an indexed table is asked for the most specific key, a cidr table from its top', async () => {
  const list = (type: string) => `smtpd_relay_restrictions = check_client_access ${type}:/etc/postfix/may, reject\n`;
  const table = '198.51.100 OK\n198.51.100.5 reject_unauth_destination\n198.51.100.6 DUNNO\n';
  const asked = [
    'proceed 198.51.100.4 -> x@foreign.example',
    'refuse-connection 198.51.100.5 -> x@foreign.example',
    'refuse-connection 198.51.100.6 -> a@example.com',
    `refuse-connection ${INSIDE}`,
  ];
  await answers(list('hash'), asked, [['may', table]]);
  const cidr = '198.51.100.0/24 OK\n198.51.100.5/32 reject_unauth_destination\n';
  await answers(list('cidr'), ['proceed 198.51.100.5 -> x@foreign.example'], [['may', cidr]]);
});

test('who only says to be somebody is not let through: sender and HELO', () =>
  answers(
    'smtpd_recipient_restrictions = check_sender_access hash:/a/s, check_helo_access hash:/a/h, reject_unauth_destination\nsmtpd_relay_restrictions =\n',
    ['reject 203.0.113.7 sender=boss@partner.example helo=partner.example -> x@foreign.example'],
    [
      ['s', 'partner.example OK\n'],
      ['h', 'partner.example OK\n'],
    ],
  ));

test('a recipient that is let through for everyone is, where every list does', async () => {
  const table = [['r', 'supplier.example OK\n']] as const;
  const may = 'check_recipient_access hash:/a/r, permit_mynetworks, reject_unauth_destination\n';
  await answers(
    `smtpd_relay_restrictions = ${may}`,
    ['proceed 203.0.113.7 -> a@supplier.example', `reject ${OUTSIDE}`],
    table,
  );
  await answers(
    `smtpd_recipient_restrictions = ${may}`,
    ['reject 203.0.113.7 -> a@supplier.example', `proceed ${INSIDE}`],
    table,
  );
});

test('a denial of clients that cannot be read closes what stands behind it', async () => {
  const list = (table: string) =>
    `smtpd_relay_restrictions = check_client_access ${table}, permit_mynetworks, reject_unauth_destination\n`;
  await answers(list('hash:/etc/postfix/not-there'), [`reject ${INSIDE}`]);
  await answers(list('mysql:/etc/postfix/clients.cf'), [`reject ${INSIDE}`]);
  await answers(list('pcre:/a/p'), [`reject ${INSIDE}`], [['p', '/^(dial|ppp)-?[0-9]+\\./ REJECT\n']]);
  await answers(
    list('pcre:/a/p'),
    [`proceed ${INSIDE}`, 'reject 10.6.7.8 -> x@foreign.example'],
    [['p', '/^10\\.6\\./ reject_unauth_destination\n']],
  );
});

test('a word that nobody knows closes what stands behind it', () =>
  answers('smtpd_relay_restrictions = chek_client_access, permit_mynetworks, reject_unauth_destination\n', [
    `reject ${INSIDE}`,
  ]));

test('a list that ends in reject is not for everybody, to our own domains either', async () => {
  const list = (words: string) => `smtpd_sasl_auth_enable = yes\nsmtpd_recipient_restrictions = ${words}, reject\n`;
  const toUs = '203.0.113.7 -> a@example.com';
  await answers(list('permit_sasl_authenticated'), [
    `refuse-sender ${toUs}`,
    'proceed 203.0.113.7 login=a -> x@foreign.example',
  ]);
  await answers(list('permit_mynetworks'), [
    `refuse-connection ${toUs}`,
    'proceed 10.1.2.3 -> a@example.com',
    `proceed ${INSIDE}`,
  ]);
  await answers(list('permit_auth_destination'), [`proceed ${toUs}`, `reject ${INSIDE}`]);
});

test('restriction classes stand for their lists', () =>
  answers(
    'smtpd_restriction_classes = scanners\nscanners = check_recipient_access hash:/a/r, reject\nsmtpd_relay_restrictions = check_client_access hash:/a/c, permit_mynetworks, reject_unauth_destination\n',
    ['proceed 10.5.0.1 -> a@supplier.example', 'reject 10.5.0.1 -> x@foreign.example', `proceed ${INSIDE}`],
    [
      ['c', '10.5.0.1 scanners\n'],
      ['r', 'supplier.example OK\n'],
    ],
  ));

test('each smtpd of master.cf is a connector with its own settings', async () => {
  const master = `smtp       inet  n       -       y       -       -       smtpd
submission inet  n       -       y       -       -       smtpd -o syslog_name=postfix/submission -o smtpd_sasl_auth_enable=yes -o smtpd_relay_restrictions=permit_sasl_authenticated,reject
pickup     unix  n       -       y       60      1       pickup
`;
  const { wrong } = await tried(imported(POSTFIX, [BASE, master]), [
    `proceed ${INSIDE}`,
    'refuse-sender 10.1.2.3 local=10.0.0.1:587 -> a@example.com',
    'proceed 203.0.113.7 local=10.0.0.1:587 login=alice -> x@foreign.example',
    'reject 203.0.113.7 login=alice -> x@foreign.example',
  ]);
  assert.deepEqual(wrong, []);
});

test('a value is filled in, and one that cannot be is told and left out', async () => {
  const made = imported(POSTFIX, [
    `${BASE}mydomain = example.com\nours = a.$mydomain b.\${mydomain}\nmydestination = $ours, \${nobody}.example\n`,
  ]);
  assert.deepEqual(
    (await tried(made, ['proceed 203.0.113.7 -> x@a.example.com', 'proceed 203.0.113.7 -> x@b.example.com'])).wrong,
    [],
  );
  const told = made.report.find(({ value }) => value === `\${nobody}.example`);
  assert.equal(told?.verdict, 'cannot be said');
  assert.deepEqual([told?.where.line, told?.where.file], [6, 'a.txt']);
});

test('mynetworks that is not set is asked for, and lets nobody through', async () => {
  const made = imported(POSTFIX, ['mydestination = example.com\nmyhostname = mail.example.com\n']);
  assert.deepEqual((await tried(made, [`reject ${INSIDE}`])).wrong, []);
  assert.match(made.report.find(({ setting }) => setting === 'mynetworks')?.why ?? '', /postconf mynetworks says it/);
});

test('limits, sizes and the rate of a minute', () => {
  const { policy } = imported(POSTFIX, [
    `${BASE}smtpd_client_message_rate_limit = 30\nsmtpd_client_connection_count_limit = 10\nmessage_size_limit = 10485760\nsmtpd_hard_error_limit = 5\n`,
  ]);
  const [connector] = policy.connectors as [{ limits: unknown; max_message_size: string }];
  assert.deepEqual(connector.limits, { session: { errors: 5 }, source: { connections: 10, message_rate: '30/1m' } });
  assert.equal(connector.max_message_size, '10MiB');
});

test('tables without settings, and settings twice, are told', () => {
  assert.match(imported(POSTFIX, [['x', '10.0.0.1 OK\n']]).faults[0]?.message ?? '', /postconf -n/);
  assert.match(imported(POSTFIX, [BASE, BASE]).faults[0]?.message ?? '', /a second output of postconf/);
});

test('recipients that Postfix completes, or takes without their extension, are told to be refused', () => {
  const stricter = (settings: string, given = {}): string[] =>
    imported(POSTFIX, [BASE + settings], given)
      .report.filter(({ verdict }) => verdict === 'stricter')
      .map(({ setting, value, became }) => `${setting} ${value}: ${became}`);
  const bare = 'unqualified_recipients: reject';
  assert.deepEqual(stricter('recipient_delimiter = +-\n', { validRecipients: RECIPIENTS }), [
    'recipient_delimiter +-: valid_recipients',
  ]);
  assert.deepEqual(stricter('recipient_delimiter =\n', { validRecipients: RECIPIENTS }), []);
  assert.deepEqual(stricter('recipient_delimiter = +\n'), []);
  assert.deepEqual(stricter('myorigin = example.com\n'), [`myorigin example.com: ${bare}`]);
  assert.deepEqual(stricter('myorigin = /etc/mailname\n'), [`myorigin /etc/mailname: ${bare}`]);
  assert.deepEqual(stricter('myorigin = foreign.example\n'), []);
  const asked = 'smtpd_recipient_restrictions = reject_non_fqdn_recipient, reject_unauth_destination\n';
  assert.deepEqual(stricter(`myorigin = example.com\n${asked}`), []);
});
