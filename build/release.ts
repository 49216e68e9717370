// npm run release:check: is what is here fit to be released? Version, tag and changelog agree, all packages can be built, twice in two
// folders with other clocks, and are the same octets. It says what is missing, releases nothing and writes only below .cache/.
//
//   node build/release.ts [--quick]     --quick: without the builds
//
// The builds are of the last commit, each in a clone of its own: another folder, a second later, another time zone, another umask.

import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { globSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parser } from 'keep-a-changelog';
import packageFile from '../package.json' with { type: 'json' };

const ROOT = join(import.meta.dirname, '..');
const WORK = join(process.env.POSTERN_CACHE ?? join(ROOT, '.cache'), 'release');
const { version } = packageFile;
const COMMANDS = ['npm pack --silent', 'npm run --silent package', 'node build/deb.ts'];

let missing = 0;
function say(ok: boolean, well: string, otherwise: string): void {
  process.stdout.write(ok ? `ok       ${well}\n` : `MISSING  ${otherwise}\n`);
  if (!ok) missing++;
}

const git = (...args: string[]): string => execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }).trim();
const changes = git('status', '--porcelain');
say(changes === '', 'nothing but what is committed', `commit what is changed first:\n${changes}`);
changelog();
const tags = git('tag', '--points-at', 'HEAD').split('\n');
say(
  tags.includes(`v${version}`),
  `tag v${version} is at this commit`,
  `no tag v${version} at this commit: git tag -s v${version}`,
);
if (!process.argv.includes('--quick')) builds();
process.stdout.write(
  missing === 0 ? `${version} is fit to be released\n` : `${missing} missing: ${version} is not fit yet\n`,
);
process.exitCode = missing === 0 ? 0 : 1;

/** The newest heading is this version's, with a day. */
function changelog(): void {
  const heading = `## [${version}] - ${new Date().toISOString().slice(0, 10)}`;
  try {
    const { releases } = parser(readFileSync(join(ROOT, 'CHANGELOG.md'), 'utf8'));
    const [newest] = releases.filter((release) => release.version !== undefined);
    const rest = releases.find((release) => release.version === undefined);
    const said = newest?.version === version && newest.date !== undefined && (rest === undefined || rest.isEmpty());
    say(
      said,
      `CHANGELOG.md begins with ${version}`,
      `CHANGELOG.md does not begin with ${version}: '${heading}' in place of '## [Unreleased]'`,
    );
  } catch (error) {
    say(false, '', `CHANGELOG.md is not in the form of Keep a Changelog: ${(error as Error).message}`);
  }
}

function builds(): void {
  rmSync(WORK, { recursive: true, force: true });
  mkdirSync(WORK, { recursive: true });
  const one = build('a', { TZ: 'UTC' }, '022');
  const two = build('a-second-one/of another name', { TZ: 'Pacific/Kiritimati', LC_ALL: 'C' }, '077');
  for (const [name, digest] of one ?? []) {
    const same = two?.get(name) === digest;
    say(same, `${name}  ${digest}`, `${name} is not the same octets when it is built again: ${WORK}`);
  }
  if (one?.size !== two?.size) say(false, '', `one build made ${one?.size} files and the other ${two?.size}`);
  if (missing === 0) rmSync(WORK, { recursive: true, force: true });
}

/** What it made, by name; null where it failed. */
function build(name: string, env: Record<string, string>, umask: string): Map<string, string> | null {
  const folder = join(WORK, name);
  git('clone', '--quiet', '--no-hardlinks', ROOT, folder);
  const script = [`umask ${umask}`, `cp -al ${ROOT}/node_modules node_modules`, ...COMMANDS].join(' && ');
  const own = { ...process.env, ...env, POSTERN_CACHE: join(folder, '.cache') };
  const { status, stdout, stderr } = spawnSync('sh', ['-c', script], { cwd: folder, env: own, encoding: 'utf8' });
  if (status !== 0) {
    say(false, '', `the packages cannot be built:\n${stdout.slice(-2000)}${stderr.slice(-4000)}`);
    return null;
  }
  const files = [...globSync('*.tgz', { cwd: folder }), ...globSync('packages/*', { cwd: folder })].toSorted();
  return new Map(
    files.map((file) => [
      file,
      createHash('sha256')
        .update(readFileSync(join(folder, file)))
        .digest('hex'),
    ]),
  );
}
