// What a real Postfix answers and what the policy answers that was imported of the same settings: never more, and mostly the
// same. Lists are put together at random, with the seed in the name of the test; clients come by XCLIENT. POSTERN_IMPORTS
// says how many settings (5 s each), POSTERN_SEED which.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import type { Imported } from '../../src/moving-in/imported.ts';
import { POSTFIX } from '../../src/moving-in/postfix.ts';
import { freePort } from '../helpers/free-port.ts';
import { imported, tried } from '../moving-in/importing.ts';
import type { Bed } from './beds/bed.ts';
import { postfix, startPostfix } from './beds/postfix.ts';
import { Client } from './client.ts';

const SEED = Number(process.env.POSTERN_SEED ?? 20261128);

const TABLES: Readonly<Record<string, string>> = {
  clients:
    '198.51.100.5 reject_unauth_destination\n198.51.100 OK\n10.66 REJECT\n10.66.0.9 DUNNO\npartner.example OK\nbad.partner.example REJECT\n',
  networks: '10.66.0.0/16 REJECT\n198.51.100.5 DUNNO\n198.51.100.0/24 OK\n192.0.2.0/28 reject_unauth_destination\n',
  patterns: '/^10\\.66\\./ REJECT\n/(^|\\.)partner\\.example$/ OK\n/^192\\.0\\.2\\.1$/ permit_mynetworks\n',
  recipients: 'supplier.example OK\nboss@supplier.example REJECT\nfriend@foreign.example OK\n',
  senders: 'evil.example REJECT\nfine.example OK\n',
  odd: '10.0.0.0/8 OK\n192.0.2.1 permit_auth_destination, reject\n198.51.100.6: OK\n203.0.113.7 nested\npartner.example permit_mynetworks, reject\n',
  bad: '10.2 OK\n10.1.2.3/8 OK\n192.0.2.0-192.0.2.9 OK\n203.0.113.0/24 nested\n',
  names: '/^203\\.0\\.113\\.8$/ OK\n/(^|\\.)partner\\.example$/ reject_unauth_destination\n/^10\\.1$/ OK\n',
  wide: '/(^|\\.)supplier\\.example$/ OK\n/@foreign\\.example$/ permit_mynetworks\n',
  some: 'a@fine.example permit_mynetworks\n<> reject_unauth_destination\nevil.example nested\n',
  strangers: '10.66.0.0/24\n',
  hosts: '10.1.2.3 x\n10.66.0.0/16 x\n192.0.2 x\n198.51.100.6 x\n',
  nets: 'if 10.0.0.0/8\n10.66.0.0/16 x\n192.0.2.0/24 x\nendif\n198.51.100.0/28 x\n',
};

const WORDS = [
  'permit_mynetworks',
  'permit_sasl_authenticated',
  'check_client_access texthash:DIR/clients',
  'check_client_access cidr:DIR/networks',
  'check_client_access regexp:DIR/patterns',
  'check_recipient_access texthash:DIR/recipients',
  'check_sender_access texthash:DIR/senders',
  'inside_access',
  'nested',
  'check_client_access texthash:DIR/odd',
  'check_client_access cidr:DIR/bad',
  'check_client_access regexp:DIR/names',
  'check_recipient_access regexp:DIR/wide',
  'check_sender_access texthash:DIR/some',
  'warn_if_reject check_client_access cidr:DIR/networks',
  'permit_auth_destination',
];
const ENDS = [
  'reject_unauth_destination',
  'defer_unauth_destination',
  'reject_unauth_destination, check_client_access cidr:DIR/networks',
  'reject',
];
const NETWORKS = [
  '10.0.0.0/8',
  '!10.66.0.0/24 10.0.0.0/8 192.0.2.1',
  '127.0.0.0/8 198.51.100.0/25, [2001:db8::]/32',
  '!DIR/strangers 10.0.0.0/8',
  'texthash:DIR/hosts',
  'cidr:DIR/nets 192.0.2.3',
];

const CLIENTS = [
  '10.1.2.3',
  '10.66.0.9',
  '10.66.1.1',
  '192.0.2.1',
  '192.0.2.3',
  '198.51.100.5',
  '198.51.100.6',
  '203.0.113.7',
  '203.0.113.8 a.partner.example',
  '203.0.113.9 bad.partner.example',
];
const SENDERS = ['', 'a@evil.example', 'a@fine.example'];
const RECIPIENTS = [
  'u@example.com',
  'u@sub.backup.example',
  'u@foreign.example',
  'friend@foreign.example',
  'u@supplier.example',
  'boss@supplier.example',
];
const LOGINS = [null, 'alice'];

/** mulberry32 */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

