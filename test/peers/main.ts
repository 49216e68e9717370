// `npm run peers [-- --all] [--output]`: the SMTP tests of other projects, without Postern and with Postern between, and what is different.
//
// Not part of npm test. Both are Debian's: Python's test_smtplib, and the tests of aiosmtpd with pytest (apt-get download, into the
// cache; nothing is installed). Servers and clients stay as they are: sitecustomize.py sends what the clients connect to
// through a Postern of its own (between.ts). Prints how many come out otherwise and why (--all: each); the reasons stand in
// known-differences.ts, and a difference that has none is a failure.

import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { openBetween } from './between.ts';
import { reasonFor } from './known-differences.ts';

const ROOT = join(import.meta.dirname, '../..');
const CACHE = join(process.env.POSTERN_CACHE ?? join(ROOT, '.cache'), 'peers');
const PYTHON = '/usr/bin/python3';
const AIOSMTPD = '/usr/lib/python3/dist-packages/aiosmtpd/tests';
const PYTEST = 'pytest iniconfig pluggy packaging attr pytest-mock py'.split(' ').map((name) => `python3-${name}`);

interface Suite {
  readonly name: string;
  /** What follows `python3`. */
  readonly args: readonly string[];
  readonly path: readonly string[];
  /** A test and its outcome, wherever they stand in what is printed. */
  readonly outcome: RegExp;
  readonly good: string;
}

/** Packages of Debian, unpacked side by side. */
function unpack(folder: string, packages: readonly string[]): string {
  const place = join(CACHE, folder);
  if (existsSync(join(place, 'usr'))) return place;
  mkdirSync(place, { recursive: true });
  execFileSync('apt-get', ['-qq', 'download', ...packages], { cwd: place, stdio: ['ignore', 'ignore', 'pipe'] });
  for (const deb of readdirSync(place).filter((file) => file.endsWith('.deb'))) {
    execFileSync('dpkg-deb', ['-x', join(place, deb), place]);
  }
  return place;
}

function suites(): Suite[] {
  const version = execFileSync(PYTHON, ['-c', 'import sys; print("%d.%d" % sys.version_info[:2])'], {
    encoding: 'utf8',
  });
  const python = version.trim();
  const testsuite = unpack('testsuite', [`libpython${python}-testsuite`]);
  const tests = join(testsuite, `usr/lib/python${python}/test`);
  // Python's own library first: the suite brings only `test`.
  const program =
    `import sys, test; test.__path__.append(${JSON.stringify(tests)}); ` +
    "sys.argv = ['unittest', '-v', 'test.test_smtplib']; import unittest; unittest.main(module=None)";
  const smtplib = {
    name: `Python ${python}, test_smtplib`,
    args: ['-c', program],
    path: [],
    outcome: /^test\w* \((\S+?)\)(?:\n[^\n]*?)?? \.\.\. .*?\b(ok|FAIL|ERROR|skipped|expected failure)\b/gms,
    good: 'ok',
  };
  if (!existsSync(AIOSMTPD)) return [smtplib];
  const files = ['smtp', 'starttls', 'lmtp', 'handlers'].map((name) => join(AIOSMTPD, `test_${name}.py`));
  const aiosmtpd = {
    name: 'aiosmtpd',
    args: ['-m', 'pytest', '-v', '-p', 'no:cacheprovider', ...files],
    path: [join(unpack('pytest', PYTEST), 'usr/lib/python3/dist-packages')],
    outcome: /^\S*?\/(test_\w+\.py::.*?) (PASSED|FAILED|ERROR|SKIPPED|XFAIL)\s+\[/gm,
    good: 'PASSED',
  };
  return [smtplib, aiosmtpd];
}

interface Run {
  readonly outcomes: ReadonlyMap<string, string>;
  readonly output: string;
}

function run({ args, path, outcome }: Suite, between: number | null): Promise<Run> {
  const env = {
    ...process.env,
    PYTHONPATH: [join(import.meta.dirname, 'python'), ...path].join(':'),
    PYTHONWARNINGS: 'ignore',
    PYTHONDONTWRITEBYTECODE: '1',
    ...(between === null ? {} : { POSTERN_BETWEEN: `${between}` }),
  };
  const child = spawn(PYTHON, args, { env, cwd: '/tmp', stdio: ['ignore', 'pipe', 'pipe'] });
  process.once('exit', () => child.kill('SIGKILL'));
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  return new Promise((resolve) => {
    child.once('close', () => {
      const found = [...output.matchAll(outcome)].map(([, name, how]) => [name, how] as [string, string]);
      resolve({ outcomes: new Map(found), output });
    });
  });
}

const all = process.argv.includes('--all');
let unexplained = 0;
for (const suite of suites()) {
  const without = await run(suite, null);
  const between = await openBetween();
  const through = await run(suite, between.port);
  const servers = between.asked.size;
  await between.close();
  const good = (of: Run): number => [...of.outcomes.values()].filter((how) => how === suite.good).length;
  console.log(`${suite.name}: ${without.outcomes.size} tests, ${servers} servers`);
  console.log(`  good without Postern: ${good(without)}, through Postern: ${good(through)}`);
  const by = new Map<string, number>();
  for (const name of new Set([...without.outcomes.keys(), ...through.outcomes.keys()])) {
    const [before, now] = [without.outcomes.get(name) ?? 'missing', through.outcomes.get(name) ?? 'missing'];
    const reason = reasonFor(name);
    if (before === now) continue;
    if (reason === null) unexplained++;
    by.set(reason ?? 'WHY?', (by.get(reason ?? 'WHY?') ?? 0) + 1);
    if (reason !== null && !all) continue;
    console.log(`  ${name}: ${before}, through Postern ${now}: ${reason ?? 'WHY?'}`);
  }
  for (const [reason, count] of by) console.log(`  ${count} × ${reason}`);
  if (without.outcomes.size === 0 || servers === 0) unexplained++;
  if (process.argv.includes('--output')) console.log(through.output);
}
process.exitCode = unexplained === 0 ? 0 : 1;
