import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { inventory } from '../../src/commands/inventory.ts';
import { addNames } from '../../src/commands/names-in-dns.ts';
import { Inventory } from '../../src/moving-in/inventory.ts';
import { csvCell } from '../../src/moving-in/inventory-report.ts';
import type { LoggedMessage } from '../../src/moving-in/logged.ts';
import { readLogs } from '../../src/moving-in/read-logs.ts';
import { MAIN } from '../helpers/main.ts';

const folder = mkdtempSync(join(tmpdir(), 'postern-inventory-'));
after(() => rmSync(folder, { recursive: true }));

function write(name: string, text: string): string {
  const file = join(folder, name);
  writeFileSync(file, text);
  return file;
}

async function run(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const said = { stdout: '', stderr: '' };
  const code = await inventory(args, {
    stdout: (text) => {
      said.stdout += text;
    },
    stderr: (text) => {
      said.stderr += text;
    },
    isTTY: false,
  });
  return { code, ...said };
}

let number = 10;
const message = (source: string, helo: string, sender: string, ...to: string[]): string =>
  `2026-01-02 08:00:00 +0000 1vb0aa-0000000010B-00${number++} <= ${sender} H=(${helo}) [${source}] P=esmtp S=9 for ${to.join(' ')}\n`;

const log = write(
  'mainlog',
  message('192.0.2.17', 'printer', 'scan@example.com', 'x@partner.example', 'a@example.com') +
    message('192.0.2.18', 'app', 'app@example.com', 'y@foreign.example') +
    message('192.0.2.18', '=cmd|<script>alert(1)</script>', 'app@example.com', 'b@example.com') +
    '2026-01-02 09:00:00 +0000 H=(spam) [203.0.113.9] F=<s@spam.example> rejected RCPT <z@foreign.example>: relay not permitted\n',
);

const policy = write(
  'office.yaml',
  `version: 1
accepted_domains: [example.com]
connectors:
  - name: internet
    remote_ip_ranges: [any]
    rules:
      - { name: printer, allow: { sources: [192.0.2.17], recipient_domains: [partner.example] } }
`,
);

interface Row {
  readonly source: string;
  readonly messages: number;
  readonly recipients: number;
  readonly relayed: number | null;
  readonly refused: number;
  readonly lost: number | null;
  readonly loss: { readonly recipient: string; readonly line: number } | null;
}

test('with a policy it says who relays and who would lose mail, a message and not a recipient', async () => {
  const { code, stdout } = await run(log, '--policy', policy, '--json');
  assert.equal(code, 0);
  const { rows } = JSON.parse(stdout) as { rows: Row[] };
  assert.deepEqual(
    rows.map(({ source, messages, recipients, relayed, refused, lost }) => [
      source,
      messages,
      recipients,
      relayed,
      refused,
      lost,
    ]),
    [
      ['192.0.2.18', 2, 2, 1, 0, 1],
      ['192.0.2.17', 1, 2, 1, 0, 0],
      ['203.0.113.9', 0, 0, 0, 1, null],
    ],
  );
  assert.deepEqual([rows[0]?.loss?.recipient, rows[0]?.loss?.line], ['y@foreign.example', 2]);
  const config = write('postern.yaml', "upstream: { servers: ['10.0.0.10:25'] }\npolicy: office.yaml\nmode: observe\n");
  assert.equal((await run(log, '--policy', config, '--json')).stdout, stdout);
});

test('without accepted domains it asks for them, and says nothing of who relays', async () => {
  const unknown = await run(log);
  assert.match(unknown.stdout, /Who relays cannot be told: .*--accepted-domain/);
  assert.doesNotMatch(unknown.stdout, /relayed/);
  const known = await run(log, '--accepted-domain', 'example.com', '--accepted-domain', '*.partner.example');
  assert.match(known.stdout, /1 source relays: 1 recipient of foreign domains/);
});

test('a spreadsheet gets no formula, and a page no markup', async () => {
  assert.equal(csvCell('=1+1'), `"'=1+1"`);
  assert.equal(csvCell('a"b,c'), '"a""b,c"');
  const page = join(folder, 'page.html');
  const { code, stdout } = await run(log, '--policy', policy, '--csv', '--html', page);
  assert.equal(code, 0);
  assert.match(stdout, /^source,names,/);
  const html = readFileSync(page, 'utf8');
  assert.doesNotMatch(html, /<script/);
  assert.match(html, /&#60;script&#62;alert/);
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.endsWith('.part')),
    [],
  );
});

