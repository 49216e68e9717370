// postern replay and suggest: what a policy would have said to the mail of a log, and the rules that would let pass what it refuses.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { parse } from 'yaml';
import { replay } from '../../src/commands/replay.ts';
import { suggest } from '../../src/commands/suggest.ts';
import { isOwnNo } from '../../src/moving-in/replay.ts';

const folder = mkdtempSync(join(tmpdir(), 'postern-replay-'));
after(() => rmSync(folder, { recursive: true }));

const POLICY = {
  version: 1,
  accepted_domains: ['*.example.com'],
  connectors: [
    { name: 'internet', remote_ip_ranges: ['any'], rules: [{ name: 'staff', allow: { users: ['CORP\\alice'] } }] },
    {
      name: 'inside',
      remote_ip_ranges: ['10.1.0.0/16'],
      rules: [{ name: 'from-log-1', allow: { sources: ['10.1.0.1'] } }],
    },
  ],
};

interface Mail {
  readonly source: string;
  readonly login?: string;
  readonly sender?: string;
  /** With the old server's reply. */
  readonly to: Readonly<Record<string, string>>;
}

const YES = '250 2.1.5 Recipient OK';
const RELAY = '550 5.7.1 Unable to relay';
const UNKNOWN = '550 5.1.1 User unknown';

let files = 0;

function logOf(mails: readonly Mail[]): string {
  const lines = [
    '#Software: Microsoft Exchange Server',
    '#Version: 14.0.0.0',
    '#Log-type: SMTP Receive Protocol Log',
    '#Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context',
  ];
  for (const [i, { source, login, sender = 'app@example.com', to }] of mails.entries()) {
    const line = (event: string, data: string, context = ''): void => {
      const id = (0x1000 + i).toString(16).padStart(16, '0').toUpperCase();
      lines.push(
        `2026-11-0${1 + (i % 9)}T08:00:00.000Z,OLD\\Default,${id},0,10.0.0.25:25,${source}:50000,${event},${data},${context}`,
      );
    };
    line('+', '');
    line('<', 'EHLO client.example');
    line('>', '250 OK');
    if (login !== undefined) line('*', login, 'authenticated');
    line('<', `MAIL FROM:<${sender}>`);
    line('>', '250 2.1.0 Sender OK');
    for (const [recipient, reply] of Object.entries(to)) {
      line('<', `RCPT TO:<${recipient}>`);
      line('>', reply);
    }
    line('<', 'DATA');
    line('>', '354 Start mail input');
    line('>', '250 2.6.0 Queued mail for delivery');
    line('-', '', 'Remote');
  }
  const file = join(folder, `RECV-${++files}.LOG`);
  writeFileSync(file, `${lines.join('\r\n')}\r\n`);
  return file;
}

function policyFile(policy: object = POLICY): string {
  const file = join(folder, `policy-${++files}.yaml`);
  writeFileSync(file, JSON.stringify(policy));
  return file;
}

type Command = typeof replay;

async function run(command: Command, ...args: string[]): Promise<{ code: number; text: string; errors: string }> {
  let text = '';
  let errors = '';
  const out = {
    stdout: (more: string) => {
      text += more;
    },
    stderr: (more: string) => {
      errors += more;
    },
    isTTY: false,
  };
  return { code: await command(args, out), text, errors };
}

async function json(command: Command, mails: readonly Mail[], policy: object = POLICY) {
  const { code, text, errors } = await run(command, logOf(mails), '--policy', policyFile(policy), '--json');
  assert.equal(errors, '');
  return { code, ...JSON.parse(text) };
}

test('what the old server said and the policy says is the same: exit 0', async () => {
  const mails = [
    { source: '192.0.2.9', to: { 'x@example.com': YES, 'y@foreign.example': RELAY } },
    { source: '10.1.0.1', to: { 'y@foreign.example': YES } },
  ];
  const { code, same, recipients, stricter, looser, groups } = await json(replay, mails);
  assert.deepEqual([code, same, recipients, stricter, looser, groups], [0, 3, 3, 0, 0, []]);
});

