// The whole road, from an Exchange 2003 and an Exchange 2010 that relay for everybody to a closed one behind Postern: the stand-ins of
// `postern demo --moving-in`, their own settings and logs, and our commands. Who logs in sends with nodemailer; in the end nmap's
// smtp-open-relay and `check --live` are asked as well.

import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import SMTPConnection from 'nodemailer/lib/smtp-connection/index.js';
import { check } from '../../src/commands/check.ts';
import { type MovingIn, playMovingIn } from '../../src/commands/demo/moving-in.ts';
import { diff } from '../../src/commands/diff.ts';
import { importSettings } from '../../src/commands/import.ts';
import { inventory } from '../../src/commands/inventory.ts';
import { replay } from '../../src/commands/replay.ts';
import { suggest } from '../../src/commands/suggest.ts';
import { test as testCases } from '../../src/commands/test.ts';
import { headerFor, type Send, send as sendAsPrinter } from '../../src/demo/mail-client.ts';
import { ACCOUNTS } from '../../src/demo/office.ts';
import { Postern, type Said } from '../../src/demo/postern-child.ts';
import { output } from '../moving-in/settings.ts';
import { assertFoundClosed } from './nmap.ts';
import { missing } from './tools.ts';

/** People and applications that log in have a library; printers and spammers have not. */
const send: Send = (letter, to) => {
  const { from, sender, recipients } = letter;
  if (from.login === null) return sendAsPrinter(letter, to);
  const socket = connect(to.port, '127.0.0.1');
  socket.write(headerFor(from, to));
  const mailer = new SMTPConnection({ connection: socket, name: from.heloName, ignoreTLS: true });
  const credentials = { user: from.login, pass: ACCOUNTS.get(from.login) ?? '' };
  return new Promise((resolve) => {
    const done = (taken: readonly string[], refusal: string | null): void => {
      mailer.close();
      resolve({ letter, whole: taken.length === recipients.length, taken, refusal });
    };
    mailer.on('error', (error: Error) => done([], error.message));
    mailer.connect(() =>
      mailer.login({ credentials }, (error: Error | null) => {
        if (error !== null && error !== undefined) return done([], error.message);
        mailer.send({ from: sender, to: [...recipients] }, 'Subject: by nodemailer\r\n\r\nhello\r\n', (fault, info) =>
          done((info?.accepted ?? []) as string[], fault?.message ?? null),
        );
      }),
    );
  });
};

const COMMANDS = { check, import: importSettings, replay, suggest, test: testCases };

/** The same commands, but for `run`, without a process for each: quicker by half. */
class InThisProcess extends Postern {
  readonly #folder: string;

  constructor(command: readonly string[], folder: string) {
    super(command, folder);
    this.#folder = folder;
  }