test('wrong arguments and unreadable logs have their exit codes', async () => {
  assert.equal((await run()).code, 64);
  assert.match((await run(log, '--since', 'yesterday')).stderr, /--since: 'yesterday' is no time/);
  assert.match((await run(log, '--accepted-domain', '*')).stderr, /--accepted-domain: /);
  assert.equal((await run(join(folder, 'nowhere'))).code, 65);
  assert.equal((await run(log, join(folder, 'nowhere'))).code, 1);
  assert.equal((await run(log, '--policy', log)).code, 78);
  const nothing = await run(write('empty', ''));
  assert.equal(nothing.code, 65);
  assert.match(nothing.stderr, /it is empty/);
});

test("a web server's log looks like one of IIS: none of its lines tells of mail, so nothing is said of who relays", async () => {
  const file = write('access.log', '192.0.2.1 - - [31/Jan/2026:00:00:01 +0000] "GET / HTTP/1.1" 200 45\n');
  const { code, stdout, stderr } = await run(file, '--accepted-domain', 'example.com');
  assert.equal(code, 65);
  assert.equal(stdout, '');
  assert.match(stderr, /^postern inventory: none of the 1 lines tells of mail/m);
});

test('sources beyond those that are kept are counted together, those with the least mail first', () => {
  const counted = new Inventory((address) => address.endsWith('@example.com'), null, 10);
  const one = (source: string, recipient: string): LoggedMessage => ({
    at: 0,
    file: '',
    line: 1,
    session: '',
    source,
    ptr: null,
    local: null,
    connector: null,
    helo: null,
    login: null,
    tls: null,
    sender: '',
    senderAnswer: 'accepted',
    recipients: [{ address: recipient, answer: 'accepted', reply: '' }],
    untold: 0,
    delivered: 'yes',
    mayRelay: null,
  });
  counted.message(one('192.0.2.1', 'x@foreign.example'));
  for (let at = 0; at < 100; at++) counted.message(one(`10.0.0.${at}`, 'a@example.com'));
  const rows = counted.rows();
  assert.ok(rows.length <= 10);
  assert.equal(rows[0]?.source, '192.0.2.1');
  assert.equal(rows.length + counted.others.sources, 101);
  assert.equal(rows.reduce((sum, { messages }) => sum + messages, 0) + counted.others.messages, 101);
});

test('names of sources by DNS: those that have none, and no waiting for DNS that is silent', async () => {
  const counted = new Inventory(null, null);
  const log = Array.from({ length: 200 }, (_, i) =>
    message(`192.0.2.${i}`, 'printer', 'scan@example.com', 'x@partner.example').replace(
      /1vb0aa-0000000010B-\d+/,
      `1v${String(i).padStart(4, '0')}-0000000010B-0010`,
    ),
  ).join('');
  await readLogs([write('named', log)], {}, counted);
  const rows = counted.rows();
  const asked: string[] = [];
  const { signal } = new AbortController();
  const answers = async (source: string): Promise<string[]> => {
    asked.push(source);
    return [`host-${source}.example.net`];
  };
  assert.equal(await addNames(rows.slice(0, 100), answers, signal), null);
  assert.equal(asked.length, 100);
  assert.deepEqual(rows[99]?.names.list(), [{ name: `host-${rows[99]?.source}.example.net`, times: 1 }]);
  const silent = async (source: string): Promise<null> => {
    asked.push(source);
    return null;
  };
  assert.match((await addNames(rows, silent, signal)) ?? '', /^DNS did not answer for 192\.0\.2\.\d+ and 63 more/);
  assert.equal(asked.length, 164);
  await assert.rejects(addNames(rows, answers, AbortSignal.abort()), { name: 'AbortError' });
});

test('Ctrl-C ends it without a half page', async (t) => {
  const long = write(
    'long',
    message('192.0.2.17', 'printer', 'scan@example.com', 'x@partner.example').repeat(1_000_000),
  );
  const page = join(folder, 'long.html');
  const child = spawn(process.execPath, [MAIN, 'inventory', long, '-', '--html', page], {
    stdio: ['pipe', 'ignore', 'pipe'],
  });
  t.after(() => child.kill('SIGKILL'));
  let said = '';
  child.stderr.on('data', (chunk) => {
    said += chunk;
  });
  // Standard input never ends, so it is still reading; once it reads, the signal is heard.
  child.stdin.write(message('192.0.2.17', 'printer', 'scan@example.com', 'x@partner.example'));
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve));
  const again = setInterval(() => child.kill('SIGINT'), 500);
  const code = await exited;
  clearInterval(again);
  assert.ok(code === 130 || code === null, `${code}: ${said}`);
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.startsWith('long.html')),
    [],
  );
});
