// docs/ten-questions.md, as its reader uses it: a bad night is played to a real Postern before a real Postfix, each command of the page is
// run, and what it says is what the page shows, but for times, ports and ids.
//
// With POSTERN_TEN_QUESTIONS=1 it writes what it saw into the page.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { makePair } from '../helpers/certificates.ts';
import { blocksOf, ROOT } from '../helpers/document.ts';
import { freePort } from '../helpers/free-port.ts';
import { MAIN } from '../helpers/main.ts';
import { SmtpClient } from '../helpers/smtp-client.ts';
import { type Bed, makeFolder } from './beds/bed.ts';
import { postfix, startPostfix } from './beds/postfix.ts';
import { type Child, startServer } from './children.ts';
import { Sink } from './sink.ts';
import { missing } from './tools.ts';

const PAGE = 'docs/ten-questions.md';
const WRITES = process.env.POSTERN_TEN_QUESTIONS === '1';
const GATEWAY_SESSIONS = 60;
const ADMIN = '127.0.0.1:9125';
/** Which minute question 9 asks about. */
const MINUTE = /\d{4}-\d\d-\d\dT\d\d:\d\d/;

const CONFIGURATION = blocksOf(PAGE).find(({ name }) => name === 'postern.yaml')?.text ?? '';

suite('ten questions', { skip: postfix.missing || missing(['sh', 'curl', 'grep']) }, () => {
  let sink: Sink;
  let bed: Bed;
  let postern: Child;
  let folder: string;
  let port = 0;
  let admin = 0;
  const open: SmtpClient[] = [];

  before(async () => {
    sink = await Sink.start();
    const slow = 'check_recipient_access inline:{{slow@example.com = sleep 600}}';
    bed = await startPostfix(sink.port, await freePort(), {
      main: ['myhostname = mail.example.com', 'message_size_limit = 20000', `smtpd_recipient_restrictions = ${slow}`],
    });
    port = await freePort();
    admin = await freePort();
    folder = makeFolder();
    const { cert, key } = makePair({ subject: '/CN=mx.example.com', names: 'DNS:mx.example.com', days: 10 });
    const text = CONFIGURATION.replace('127.0.0.1:2525', `127.0.0.1:${port}`)
      .replace('127.0.0.1:2526', `127.0.0.1:${bed.port}`)
      .concat(`admin: { listen: '127.0.0.1:${admin}' }\n`);
    for (const [name, content] of Object.entries({ 'mx.pem': cert, 'mx.key': key, 'postern.yaml': text }))
      writeFileSync(join(folder, name), content);
    const command = `cd ${folder} && exec ${process.execPath} ${MAIN} run --config postern.yaml >postern.log`;
    postern = await startServer(admin, 'sh', ['-c', command]);
    await night();
  });
  after(async () => {
    for (const client of open) client.destroy();
    await bed?.stop(); // first: a session waits for its answer
    await postern?.stop();
    await sink?.stop();
  });

  const log = (): string => readFileSync(join(folder, 'postern.log'), 'utf8');

  async function logged(text: string): Promise<void> {
    for (const patience = AbortSignal.timeout(10_000); !log().includes(text); await delay(20))
      patience.throwIfAborted();
  }

  /** A client from there says each of these and hears a reply to each; what it heard last. */
  async function from(source: string, ...lines: string[]): Promise<{ client: SmtpClient; last: string }> {
    const client = new SmtpClient(port);
    open.push(client);
    await client.write(Buffer.from(`PROXY TCP4 ${source} 192.0.2.25 40000 25\r\n`));
    let last = (await client.reply())?.text ?? '';
    for (const line of lines) {
      await client.write(Buffer.from(`${line}\r\n`));
      last = (await client.reply())?.text ?? '';
    }
    return { client, last };
  }

  async function night(): Promise<void> {
    const gateway = () => from('192.168.1.1', 'EHLO gateway', 'MAIL FROM:<user@example.com>', 'QUIT');
    for (let i = 0; i < GATEWAY_SESSIONS; i += 10) await Promise.all(Array.from({ length: 10 }, gateway));
    const scan = ['EHLO printer', 'MAIL FROM:<scanner@example.com>', 'RCPT TO:<bob@example.com>'];
    const sent = [...scan, 'RCPT TO:<archive@partner.example>', 'DATA', 'Subject: scan\r\n\r\nPage 1\r\n.', 'QUIT'];
    await from('192.168.1.100', ...sent);
    const large = `Subject: large\r\n\r\n${`${'x'.repeat(70)}\r\n`.repeat(400)}.`;
    const office = ['EHLO desk', 'MAIL FROM:<carol@example.com>', 'RCPT TO:<bob@example.com>', 'DATA'];
    assert.match((await from('192.168.1.7', ...office, large, 'QUIT')).last, /^221/);
    const relay = 'RCPT TO:<victim@foreign.example>';
    const stranger = ['EHLO there', 'MAIL FROM:<x@stranger.example>', relay, relay, relay];
    await from('203.0.113.80', ...stranger, 'RSET', 'MAIL FROM:<x@stranger.example>', 'MAIL FROM:<x@stranger.example>');
    await logged('"msg":"banned"');
    const trial = ['EHLO new', 'MAIL FROM:<dave@example.com>', 'RCPT TO:<archive@elsewhere.example>', 'QUIT'];
    await from('192.168.2.9', ...trial);

    writeFileSync(join(folder, 'saved.yaml'), readFileSync(join(folder, 'postern.yaml')));
    const faulty = readFileSync(join(folder, 'saved.yaml'), 'utf8').replace('accepted_domains', 'acepted_domains');
    writeFileSync(join(folder, 'postern.yaml'), faulty);
    process.kill(postern.pid, 'SIGHUP');
    await logged('reload refused');
    writeFileSync(join(folder, 'postern.yaml'), readFileSync(join(folder, 'saved.yaml')));

    await from('198.51.100.7', 'EHLO mx.sender.example');
    await from('192.168.1.101', ...scan, 'DATA');
    const { client } = await from('192.168.1.8', 'EHLO desk', 'MAIL FROM:<erin@example.com>');
    await client.write(Buffer.from('RCPT TO:<slow@example.com>\r\n'));
    await logged('would be refused');
    if (WRITES) await delay(70_000); // so that ages are some
  }

  /** What a reader's shell says to this. */
  function shell(command: string): string {
    const programs = join(folder, 'bin');
    mkdirSync(programs, { recursive: true });
    writeFileSync(join(programs, 'postern'), `#!/bin/sh\nexec ${process.execPath} ${MAIN} "$@"\n`);
    chmodSync(join(programs, 'postern'), 0o755);
    const env = { ...process.env, PATH: `${programs}:${process.env.PATH}`, POSTERN_ADMIN: `127.0.0.1:${admin}` };
    const asked = command.replaceAll(ADMIN, `127.0.0.1:${admin}`);
    const { status, stdout, stderr } = spawnSync('sh', ['-c', asked], { cwd: folder, env, encoding: 'utf8' });
    assert.equal(status, 0, `${command}\n${stdout}${stderr}`);
    return stdout;
  }

  /** With the ports of the page's configuration. */
  function asWritten(said: string): string {
    const ports = new Map([port, bed.port, admin].map((one, i) => [String(one), ['2525', '2526', '9125'][i]]));
    return said.replaceAll(/(?<=127\.0\.0\.1:)\d+/g, (found) => ports.get(found) ?? found);
  }

  test('each command of the page says what the page shows', () => {
    const scanned = log()
      .split('\n')
      .find((line) => line.includes('"sender":"scanner@example.com"'));
    const minute = MINUTE.exec(scanned ?? '')?.[0] ?? '';
    let page = readFileSync(join(ROOT, PAGE), 'utf8');
    const shown = blocksOf(PAGE).filter(({ language }) => language === 'console');
    assert.equal(shown.length, 8);
    const differs: [string, string, string][] = [];
    for (const { text } of shown) {
      const [first = '', ...rest] = text.split('\n');
      const command = first.replace(/^\$ /, '').replace(MINUTE, minute);
      const said = shell(command);
      assert.notEqual(said, '', command);
      if (WRITES) page = replaced(page, first, rest, command, asWritten(said));
      else if (settled(rest.join('\n')) !== settled(said))
        differs.push([command, settled(rest.join('\n')), settled(said)]);
    }
    if (WRITES) writeFileSync(join(ROOT, PAGE), page);
    for (const [command, before, now] of differs) assert.equal(now, before, command);
  });
});