  override async ask(name: keyof typeof COMMANDS, ...args: string[]): Promise<Said> {
    process.chdir(this.#folder);
    const out = output();
    const code = await COMMANDS[name](args, out);
    return { code, stdout: out.text, stderr: out.errors };
  }
}

interface Played {
  readonly said: string;
  readonly folder: string;
}

async function play(t: TestContext, exchange: '2003' | '2010', postern?: MovingIn['postern']): Promise<Played> {
  const folder = mkdtempSync(join(tmpdir(), 'postern-road-test-'));
  t.after(() => {
    process.chdir(tmpdir());
    rmSync(folder, { recursive: true });
  });
  const out = output();
  const atTheEnd = async ({ postern, old }: { postern: number; old: number }): Promise<boolean> => {
    await assertFoundClosed(postern);
    await assertFoundClosed(old);
    const live = output();
    await check([join(folder, 'postern.yaml'), '--live'], live, { pace: 0 });
    assert.match(live.text, /note: upstreams\.relay\.servers\[0\]: \S+ relays for this machine/);
    assert.doesNotMatch(live.text, /error:|goes there|refuses what/);
    return true;
  };
  const more = postern === undefined ? {} : { postern };
  const code = await playMovingIn({ exchange, keep: folder, send, atTheEnd, ...more }, out);
  assert.equal(out.errors, '');
  assert.equal(code, 0, out.text);
  assert.match(out.text, /\nAll is as it should be\.\n$/);
  assert.doesNotMatch(out.text, /NOT AS IT SHOULD BE/);
  return { said: out.text, folder };
}

/** What the log of the old server tells, as one would ask. */
async function told(folder: string, logs: string): Promise<{ said: string; json: Told }> {
  const out = output();
  const args = [join(folder, logs), '--policy', join(folder, 'office.yaml'), '--json'];
  assert.equal(await inventory(args, out), 0, out.errors);
  return { said: out.errors, json: JSON.parse(out.text) as Told };
}

interface Told {
  readonly rows: readonly { source: string; lost: number; logins: { list: readonly { name: string }[] } }[];
}

/** By address: who would still lose mail. */
function losers({ rows }: Told): string[] {
  return rows.filter(({ lost }) => lost > 0).map(({ source }) => source);
}

const WITHOUT_NMAP = missing(['nmap']);

test('Exchange 2003: from MetaBase.xml and the log of IIS to a closed server', { skip: WITHOUT_NMAP }, async (t) => {
  const { said, folder } = await play(t, '2003', (command, folder) => new InThisProcess(command, folder));
  assert.match(said, /THE OLD SERVER IS AN OPEN RELAY/);
  assert.match(said, /postern probe, from outside: open/);
  assert.match(said, /probe, from outside, at Postern: closed/);
  // Its log is as IIS writes it: columns that change within a file, times without a date, its own deliveries.
  const logs = readdirSync(join(folder, 'SMTPSVC1'));
  assert.equal(logs.length, 30);
  const texts = logs.map((name) => readFileSync(join(folder, 'SMTPSVC1', name), 'latin1'));
  assert.ok(texts.some((text) => (text.match(/^#Fields: /gm) ?? []).length === 2 && /^#Fields: time c-ip/m.test(text)));
  assert.match(texts[0] ?? '', /OutboundConnectionCommand .*\r\n/);
  assert.match(
    texts[0] ?? '',
    /^\d\d:\d\d:\d\d 192\.168\.1\.100 scanner-2nd-floor SMTPSVC1 .* QUIT scanner-2nd-floor 240\r$/m,
  );
  assert.match(texts[0] ?? '', / MAIL \+FROM:\+<scan@example\.com> 250\r$/m);
  assert.match(texts.join(''), / 203\.0\.113\.66 - SMTPSVC1 .* HELLO \+friend 500\r$/m);
  const { json } = await told(folder, 'SMTPSVC1');
  assert.deepEqual(
    losers(json).sort(),
    ['192.168.1.30', '203.0.113.20', '203.0.113.66'],
    'who logs in, and the spammer',
  );
  await narrower(folder);
});

test('Exchange 2010: from receive connectors and RECV logs to a closed server', { skip: WITHOUT_NMAP }, async (t) => {
  const { said, folder } = await play(t, '2010');
  assert.equal(said.split('LOOK HERE').length, 2, 'one thing wants a person');
  assert.match(said, /anybody on the Internet, to anywhere: an open relay/);
  const first = readFileSync(
    join(folder, 'SmtpReceive', readdirSync(join(folder, 'SmtpReceive')).sort()[0] ?? ''),
    'latin1',
  );
  assert.match(
    first,
    /,EX10\\Client EX10,08D0[0-9A-F]{12},\d+,10\.0\.0\.10:587,203\.0\.113\.20:\d+,\*,alice@example\.com,authenticated\r\n/,
  );
  assert.match(first, /,>,"220 mail\.example\.com Microsoft ESMTP MAIL Service ready at \w{3}, /);
  const { json } = await told(folder, 'SmtpReceive');
  assert.deepEqual(losers(json), ['203.0.113.66'], 'the spammer');
  assert.ok(json.rows.some(({ logins }) => logins.list.some(({ name }) => name === 'shop@example.com')));
  await narrower(folder);
});

/** What a person accepted gives those rights and no others. */
async function narrower(folder: string): Promise<void> {
  assert.ok(existsSync(join(folder, 'postern.log')));
  const imported = output();
  const files = readdirSync(folder).filter((name) => /\.xml$/.test(name));
  await importSettings(
    files.map((name) => join(folder, name)),
    imported,
  );
  writeFileSync(join(folder, 'imported.yaml'), imported.text);
  const out = output();
  assert.equal(await diff([join(folder, 'imported.yaml'), join(folder, 'office.yaml'), '--json'], out), 1);
  const { rows } = JSON.parse(out.text) as {
    rows: { change: string; sources: unknown; recipients: { only?: string[] } }[];
  };
  assert.ok(rows.some(({ change }) => change === 'gains'));
  for (const { change, recipients } of rows) if (change === 'gains') assert.ok(recipients.only !== undefined, out.text);
}
