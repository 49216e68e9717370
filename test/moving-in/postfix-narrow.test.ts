// Settings of Postfix that are easily read wider than they are: exclusions that are not known, tables with conditions, words
// that swallow the next, files that are cut off. None of them may let somebody through whom Postfix did not.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { POSTFIX } from '../../src/moving-in/postfix.ts';
import { imported, tried } from './importing.ts';

const BASE = 'myhostname = mail.example.com\nmydestination = example.com\n';

type File = readonly [name: string, text: string];

async function answers(settings: string, lines: readonly string[], ...files: readonly File[]): Promise<void> {
  const { wrong } = await tried(imported(POSTFIX, [`${BASE}${settings}\n`, ...files]), lines);
  assert.deepEqual(wrong, []);
}

const client = (address: string): string => `${address} -> x@foreign.example`;

for (const exclusion of ['!/etc/postfix/strangers', '!cidr:/etc/postfix/strangers', '!$strangers', '!nonsense'])
  test(`mynetworks: ${exclusion} is not known, and nobody behind it relays`, () =>
    answers(`mynetworks = 192.168.0.0/16 ${exclusion} 10.0.0.0/8`, [
      `proceed ${client('192.168.1.1')}`,
      `reject ${client('10.9.1.1')}`,
    ]));

test('an exclusion whose file is there is one', () =>
  answers(
    'mynetworks = !/etc/postfix/strangers 10.0.0.0/8',
    [`reject ${client('10.9.1.1')}`, `proceed ${client('10.8.1.1')}`],
    ['strangers', '10.9.0.0/16\n'],
  ));

test('an indexed table in mynetworks holds addresses, and no network', () =>
  answers(
    'mynetworks = hash:/etc/postfix/nets',
    [`proceed ${client('10.1.1.1')}`, `reject ${client('10.2.2.2')}`, `reject ${client('10.3.3.3')}`],
    ['nets', '10.1.1.1 yes\n10.2.0.0/16 yes\n10.3 yes\n'],
  ));

test('what stands under a condition of a cidr table is not taken without it', () =>
  answers(
    'mynetworks = cidr:/etc/postfix/nets',
    [`proceed ${client('10.1.1.1')}`, `reject ${client('192.168.1.1')}`, `reject ${client('203.0.113.7')}`],
    ['nets', '10.1.0.0/16 yes\nif 172.16.0.0/12\n192.168.0.0/16 yes\nendif\n!10.0.0.0/8 yes\n'],
  ));

test('an access table: conditions, negations, and what stands behind a pattern that nobody can read', async () => {
  const list = (table: string): string =>
    `mynetworks = 10.0.0.1\nsmtpd_relay_restrictions = check_client_access ${table}, permit_mynetworks, reject_unauth_destination`;
  await answers(
    list('cidr:/etc/postfix/access'),
    [`reject ${client('192.168.1.1')}`, `reject ${client('203.0.113.7')}`],
    ['access', 'if 172.16.0.0/12\n192.168.0.0/16 OK\nendif\n!10.0.0.0/8 OK\n'],
  );
  await answers(
    'mynetworks = 10.0.0.1\nsmtpd_relay_restrictions = check_recipient_access pcre:/etc/postfix/to, reject_unauth_destination',
    ['reject 203.0.113.7 -> boss@partner.example'],
    ['to', '/^(boss|chief)@partner\\.example$/ REJECT\n/@partner\\.example$/ OK\n'],
  );
});

test('a restriction class takes no word with it, whatever it is called', () =>
  answers(
    'mynetworks = 10.0.0.0/8\nsmtpd_restriction_classes = local_access\nlocal_access = permit_sasl_authenticated\n' +
      'smtpd_relay_restrictions = local_access, reject, permit_mynetworks',
    [`refuse-connection ${client('10.1.1.1')}`],
  ));

test('relay_domains: what is left out of a domain is no reason to take all of it', () =>
  answers('relay_domains = !secret.partner.example, partner.example', [
    'reject 203.0.113.7 -> a@secret.partner.example',
  ]));

test('everybody under a top-level domain is everybody', async () => {
  const restrictions = (what: string): string =>
    `mynetworks = 10.0.0.1\nsmtpd_relay_restrictions = check_${what}_access hash:/etc/postfix/t, reject_unauth_destination`;
  const names = { client: 'reject 203.0.113.7 ptr=host.example.net -> x@foreign.example' };
  await answers(restrictions('client'), [names.client], ['t', 'net OK\n']);
  await answers(restrictions('recipient'), ['reject 203.0.113.7 -> x@foreign.net'], ['t', 'net OK\n']);
});