test('stricter: accepted by the old server, refused by the policy; messages are counted beside recipients', async () => {
  const mails = [
    { source: '10.1.0.2', to: { 'a@bank.example': YES, 'b@bank.example': YES, 'x@example.com': YES } },
    { source: '10.1.0.2', to: { 'c@bank.example': YES } },
  ];
  const { code, stricter, lost, same, groups } = await json(replay, mails);
  assert.deepEqual([code, stricter, lost, same], [1, 3, 2, 1]);
  const [{ kind, source, senderDomain, recipientDomain, recipients, messages, said, examples }] = groups;
  assert.deepEqual(
    [kind, source, senderDomain, recipientDomain, recipients, messages],
    ['stricter', '10.1.0.2', 'example.com', 'bank.example', 3, 2],
  );
  assert.deepEqual(
    [said.connector, said.reason, examples[0].line, examples[0].recipient],
    ['inside', 'no_rule', 8, 'a@bank.example'],
  );
});

test('looser: refused by the old server for a reason of rights; a reason of its own is none', async () => {
  const mails = [{ source: '10.1.0.1', to: { 'a@bank.example': RELAY, 'nobody@example.com': UNKNOWN } }];
  const { code, looser, same, own_no } = await json(replay, mails);
  assert.deepEqual([code, looser, same, own_no], [1, 1, 1, 1]);
});

test('what the old server put off is not compared', async () => {
  const { code, not_compared } = await json(replay, [
    { source: '10.1.0.2', to: { 'a@bank.example': '451 4.7.1 Greylisted' } },
  ]);
  assert.deepEqual([code, not_compared], [0, 1]);
});

test('what the log does not tell is asked in every way: the name in DNS, the login', async () => {
  const connectors = [
    {
      name: 'internet',
      remote_ip_ranges: ['any'],
      rules: [{ name: 'named', allow: { ptr: ['printer.example.com'] } }],
    },
  ];
  const mails = [{ source: '192.0.2.9', to: { 'a@bank.example': YES, 'x@example.com': YES } }];
  const { code, cannot_tell, perhaps_lost, same } = await json(replay, mails, { ...POLICY, connectors });
  assert.deepEqual([code, cannot_tell, perhaps_lost, same], [0, 1, 1, 1]);
  // IIS's log tells nothing of logins.
  const log = join(folder, 'ex261101.log');
  writeFileSync(
    log,
    [
      '#Software: Microsoft Internet Information Services 6.0',
      '#Fields: date time c-ip cs-username cs-method cs-uri-stem cs-uri-query sc-status',
      '2026-11-01 08:00:00 192.0.2.9 client.example EHLO - +client.example 250',
      '2026-11-01 08:00:00 192.0.2.9 client.example MAIL - +FROM:<app@example.com> 250',
      '2026-11-01 08:00:00 192.0.2.9 client.example RCPT - +TO:<a@bank.example> 250',
      '2026-11-01 08:00:00 192.0.2.9 client.example RCPT - +TO:<x@example.com> 250',
      '2026-11-01 08:00:00 192.0.2.9 client.example DATA - +<id@client.example> 250',
      '2026-11-01 08:00:00 192.0.2.9 client.example QUIT - client.example 240',
      '',
    ].join('\r\n'),
  );
  const { text } = await run(replay, log, '--policy', policyFile(), '--json');
  assert.deepEqual([JSON.parse(text).cannot_tell, JSON.parse(text).same], [1, 1]);
  const suggested = await run(suggest, log, '--policy', policyFile());
  assert.match(
    suggested.text,
    /^# Of 1 more the log does not tell enough .*\n# --no-logins .*\n# Nothing is known to be refused/,
  );
  const without = await run(replay, log, '--policy', policyFile(), '--json', '--no-logins');
  assert.deepEqual([without.code, JSON.parse(without.text).stricter, JSON.parse(without.text).cannot_tell], [1, 1, 0]);
  const proposed = await run(suggest, log, '--policy', policyFile(), '--no-logins');
  assert.match(
    proposed.text,
    /^# 1 of 1 recipients .*\n(?:.*\n)*.*sources: \[192\.0\.2\.9\], recipient_domains: \[bank\.example\]/,
  );
});

test('the text names the place in the log, and that limits are not replayed', async () => {
  const log = logOf([{ source: '10.1.0.2', to: { 'a@bank.example': YES } }]);
  const { text } = await run(replay, log, '--policy', policyFile());
  assert.match(
    text,
    /same 0, stricter 1, looser 0, cannot tell 0, not compared 0\n1 message that the old server took would be refused/,
  );
  assert.ok(text.includes(`10.1.0.2: <app@example.com> to <a@bank.example>: ${YES} (${log}:8)`), text);
  assert.match(text, /Limits and bans are not replayed/);
  const { text: csv } = await run(replay, log, '--policy', policyFile(), '--csv');
  assert.match(csv, /^kind,source,.*\r\nstricter,10\.1\.0\.2,example\.com,bank\.example,1,1,refused,inside,no_rule,/);
});

