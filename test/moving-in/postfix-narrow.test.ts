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