test('a file whose last line has no end is taken for one that is cut off', () => {
  const whole = `${BASE}mynetworks = 10.0.0.0/16\nsmtpd_relay_restrictions = permit_sasl_authenticated, reject\n`;
  assert.deepEqual(imported(POSTFIX, [whole]).faults, []);
  for (let length = 1; length < whole.length; length++) {
    if (whole[length - 1] === '\n') continue;
    const { faults } = imported(POSTFIX, [whole.slice(0, length)]);
    assert.notEqual(faults.length, 0, whole.slice(0, length));
  }
  const [fault] = imported(POSTFIX, [whole.slice(0, -1)]).faults;
  assert.equal(`${fault?.line}:${fault?.column}`, '4:61');
  assert.match(fault?.message ?? '', /^the last line has no end/);
});

test('plain lists and tables with nothing but remarks stand beside the settings that name them', () =>
  answers(
    'mynetworks = /etc/postfix/nets\nrelay_domains = /etc/postfix/domains\nsmtpd_client_restrictions = check_client_access hash:/etc/postfix/bad',
    [`proceed ${client('10.1.1.1')}`, 'proceed 203.0.113.7 -> a@partner.example', `reject ${client('203.0.113.7')}`],
    ['nets', '10.0.0.0/8\n192.168.1.0/24\n'],
    ['domains', 'partner.example\n'],
    ['bad', '# nobody so far\n'],
  ));

const relay = (words: string, more = ''): string =>
  `mynetworks = 10.0.0.0/8\nsmtpd_relay_restrictions = ${words}, reject_unauth_destination${more}`;

test('a key that Postfix never asks a table for holds nobody, and it is said', async () => {
  const keys =
    '10.0.0.0/8 OK\n192.0.2.1: OK\n192.0.2.2-192.0.2.9 OK\n2001:db8:0:0::1 OK\n2001:db8:0 OK\n192.0.2.20 OK\n';
  const settings = relay('check_client_access hash:/etc/postfix/may');
  await answers(
    settings,
    [
      ...['10.1.1.1', '192.0.2.1', '192.0.2.5', '2001:db8::1', '2001:db8::9'].map((one) => `reject ${client(one)}`),
      `proceed ${client('192.0.2.20')}`,
    ],
    ['may', keys],
  );
  await answers(
    relay('check_client_access cidr:/etc/postfix/may'),
    ['10.2.1.1', '10.1.2.3', '192.0.2.5'].map((one) => `reject ${client(one)}`),
    ['may', '10.2 OK\n10.1.2.3/8 OK\n192.0.2.2-192.0.2.9 OK\n'],
  );
  const { report } = imported(POSTFIX, [`${BASE}${settings}\n`, ['may', keys]]);
  assert.match(report.find(({ value }) => value === '10.0.0.0/8 OK')?.why ?? '', /it held nobody there/);
});

test('a pattern means what it says: a whole address, and whole addresses of mail', async () => {
  await answers(
    relay('check_client_access regexp:/etc/postfix/may'),
    [`reject ${client('10.1.2.3')}`, `proceed ${client('192.0.2.1')}`],
    ['may', '/^10\\.1$/ OK\n/^192\\.0\\.2\\.1$/ OK\n'],
  );
  await answers(
    relay('check_recipient_access regexp:/etc/postfix/to'),
    ['reject 203.0.113.7 -> a@supplier.example'],
    ['to', '/(^|\\.)supplier\\.example$/ OK\n'],
  );
});

test('a table of patterns is asked for the name before the address, through proxy: as well', async () => {
  const table = ['t', '/^203\\.0\\.113\\./ OK\n/(^|\\.)dialup\\.example$/ reject_unauth_destination\n'] as const;
  for (const type of ['regexp', 'proxy:pcre'])
    await answers(
      relay(`check_client_access ${type}:/etc/postfix/t`),
      ['reject 203.0.113.7 ptr=a.dialup.example -> x@foreign.example', `proceed ${client('203.0.113.7')}`],
      table,
    );
  await answers(
    relay('check_client_access proxy:cidr:/etc/postfix/t'),
    [`reject ${client('192.0.2.1')}`],
    ['t', '192.0.2.0/24 reject_unauth_destination\n192.0.2.1/32 OK\n'],
  );
});

