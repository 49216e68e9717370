// Postfix's own test client and test server in many settings, one against the other: smtp-source says, smtp-sink takes and writes down.
//
//   node test/peers/postfix-pairs.ts      with POSTERN_BETWEEN: through a Postern that between.ts opens in front of each sink
//
// Prints a line for each setting: how smtp-source ended, what it complained of, how many messages were taken and a digest of
// them. Dates, ids and addresses are left out of that, since they differ from run to run; the bodies and commands are in it.

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort, listening, start, stop } from '../../bench/harness/processes.ts';
import { findTool } from '../../bench/harness/tools.ts';

const WITHIN = 30_000;
const COMMANDS = ['CONNECT', 'EHLO', 'MAIL', 'RCPT', 'DATA', '.', 'QUIT'];
const ENDS = { '-f': 'is refused', '-r': 'is deferred', '-q': 'hangs up', '-Q': 'is answered with 421' };
const TEXT = 'Subject: dots\r\n\r\n.a dot\r\n..two\r\n...\r\nlatin-1: \xe9\xff\r\nand no end'.replaceAll('\r\n', '\n');

type Setting = readonly [name: string, source: string, sink: string];

const SETTINGS: readonly Setting[] = [
  ['plain', '', ''],
  ['HELO and no headers', '-o', ''],
  ['three recipients', '-r 3', ''],
  ['a hundred recipients, numbered', '-r 100 -N', ''],
  ['an empty message', '-l 0', ''],
  ['a large message', '-l 1000000', ''],
  ['a file with dots and octets', '-F FILE', ''],
  ['ten messages in one session', '-m 10 -d', ''],
  ['twelve messages, four at once', '-m 12 -s 4', ''],
  ['a slow reader with a small window', '-l 100000', '-H 1 -T 512'],
  ...['8', 'a', 'e', 'E', 'N', 'p', 'P', 'F', 'C'].map(
    (flag): Setting => [`the server has -${flag}`, '-r 3', `-${flag}`],
  ),
  ...Object.entries(ENDS).flatMap(([flag, what]) =>
    COMMANDS.map((command): Setting => [`${command} ${what}`, '-r 2', `${flag} ${command}`]),
  ),
  ['the server aborts mail data', '-l 100000', '-A 0'],
];

const words = (text: string): string[] => text.split(' ').filter((word) => word !== '');

async function firewallFor(port: number): Promise<number> {
  const between = process.env.POSTERN_BETWEEN;
  if (between === undefined) return port;
  return Number(await (await fetch(`http://127.0.0.1:${between}/127.0.0.1/${port}`)).text());
}

/** How smtp-source ended. */
function say(port: number, args: readonly string[]): Promise<string> {
  const { path, env } = findTool('smtp-source');
  const all = ['-M', 'client.example', '-f', 's@sender.example', '-t', 'user@local.example', ...args];
  return new Promise((resolve) => {
    execFile(path, [...all, `127.0.0.1:${port}`], { env, timeout: WITHIN }, (error, _out, stderr) => {
      const complaint = stderr.replaceAll(/^.*?smtp-source: /gm, '').trim();
      resolve(`exit ${error === null ? 0 : (error.code ?? error.signal)}${complaint === '' ? '' : ` (${complaint})`}`);
    });
  });
}

const VARIES = /^(X-Client-Addr|Received|Date|Message-Id):.*\n(\s.+\n)*/gm;

async function pair([, source, sink]: Setting): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'postern-peers-'));
  chmodSync(folder, 0o777);
  writeFileSync(join(folder, 'text'), TEXT, 'latin1');
  const { path, env } = findTool('smtp-sink');
  const port = await freePort();
  const user = process.getuid?.() === 0 ? ['-u', 'nobody'] : []; // it insists on giving root away
  const child = start(path, [...user, '-d', 'taken.', ...words(sink), `127.0.0.1:${port}`, '100'], {
    env,
    cwd: folder,
  });
  await listening(port, child);
  const args = words(source).map((word) => (word === 'FILE' ? join(folder, 'text') : word));
  const ended = await say(await firewallFor(port), args);
  await stop(child);
  const files = readdirSync(folder).filter((name) => name.startsWith('taken.'));
  const taken = files.map((name) => readFileSync(join(folder, name), 'latin1')).filter((text) => text !== ''); // a begun one is empty
  const texts = taken.map((text) => text.replaceAll(VARIES, ''));
  rmSync(folder, { recursive: true });
  const digest = createHash('sha256').update(texts.toSorted().join('\0'), 'latin1').digest('hex').slice(0, 8);
  return `${ended}, ${taken.length} taken, ${digest}`;
}

for (const setting of SETTINGS) console.log(`${setting[0]}: ${(await pair(setting)).replaceAll('\n', ' ')}`);
process.exit();