test('suggest: exact sources, the domains seen, an owner to fill in, an end; pasted, nothing is refused any more', async () => {
  const mails: Mail[] = [
    { source: '10.1.0.2', to: { 'a@bank.example': YES, 'b@tax.example': YES } },
    { source: '10.1.0.3', to: { 'c@tax.example': YES, 'd@bank.example': YES } },
    { source: '10.1.0.4', to: { 'c@other.example': YES } },
    { source: '192.0.2.9', login: 'CORP\\bob', sender: 'bob@example.com', to: { 'friend@foreign.example': YES } },
  ];
  const log = logOf(mails);
  const file = policyFile();
  const { code, text } = await run(suggest, log, '--policy', file);
  assert.equal(code, 0);
  assert.match(text, /^# 6 of 6 recipients/);
  assert.doesNotMatch(text, /\bany\b|\/\d+[,\]]/);
  const pasted = structuredClone(POLICY);
  const { connectors } = parse(text);
  pasted.connectors[1]?.rules.push(...structuredClone(connectors[0].rules));
  assert.equal((await run(replay, log, '--policy', policyFile(pasted))).code, 78);
  pasted.connectors[1]?.rules.splice(1);
  for (const { name, rules } of connectors) {
    for (const rule of rules) {
      assert.equal(rule.owner, ''); // check wants it filled in
      rule.owner = 'it@example.com';
      assert.match(rule.expires, /^\d{4}-\d\d-\d\d$/);
    }
    pasted.connectors.find((one) => one.name === name)?.rules.push(...rules);
  }
  const allowed = connectors.map((one: { name: string; rules: { name: string; allow: object }[] }) => [
    one.name,
    one.rules.map(({ name, allow }) => [name, allow]),
  ]);
  assert.deepEqual(Object.fromEntries(allowed), {
    inside: [
      ['from-log-2', { sources: ['10.1.0.2', '10.1.0.3'], recipient_domains: ['bank.example', 'tax.example'] }],
      ['from-log-3', { sources: ['10.1.0.4'], recipient_domains: ['other.example'] }],
    ],
    internet: [
      ['from-log-4', { sources: ['192.0.2.9'], users: ['CORP\\bob'], recipient_domains: ['foreign.example'] }],
    ],
  });
  assert.deepEqual(
    await json(replay, mails, pasted).then(({ code, stricter, looser }) => [code, stricter, looser]),
    [0, 0, 0],
  );
  assert.match((await run(suggest, log, '--policy', policyFile(pasted))).text, /nothing to suggest/);
});

test('suggest: what looks like abuse is shown and not proposed', async () => {
  const many = Array.from({ length: 30 }, (_, i) => ({
    source: '10.1.0.9',
    sender: `s${i}@d${i}.example`,
    to: { [`v@victim${i}.example`]: YES },
  }));
  const stranger = { source: '203.0.113.50', sender: 'a@elsewhere.example', to: { 'v@victim.example': YES } };
  const refused = { source: '10.1.0.8', to: { 'a@one.example': YES, 'b@two.example': RELAY, 'c@two.example': RELAY } };
  const { rules, abuse } = await json(suggest, [...many, stranger, refused]);
  assert.deepEqual(rules, []);
  const why = Object.fromEntries(abuse.map((one: { who: string; why: string }) => [one.who, one.why]));
  assert.match(why['10.1.0.9'], /^30 recipient domains, 30 sender domains/);
  assert.match(why['203.0.113.50'], /from the Internet that never sent from a domain of yours/);
  assert.match(why['10.1.0.8'], /^2 recipients refused by the old server too/);
});