/** The page with what was said behind this command; a block inside a list keeps its indentation. */
function replaced(page: string, first: string, rest: string[], command: string, said: string): string {
  const indentation = new RegExp(`^( *)${escaped(first)}$`, 'm').exec(page)?.[1] ?? '';
  const block = (lines: string[]): string => lines.map((line) => (line === '' ? '' : indentation + line)).join('\n');
  const old = block([first, ...rest.slice(0, -1)]);
  assert.ok(page.includes(old), first);
  return page.replace(old, () => block([`$ ${command}`, ...said.trimEnd().split('\n')]));
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

/** Without what differs from one night to another. */
function settled(text: string): string {
  return text
    .replaceAll(/\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+Z| UTC)/g, 'TIME')
    .replaceAll(/\b\d+ (?:s|min)\b/g, 'AGE')
    .replaceAll(/127\.0\.0\.1:\d+/g, '127.0.0.1:PORT')
    .replaceAll(/queued as \w+/g, 'queued as ID')
    .replaceAll(/(?<=policy +)[0-9a-f]{8,}/g, 'DIGEST')
    .replaceAll(/(?<="(?:seconds|used)":)[\d.]+/g, 'NUMBER')
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/(?<=LOGIN) OPEN|(?<= –) AGE/g, '') // a column that is shown where ages leave room for it
    .trim();
}
