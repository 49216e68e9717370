// `npm run peers [-- --only NAME] [--all] [--output]`: the SMTP tests of other projects, without Postern and with Postern between, and
// what is different.
//
// Not part of npm test. Servers and clients stay as they are: what a client connects to goes through a Postern of its own
// (between.ts). Prints how many come out otherwise and why (--all: each); the reasons stand in known-differences.ts, and a difference
// that has none is a failure. Some suites have short times of their own: on a busy machine they fail by these.

import { spawn } from 'node:child_process';
import { parseArgs } from 'node:util';
import { openBetween } from './between.ts';
import { goSmtp } from './go-suite.ts';
import { reasonFor } from './known-differences.ts';
import { smtpServer } from './node-suites.ts';
import { postfixPairs } from './postfix-suite.ts';
import { aiosmtpd, smtplib } from './python-suites.ts';
import type { Suite } from './suite.ts';

const SUITES: Readonly<Record<string, () => Suite | null>> = {
  smtplib,
  aiosmtpd,
  'smtp-server': smtpServer,
  go: goSmtp,
  postfix: postfixPairs,
};

interface Run {
  readonly outcomes: ReadonlyMap<string, string>;
  readonly output: string;
}

function run({ program, args, env: own, outcome }: Suite, between: number | null): Promise<Run> {
  const env = { ...process.env, ...own, ...(between === null ? {} : { POSTERN_BETWEEN: `${between}` }) };
  const child = spawn(program, args, { env, cwd: '/tmp', stdio: ['ignore', 'pipe', 'pipe'] });
  process.once('exit', () => child.kill('SIGKILL'));
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  return new Promise((resolve) => {
    child.once('close', () => {
      const found = [...output.matchAll(outcome)].map(({ groups }) => [groups?.name, groups?.how] as [string, string]);
      resolve({ outcomes: new Map(found), output });
    });
  });
}

const { values } = parseArgs({
  options: {
    all: { type: 'boolean', default: false },
    output: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true, default: Object.keys(SUITES) },
  },
});
let unexplained = 0;
for (const name of values.only) {
  if (!(name in SUITES)) {
    console.error(`peers: --only ${name}: there are ${Object.keys(SUITES).join(', ')}`);
    process.exit(64);
  }
  const suite = SUITES[name]?.() ?? null;
  if (suite === null) {
    console.log(`${name} is not on this machine: left out`);
    continue;
  }
  const without = await run(suite, null);
  const between = await openBetween();
  const through = await run(suite, between.port);
  const servers = between.asked.size;
  await between.close();
  const good = (of: Run): number => [...of.outcomes.values()].filter((how) => how.startsWith(suite.good)).length;
  console.log(`${suite.name}: ${without.outcomes.size} tests, ${servers} servers`);
  console.log(`  good without Postern: ${good(without)}, through Postern: ${good(through)}`);
  const by = new Map<string, number>();
  for (const name of new Set([...without.outcomes.keys(), ...through.outcomes.keys()])) {
    const [before, now] = [without.outcomes.get(name) ?? 'missing', through.outcomes.get(name) ?? 'missing'];
    const reason = reasonFor(name);
    if (before === now) continue;
    if (reason === null) unexplained++;
    by.set(reason ?? 'WHY?', (by.get(reason ?? 'WHY?') ?? 0) + 1);
    if (reason !== null && !values.all) continue;
    console.log(`  ${name}: ${before}, through Postern ${now}: ${reason ?? 'WHY?'}`);
  }
  for (const [reason, count] of by) console.log(`  ${count} × ${reason}`);
  if (without.outcomes.size === 0 || servers === 0) unexplained++;
  if (values.output) console.log(through.output);
}
process.exitCode = unexplained === 0 ? 0 : 1;