test('suggest: a deny that somebody wrote and a sender that is refused are shown, valid recipients are listed', async () => {
  writeFileSync(join(folder, 'valid.txt'), 'x@example.com\n');
  const policy = {
    ...POLICY,
    valid_recipients: { file: 'valid.txt' },
    connectors: [
      {
        name: 'internet',
        remote_ip_ranges: ['any'],
        senders: { own_domains: 'deny' },
        rules: [{ name: 'never', deny: { sources: ['10.1.0.66'] } }],
      },
    ],
  };
  const mails: Mail[] = [
    { source: '10.1.0.66', sender: 'a@partner.example', to: { 'a@bank.example': YES } },
    { source: '10.1.0.2', to: { 'x@example.com': YES } },
    { source: '10.1.0.3', sender: 'a@partner.example', to: { 'new@example.com': YES } },
  ];
  const { rules, others, valid_recipients } = await json(suggest, mails, policy);
  assert.deepEqual(rules, []);
  assert.deepEqual(
    others.map(({ who, why }: { who: string; why: string }) => [who, why.split(':')[0]]),
    [
      ['10.1.0.66', "rule 'never' denies it"],
      ['10.1.0.2', 'it may not use this sender'],
    ],
  );
  assert.deepEqual(valid_recipients.addresses, ['new@example.com']);
});

test('suggest: no rule is promised to help where a second address is hidden in the recipient', async () => {
  writeFileSync(join(folder, 'valid.txt'), 'x@example.com\n');
  const mails: Mail[] = [
    { source: '10.1.0.2', to: { 'x%foreign.example@example.com': YES, 'x@foreign.example': YES } },
    { source: '10.1.0.3', to: { 'foreign.example!new@example.com': YES } },
  ];
  for (const valid of [{}, { valid_recipients: { file: 'valid.txt' } }]) {
    const { rules, others, valid_recipients } = await json(suggest, mails, { ...POLICY, ...valid });
    assert.deepEqual(
      rules.map(({ rule: { allow } }: { rule: { allow: object } }) => allow),
      [{ sources: ['10.1.0.2'], recipient_domains: ['foreign.example'] }],
    );
    assert.deepEqual(
      others.map(({ who, why }: { who: string; why: string }) => [who, why.split(':')[0]]),
      ['10.1.0.2', '10.1.0.3'].map((who) => [who, 'a second address is hidden in the one that it writes to']),
    );
    assert.equal(valid_recipients, null);
  }
});

test('suggest: what a client wrote is no YAML, and no control character reaches the terminal', async () => {
  const mails = [
    { source: '10.1.0.2', sender: "it's\u001b[2J@example.com", to: { "x@bank.example': {}, any": YES } },
    { source: '10.1.0.3', sender: '"it\'s #"@example.com', to: { 'x@null.example': YES, 'y@1e3.example': YES } },
  ];
  const { text } = await run(suggest, logOf(mails), '--policy', policyFile());
  assert.ok(!text.includes('\u001b'));
  assert.deepEqual(parse(text).connectors[0].rules[0].allow.recipient_domains, ['1e3.example', 'null.example']);
});

test("the old server's own no is told from one of rights", () => {
  for (const reply of [
    UNKNOWN,
    '550 User unknown',
    '552 5.2.2 Mailbox full',
    '550 No such user here',
    '553 sorry, that mailbox does not exist',
    '501 Syntax error',
    '504 Command parameter not implemented',
    '555 Parameter not recognized or not offered',
  ])
    assert.equal(isOwnNo(reply), true, reply);
  for (const reply of [
    RELAY,
    '554 5.7.1 <x>: Relay access denied',
    '550 5.7.60 SMTP; Client does not have permissions',
    '550 Relaying is prohibited',
    '505 no',
    '503 Authentication wanted',
    '',
    '530 5.7.1 Client was not authenticated',
  ])
    assert.equal(isOwnNo(reply), false, reply);
});

test('says what is wrong: no policy, no log, nothing to read, a faulty policy', async () => {
  const log = logOf([]);
  for (const command of [replay, suggest]) {
    assert.equal((await run(command, log)).code, 64);
    assert.equal((await run(command, '--policy', policyFile())).code, 64);
    assert.equal((await run(command, log, '--policy', policyFile(), '--since', 'x')).code, 64);
    assert.equal((await run(command, join(folder, 'nowhere'), '--policy', policyFile())).code, 65);
    const strange = join(folder, 'not-understood.log');
    const head = '#Log-type: SMTP Receive Protocol Log\n#Fields: date-time,connector-id,session-id,event,data\n';
    writeFileSync(strange, `${head}what is this\nand this\n`);
    const { code, errors } = await run(command, strange, '--policy', policyFile());
    assert.equal(code, 65);
    assert.match(errors, /not-understood\.log:3: .*\n(.*\n)*.*nothing could be read\n$/);
    assert.equal((await run(command, log, '--policy', policyFile({ version: 1 }))).code, 78);
    assert.equal((await run(command, '--help')).code, 0);
  }
});
