// How fast is a receive log of Exchange read, in how much memory, beside a script as one writes it?
//
//   node bench/moving-in.ts [--gigabytes 5] [--sources 5000] [--make FILE | --log FILE]
//
// A RECV log is made in the temporary folder (sessions mixed 20 at a time, 0.5 % relay, some refused) and removed afterwards;
// --make keeps it, and --log takes one that was made so. `inventory` and `replay` run as processes of their own, the policy refuses a
// third of the sources what they relayed, and lets pass what was refused of the others; the script beside it is readline, a field splitter that knows quotes, and a Map of
// sessions: what the public scripts of this kind do, in the same language. It reads the
// first 500 MB. Resident memory is the kernel's highest.

import { spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { builtMain } from './harness/program.ts';
import { printMachine, printTable } from './harness/report.ts';

const { values } = parseArgs({
  options: {
    gigabytes: { type: 'string', default: '5' },
    sources: { type: 'string', default: '5000' },
    make: { type: 'string' },
    log: { type: 'string' },
  },
});
const GIGABYTES = Number(values.gigabytes);
const SOURCES = Number(values.sources);

const HEAD = [
  '#Software: Microsoft Exchange Server',
  '#Version: 14.0.0.0',
  '#Log-type: SMTP Receive Protocol Log',
  '#Date: 2026-01-01T00:00:03.478Z',
  '#Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context',
  '',
].join('\r\n');

/** Everything behind the sequence number, of a session of one or more messages. */
function session(n: number): string[] {
  const source = n % SOURCES;
  const remote = `10.${(source >> 8) & 255}.${source & 255}.${1 + (n % 3)}:${20000 + (n % 40000)}`;
  const ends = `192.0.2.6:25,${remote}`;
  const relays = n % 200 === 0;
  const says = (event: string, data: string, context = ''): string => `${ends},${event},${data},${context}`;
  const lines = [
    says('+', ''),
    says(
      '*',
      `SMTPSubmit SMTPAcceptAnySender ${relays ? 'SMTPAcceptAnyRecipient ' : ''}SMTPAcceptAuthoritativeDomainSender AcceptRoutingHeaders`,
      'Set Session Permissions',
    ),
    says('>', '"220 EX1.example.com Microsoft ESMTP MAIL Service ready at Thu, 1 Jan 2026 00:00:03 +0000"'),
    says('<', `EHLO host${source}.example.net`),
    says(
      '>',
      '250-EX1.example.com Hello [10.0.0.1] SIZE PIPELINING DSN ENHANCEDSTATUSCODES AUTH 8BITMIME BINARYMIME CHUNKING',
    ),
  ];
  for (let message = 0; message <= n % 3; message++) {
    lines.push(says('<', `MAIL FROM:<user${n % 977}@sender${source % 50}.example> SIZE=${1000 + n}`));
    lines.push(says('*', `08D675E58CA1DA38;2026-01-01T00:00:03.478Z;${message}`, 'receiving message'));
    lines.push(says('>', '250 2.1.0 Sender OK'));
    for (let to = 0; to <= (n + message) % 4; to++) {
      lines.push(says('<', `RCPT TO:<user${to}@${relays ? 'foreign' : 'example'}.com>`));
      lines.push(says('>', n % 17 === 0 ? '550 5.7.1 Unable to relay' : '250 2.1.5 Recipient OK'));
    }
    lines.push(says('<', 'DATA'));
    lines.push(says('>', '354 Start mail input; end with <CRLF>.<CRLF>'));
    lines.push(says('>', `250 2.6.0 <${n}.${message}@mail.example> [InternalId=${n}] Queued mail for delivery`));
  }
  lines.push(says('<', 'QUIT'), says('>', '221 2.0.0 Service closing transmission channel'), says('-', '', 'Local'));
  return lines;
}

const TOGETHER = 20;

function makeLog(file: string, octets: number): void {
  const out = openSync(file, 'w');
  let written = writeSync(out, HEAD);
  let made = 0;
  const open: { id: string; lines: string[]; at: number }[] = [];
  let text = '';
  while (written < octets) {
    while (open.length < TOGETHER)
      open.push({ id: `08D675E5${made.toString(16).toUpperCase().padStart(8, '0')}`, lines: session(made++), at: 0 });
    for (const one of open) {
      const time = new Date(1_767_225_603_478 + made * 40).toISOString();
      text += `${time},EX1\\Default EX1,${one.id},${one.at},${one.lines[one.at]}\r\n`;
      one.at += 1;
    }
    for (let at = open.length - 1; at >= 0; at--) if (open[at]?.at === open[at]?.lines.length) open.splice(at, 1);
    if (text.length < 1 << 20) continue;
    written += writeSync(out, text);
    text = '';
  }
  closeSync(out);
}

const STRAIGHTFORWARD = `
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
const sessions = new Map(), sources = new Map();
function fields(line) {
  const found = []; let field = '', quoted = false;
  for (let i = 0; i < line.length; i++) {
    const c = line[i];
    if (quoted) { if (c === '"') { if (line[i + 1] === '"') { field += '"'; i++; } else quoted = false; } else field += c; }
    else if (c === '"') quoted = true;
    else if (c === ',') { found.push(field); field = ''; }
    else field += c;
  }
  found.push(field);
  return found;
}
for await (const line of createInterface({ input: createReadStream(process.argv[2], { end: Number(process.argv[3]) - 1 }), crlfDelay: Infinity })) {
  if (line.startsWith('#')) continue;
  const [time, connector, id, , local, remote, event, data] = fields(line);
  let session = sessions.get(id);
  if (!session) sessions.set(id, (session = { source: remote.split(':')[0], to: [], tries: [] }));
  if (event === '<') {
    const mail = /^MAIL FROM:<(.*?)>/i.exec(data), to = /^RCPT TO:<(.*?)>/i.exec(data), helo = /^(?:EHLO|HELO) (.*)/i.exec(data);
    if (helo) session.helo = helo[1];
    if (mail) { session.from = mail[1]; session.to = []; session.tries = []; session.at = new Date(time); }
    if (to) session.tries.push(to[1]);
    if (/^DATA/i.test(data)) session.data = true;
  } else if (event === '>') {
    if (session.tries.length > 0 && !session.data) { const to = session.tries.shift(); if (data.startsWith('250')) session.to.push(to); }
    else if (session.data && data.startsWith('250')) {
      session.data = false;
      let source = sources.get(session.source);
      if (!source) sources.set(session.source, (source = { messages: 0, recipients: 0, relayed: 0, helo: new Set(), from: new Set(), to: new Set(), first: session.at }));
      source.messages++; source.recipients += session.to.length; source.last = session.at;
      source.helo.add(session.helo); source.from.add((session.from ?? '').split('@')[1]);
      for (const to of session.to) { const domain = to.split('@')[1]; source.to.add(domain); if (domain !== 'example.com') source.relayed++; }
    }
  } else if (event === '-') sessions.delete(id);
}
console.log(JSON.stringify({ messages: [...sources.values()].reduce((sum, { messages }) => sum + messages, 0), sources: sources.size }));
`;

const POLICY = `
version: 1
accepted_domains: [ example.com ]
connectors:
  - name: default
    remote_ip_ranges: [ any ]
    rules:
      - { name: inside, allow: { sources: [ 10.0.0.0/13, 10.32.0.0/11 ] } }
      - { name: logged-in, allow: { authenticated: true } }
`;

/** What a process took, as the last line of its standard error: microseconds of processor, KiB resident at most. */
const WATCH = `
import { writeSync } from 'node:fs';
process.on('exit', () => {
  const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
  writeSync(2, (userCPUTime + systemCPUTime) + ' ' + maxRSS);
});
`;

interface Run {
  readonly seconds: number;
  readonly cpu: number;
  readonly resident: number;
  readonly said: string;
}

/** Runs Node with these arguments, and what it took. */
async function run(watch: string, args: readonly string[]): Promise<Run> {
  const begin = performance.now();
  const child = spawn(process.execPath, ['--import', watch, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  let told = '';
  child.stdout.on('data', (chunk) => {
    said += chunk;
  });
  child.stderr.on('data', (chunk) => {
    told += chunk;
  });
  await new Promise((resolve) => child.once('close', resolve));
  const [cpu = 0, resident = 0] = (told.trim().split('\n').at(-1) ?? '').split(' ').map(Number);
  return { seconds: (performance.now() - begin) / 1000, cpu: cpu / 1e6, resident: resident / 1024, said };
}

if (values.make !== undefined) {
  makeLog(values.make, GIGABYTES * 1e9);
  process.exit();
}
const folder = mkdtempSync(join(tmpdir(), 'postern-bench-'));
try {
  const file = values.log ?? join(folder, 'RECV20260101-1.LOG');
  if (values.log === undefined) makeLog(file, GIGABYTES * 1e9);
  const policy = join(folder, 'policy.yaml');
  writeFileSync(policy, POLICY);
  const octets = statSync(file).size;
  const script = join(folder, 'straightforward.mjs');
  writeFileSync(script, STRAIGHTFORWARD);
  const watch = join(folder, 'watch.mjs');
  writeFileSync(watch, WATCH);
  printMachine();
  const SCRIPTED = Math.min(octets, 500e6); // of which it reads so much: it takes long
  const main = builtMain();
  const rows: string[][] = [];
  for (const [name, args, done] of [
    ['postern inventory', [main, 'inventory', file, '--accepted-domain', 'example.com', '--json'], octets],
    ['postern replay', [main, 'replay', file, '--policy', policy, '--json'], octets],
    ['readline script', [script, file, String(SCRIPTED)], SCRIPTED],
  ] as const) {
    const { seconds, cpu, resident, said } = await run(watch, args);
    const messages = /"messages": ?(\d+)/.exec(said)?.[1] ?? '?';
    rows.push([
      name,
      (done / 1e6 / seconds).toFixed(0),
      (done / 1e6 / cpu).toFixed(0),
      seconds.toFixed(1),
      resident.toFixed(0),
      messages,
    ]);
  }
  printTable(['reader', 'MB/s', 'MB per s of CPU', 'seconds', 'MiB resident', 'messages'], rows);
} finally {
  rmSync(folder, { recursive: true });
}