test('clients without a name, as a table calls them, are not those called unknown', () =>
  answers(
    relay('check_client_access hash:/etc/postfix/t, permit_mynetworks'),
    [`reject ${client('10.1.1.1')}`],
    ['t', 'unknown reject_unauth_destination\nexample REJECT\n'],
  ));

test('a denial that is too much for one rule is not lost', async () => {
  const classes =
    'smtpd_sasl_auth_enable = yes\nsmtpd_restriction_classes = some\nsome = check_client_access cidr:/a/c, permit_sasl_authenticated\n';
  await answers(
    classes + relay('check_sender_access hash:/a/s'),
    ['reject 192.0.2.1 login=alice sender=a@evil.example -> x@foreign.example'],
    ['s', 'a@fine.example DUNNO\nevil.example some\n'],
    ['c', '198.51.100.5 DUNNO\n192.0.2.0/28 reject_unauth_destination\n'],
  );
  await answers(
    `smtpd_sasl_auth_enable = yes\n${relay('check_client_access hash:/a/c, permit_sasl_authenticated')}`,
    ['reject 192.0.2.1 login=alice -> x@foreign.example'],
    ['c', '*.odd DUNNO\n192.0.2.1 permit_mynetworks, reject\n'],
  );
});

test('clients that are refused behind reject_unauth_destination may not write to us either', async () => {
  const asked = ['refuse-connection 192.0.2.1 -> a@example.com', 'proceed 203.0.113.7 -> a@example.com'];
  const table = ['c', '192.0.2.1 REJECT\n'] as const;
  await answers(relay('permit_mynetworks', ', check_client_access hash:/a/c'), asked, table);
  const some = 'smtpd_restriction_classes = none\nnone = reject\n';
  await answers(some + relay('permit_mynetworks', ', check_client_access hash:/a/c'), asked, ['c', '192.0.2.1 none\n']);
  const { report } = imported(POSTFIX, [`${BASE}${relay('permit_mynetworks', ', reject_rbl_client bl.example')}\n`]);
  assert.ok(report.some(({ value }) => value === 'reject_rbl_client bl.example'));
});

test('who is refused at DATA is refused', () =>
  answers(
    `${relay('permit_mynetworks')}\nsmtpd_data_restrictions = check_client_access cidr:/a/c`,
    ['refuse-connection 10.9.1.1 -> x@foreign.example', `proceed ${client('10.1.1.1')}`],
    ['c', '10.9.0.0/16 REJECT\n'],
  ));

test('lists of senders that are known to be bad close nothing, and <> may stand in a table', () =>
  answers(
    `${relay('permit_mynetworks')}\nsmtpd_sender_restrictions = reject_rhsbl_sender dbl.example, check_sender_access hash:/a/s`,
    [`proceed ${client('10.1.1.1')}`],
    ['s', '<> DUNNO\n'],
  ));

test('two tables of the same name: the one that is here is not taken for the other', async () => {
  const settings = relay(
    'check_client_access hash:/etc/postfix/may/access, check_sender_access hash:/etc/postfix/not/access',
  );
  const asked = (answer: string): string[] => [`${answer} ${client('192.0.2.1')}`];
  await answers(settings, asked('reject'), ['access', '192.0.2.1 OK\n']);
  await answers(settings, asked('reject'), ['copy/not/access', '192.0.2.1 OK\n']);
  await answers(
    settings,
    asked('proceed'),
    ['copy/may/access', '192.0.2.1 OK\n'],
    ['copy/not/access', 'x.example OK\n'],
  );
});

test('what stands in braces within braces of master.cf is not cut off', async () => {
  const own = '-o { smtpd_relay_restrictions = check_policy_service { inet:127.0.0.1:9, timeout = 1 }, reject }';
  const master = ['master', `smtp inet n - y - - smtpd ${own}\n`] as const;
  await answers(
    'mynetworks = 10.0.0.0/8\nsmtpd_recipient_restrictions = permit_mynetworks',
    [`reject ${client('10.1.1.1')}`.replace('reject', 'refuse-connection')],
    master,
  );
});

test('a list whose default hangs on the version is told', () => {
  const loud = (more: string): boolean =>
    imported(POSTFIX, [
      `${BASE}mynetworks = 10.0.0.1\nsmtpd_recipient_restrictions = check_client_access hash:/a/c, reject_unauth_destination\n${more}`,
      ['c', '192.0.2.1 OK\n'],
    ]).report.some(({ setting, loud }) => loud === true && setting === 'smtpd_relay_restrictions');
  assert.equal(loud(''), true);
  assert.equal(loud('compatibility_level = 3.6\n'), false);
});