function settingsOf(next: () => number, folder: string): string[] {
  const pick = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)] as T;
  const words = (most: number): string[] => Array.from({ length: Math.floor(next() * (most + 1)) }, () => pick(WORDS));
  const list = (name: string, most: number, end: readonly string[]): string =>
    `${name} = ${[...words(most), ...end].join(', ').replaceAll('DIR', folder)}`;
  const isOld = next() < 0.3; // everything in one list, as before 2.10
  return [
    `mynetworks = ${pick(NETWORKS).replaceAll('DIR', folder)}`,
    'smtpd_sasl_auth_enable = yes',
    'smtpd_restriction_classes = inside_access, nested',
    `nested = check_client_access cidr:${folder}/networks, permit_sasl_authenticated, reject`,
    `inside_access = permit_mynetworks, check_recipient_access texthash:${folder}/recipients`,
    list('smtpd_client_restrictions', 1, []),
    list('smtpd_sender_restrictions', 1, []),
    isOld ? 'smtpd_relay_restrictions =' : list('smtpd_relay_restrictions', 3, [pick(ENDS)]),
    list('smtpd_recipient_restrictions', 3, isOld ? [pick(ENDS)] : []),
  ];
}

const MAIN = ['mydestination = example.com', 'relay_domains = backup.example', 'smtpd_delay_reject = yes'];
const SERVERS = Number(process.env.POSTERN_IMPORTS ?? 3);

suite(`Postfix and the policy that is made of its settings, seed ${SEED}`, { skip: postfix.missing }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-tables-'));
  const settings = new Map<number, string[]>();
  let bed: Bed;

  before(async () => {
    for (const [name, text] of Object.entries(TABLES)) writeFileSync(join(folder, name), text);
    const next = random(SEED);
    while (settings.size < SERVERS) settings.set(await freePort(), settingsOf(next, folder));
    const main = [
      ...MAIN,
      'smtpd_authorized_xclient_hosts = 127.0.0.1',
      'smtpd_error_sleep_time = 0',
      'smtpd_soft_error_limit = 10000',
      'smtpd_hard_error_limit = 10000',
    ];
    bed = await startPostfix(1, await freePort(), { main, ports: settings });
  });
  after(async () => {
    await bed?.stop();
    rmSync(folder, { recursive: true });
  });

  test('never lets more through, and is the same in nearly all', { timeout: 240_000 }, async () => {
    const looser: string[] = [];
    let same = 0;
    let stricter = 0;
    const answers = await Promise.all([...settings.keys()].map(answersAt));
    for (const [i, lines] of [...settings.values()].entries()) {
      const heard = answers[i] as Map<string, boolean>;
      const made = imported(POSTFIX, [`${[...MAIN, ...lines].join('\n')}\n`, ...Object.entries(TABLES)]);
      // All are expected to proceed: what does not is given back.
      const { wrong } = await tried(
        made,
        [...heard.keys()].map((asked) => `proceed ${asked}`),
      );
      const refused = new Set(wrong.map((line) => line.replace(/^[\w-]+: proceed /, '')));
      for (const [asked, accepted] of heard) {
        if (accepted === !refused.has(asked)) same++;
        else if (accepted) stricter++;
        // What is denied to a sender, to our own domains, the server behind goes on denying. And what is denied but to logins
        // or senders is told, with what to write.
        else if (!isTold(asked, made)) looser.push(`${asked}\n  ${lines.join('\n  ')}`);
      }
    }
    console.log(`${same} the same, ${stricter} stricter, ${looser.length} looser`);
    assert.deepEqual(looser.slice(0, 3), []);
    assert.ok(same > 0.8 * (same + stricter));
  });
});

function isTold(asked: string, { report }: Imported): boolean {
  if (!/-> u@(example\.com|sub\.backup)/.test(asked)) return false;
  return asked.includes('evil') || report.some(({ loud, why }) => loud === true && why.includes('our own domains'));
}

/** Every question as a case says it, and whether Postfix let the recipient through. */
async function answersAt(port: number): Promise<Map<string, boolean>> {
  const heard = new Map<string, boolean>();
  const ask = async (client: string, login: string | null): Promise<void> => {
    const [address = '', name] = client.split(' ');
    const session = new Client(port);
    assert.match(await session.reply(), /^220 /);
    await session.say('EHLO client.example');
    const words = `ADDR=${address} NAME=${name ?? '[UNAVAILABLE]'}${login === null ? '' : ` LOGIN=${login}`}`;
    assert.match(await session.say(`XCLIENT ${words}`), /^220 /);
    await session.say('EHLO client.example');
    for (const sender of SENDERS) {
      // In one segment: to wait for each reply takes most of the time.
      const lines = [`MAIL FROM:<${sender}>`, ...RECIPIENTS.map((one) => `RCPT TO:<${one}>`), 'RSET'];
      session.write(lines.map((line) => `${line}\r\n`).join(''));
      assert.match(await session.reply(), /^250/);
      for (const recipient of RECIPIENTS) {
        const said = [
          address,
          name === undefined ? '' : `ptr=${name}`,
          login === null ? '' : `login=${login}`,
          `sender=${sender}`,
        ];
        const reply = await session.reply();
        heard.set(`${said.filter((word) => word !== '').join(' ')} -> ${recipient}`, reply.startsWith('250'));
      }
      assert.match(await session.reply(), /^250/);
    }
    session.close();
  };
  // Each in a session of its own, all at once: much of the time is waiting.
  await Promise.all(CLIENTS.flatMap((client) => LOGINS.map((login) => ask(client, login))));
  return heard;
}
