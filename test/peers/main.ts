// `npm run peers`: the SMTP tests of other projects, without Postern and with Postern between, and what is different.
//
// Not part of npm test. Python's test_smtplib comes from Debian's libpython3-testsuite (apt-get download, into the cache) and
// runs with Debian's own Python. Its servers and clients stay as they are: sitecustomize.py sends what its clients connect to
// through a Postern of its own (between.ts). Prints each test whose outcome differs; those that are known stand in
// KNOWN with their reason, and any other is a failure.

import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { openBetween } from './between.ts';

const ROOT = join(import.meta.dirname, '../..');
const CACHE = join(process.env.POSTERN_CACHE ?? join(ROOT, '.cache'), 'peers');
const PYTHON = '/usr/bin/python3';

/** Tests that come out otherwise with Postern between, and why. */
const KNOWN: Readonly<Record<string, string>> = {
  'test.test_smtplib.SMTPAUTHInitialResponseSimTests.testAUTH_PLAIN_initial_response_auth testAUTH_PLAIN_initial_response_auth':
    'it logs in without EHLO; a mechanism is one that this EHLO reply offered (RFC 4954 §3)',
  'test.test_smtplib.SMTPSimTests.testAUTH_BUGGY testAUTH_BUGGY':
    'a mechanism that Postern does not know is not forwarded, so the client meets no endless exchange',
  'test.test_smtplib.SMTPSimTests.test__rest_from_mail_cmd test__rest_from_mail_cmd':
    'the server closes without a word behind its 451; the client hears a 421 of ours to its RSET instead of nothing',
};

interface Run {
  readonly outcomes: ReadonlyMap<string, string>;
  readonly output: string;
}

function pythonVersion(): string {
  return execFileSync(PYTHON, ['-c', 'import sys; print("%d.%d" % sys.version_info[:2])'], { encoding: 'utf8' }).trim();
}

/** The folder that has `test/test_smtplib.py`. */
function fetchTestsuite(version: string): string {
  const name = `libpython${version}-testsuite`;
  const folder = join(CACHE, name);
  const library = join(folder, `usr/lib/python${version}`);
  if (existsSync(join(library, 'test/test_smtplib.py'))) return library;
  mkdirSync(folder, { recursive: true });
  execFileSync('apt-get', ['download', name], { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] });
  const deb = readdirSync(folder).find((file) => file.endsWith('.deb'));
  if (deb === undefined) throw new Error(`apt-get brought no ${name}`);
  execFileSync('dpkg-deb', ['-x', join(folder, deb), folder]);
  return library;
}

/** unittest's `-v` lines: "test_x (test.test_smtplib.Y.test_x) ... ok". */
function runPython(library: string, between: number | null): Promise<Run> {
  // Debian's own library first: the suite brings only `test`.
  const program =
    `import sys, test; test.__path__.append(${JSON.stringify(join(library, 'test'))}); ` +
    "sys.argv = ['unittest', '-v', 'test.test_smtplib']; import unittest; unittest.main(module=None)";
  const env = {
    ...process.env,
    PYTHONPATH: join(import.meta.dirname, 'python'),
    PYTHONWARNINGS: 'ignore',
    PYTHONDONTWRITEBYTECODE: '1',
    ...(between === null ? {} : { POSTERN_BETWEEN: `${between}` }),
  };
  const child = spawn(PYTHON, ['-c', program], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  process.once('exit', () => child.kill('SIGKILL'));
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  return new Promise((resolve) => {
    child.once('close', () => {
      const lines = output.matchAll(
        /^(test\w*) \((\S+?)\)(?:\n[^\n]*?)?? \.\.\. .*?\b(ok|FAIL|ERROR|skipped|expected failure)\b/gms,
      );
      resolve({
        outcomes: new Map([...lines].map(([, name, of, outcome]) => [`${of} ${name}`, outcome as string])),
        output,
      });
    });
  });
}

const version = pythonVersion();
const library = fetchTestsuite(version);
const without = await runPython(library, null);
const between = await openBetween();
const through = await runPython(library, between.port);
const servers = between.asked.size;
await between.close();

const count = (run: Run, outcome: string): number => [...run.outcomes.values()].filter((one) => one === outcome).length;
console.log(`Python ${version}, test_smtplib: ${without.outcomes.size} tests`);
console.log(
  `  without: ${count(without, 'ok')} ok; through Postern: ${count(through, 'ok')} ok, in front of ${servers} servers`,
);
let unknown = 0;
for (const name of new Set([...without.outcomes.keys(), ...through.outcomes.keys()])) {
  const [before, now] = [without.outcomes.get(name) ?? 'missing', through.outcomes.get(name) ?? 'missing'];
  if (before === now) continue;
  const reason = KNOWN[name];
  if (reason === undefined) unknown++;
  console.log(`  ${name}: ${before}, through Postern ${now}${reason === undefined ? '' : `: ${reason}`}`);
}
if (process.argv.includes('--output')) console.log(through.output);
for (const name of Object.keys(KNOWN)) {
  if (without.outcomes.get(name) !== through.outcomes.get(name)) continue;
  unknown++;
  console.log(`  ${name}: known as different, and is not`);
}
process.exitCode = unknown === 0 && without.outcomes.size > 0 && servers > 0 ? 0 : 1;
