// npm run package: all of Postern, and Node with it, as one file to run, for Linux (x64, arm64) and Windows (x64).
//
// esbuild makes one script of the source and the packages that it runs on; Node's own single executable applications do the
// rest: a copy of Node with the script inside (build/inside.cjs runs it), and with the code that V8 makes of it where that copy can be
// run here (it belongs to one processor): taken after a start of the firewall, so that all that a start needs is in it. The other Nodes come from npm, each a package of the same version as the one that this repository is pinned to.
// Not chosen: a snapshot of the heap, which no worker thread can be started from; pkg and nexe, which bring Nodes of their own; Bun and
// Deno, which are other runtimes than the one that is tested, and know nothing of the TCP handles that proxy/tcp-handles uses.
//
//   node build/package.ts [linux-x64] [linux-arm64] [win-x64]     in dist/ of nothing else: packages/postern-VERSION-PLATFORM

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  globSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { build, type Metafile } from 'esbuild';
import packageFile from '../package.json' with { type: 'json' };
import { PROGRAM_FILES, WORKER_INSIDE } from '../src/serve/program-files.ts';
import { commit } from './commit.ts';

const ROOT = join(import.meta.dirname, '..');
const WORK = join(process.env.POSTERN_CACHE ?? join(ROOT, '.cache'), 'package');
const OUT = join(ROOT, 'packages');
const PLATFORMS = ['linux-x64', 'linux-arm64', 'win-x64'] as const;
type Platform = (typeof PLATFORMS)[number];

const HERE = `${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;
const FUSE = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2'; // in every Node, for this (doc/api/single-executable-applications)
const LONG_RUNNING = '--max-semi-space-size=4'; // as main.ts says it where it may

const chosen = process.argv.slice(2);
for (const name of chosen)
  if (!(PLATFORMS as readonly string[]).includes(name)) throw new Error(`${name}: ${PLATFORMS.join(', ')} are known`);
const platforms = PLATFORMS.filter((name) => chosen.length === 0 || chosen.includes(name));

mkdirSync(WORK, { recursive: true });
mkdirSync(OUT, { recursive: true });
const bundled = [await bundle('src/main.ts', 'main.cjs'), await bundle('src/serve/worker.ts', WORKER_INSIDE)];
writeFileSync(join(OUT, 'LICENSES.txt'), licenses(bundled));
const main = readFileSync(join(WORK, 'main.cjs'), 'latin1').replace(/^#!.*\n/, '');
writeFileSync(join(WORK, 'main.cjs'), `(function (require, module, exports, __dirname) {${main}})`, 'latin1');
if (platforms.some((platform) => platform === HERE)) compileAhead();
for (const platform of platforms) make(platform);

/** One script of an entry and all that it imports. */
async function bundle(entry: string, file: string): Promise<Metafile> {
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: [entry],
    outfile: join(WORK, file),
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: `node${process.versions.node}`,
    charset: 'ascii', // text of one octet a character takes half the memory
    minifyWhitespace: true,
    minifySyntax: true,
    legalComments: 'none', // they are in LICENSES.txt
    metafile: true,
    // Only who is not in the one executable looks for files by it.
    define: { 'import.meta.url': '"file:///postern"' },
    plugins: [
      {
        name: 'commit',
        setup: ({ onLoad }) =>
          onLoad({ filter: /src\/commands\/build\.ts$/ }, () => ({
            contents: `export const COMMIT = ${JSON.stringify(commit())};`,
          })),
      },
    ],
    logLevel: 'warning',
  });
  return metafile;
}

/** The code of main.cjs, as it is after the firewall has started once: under the same options as in the executable, or V8 does
 * not take it. */
function compileAhead(): void {
  const files = [join(ROOT, 'build/compile-ahead.cjs'), join(WORK, 'main.cjs'), join(WORK, 'main.code')];
  execFileSync(process.execPath, [LONG_RUNNING, ...files], { stdio: ['ignore', 'ignore', 'pipe'] });
}

function make(platform: Platform): void {
  const node = nodeFor(platform);
  const blob = join(WORK, `${platform}.blob`);
  const config = join(WORK, `${platform}.json`);
  const assets = Object.entries(PROGRAM_FILES).map(([name, where]) => [name, pathOf(where)]);
  writeFileSync(
    config,
    JSON.stringify({
      main: join(ROOT, 'build/inside.cjs'),
      output: blob,
      disableExperimentalSEAWarning: true,
      execArgv: [LONG_RUNNING],
      assets: {
        ...Object.fromEntries(assets),
        'main.cjs': join(WORK, 'main.cjs'),
        [WORKER_INSIDE]: join(WORK, WORKER_INSIDE),
        ...(platform === HERE ? { 'main.code': join(WORK, 'main.code') } : {}),
      },
    }),
  );
  // The blob is of the Node that makes it: one version for all platforms.
  execFileSync(process.execPath, ['--experimental-sea-config', config], { stdio: ['ignore', 'ignore', 'inherit'] });
  const name = `postern-${packageFile.version}-${platform}${platform.startsWith('win') ? '.exe' : ''}`;
  const made = join(WORK, name);
  rmSync(made, { force: true });
  copyFileSync(node, made);
  chmodSync(made, 0o755);
  if (platform.startsWith('linux')) strip(platform, made);
  const postject = join(ROOT, 'node_modules/postject/dist/cli.js');
  execFileSync(process.execPath, [postject, made, 'NODE_SEA_BLOB', blob, '--sentinel-fuse', FUSE], { stdio: 'ignore' });
  const file = join(OUT, name);
  renameSync(made, file);
  const megabytes = (statSync(file).size / 1e6).toFixed(0);
  const digest = createHash('sha256').update(readFileSync(file)).digest('hex');
  process.stdout.write(`packages/${name}  ${megabytes} MB  sha256 ${digest}\n`);
}

function pathOf(where: string): string {
  const [name = '', inPackage] = where.split(':');
  if (inPackage === undefined) return join(ROOT, 'src/serve', name);
  return join(dirname(createRequire(import.meta.url).resolve(name)), inPackage);
}

/** Of the version that runs this, from npm where it is not this one. */
function nodeFor(platform: Platform): string {
  if (platform === HERE) return process.execPath;
  const { version } = process;
  const folder = join(WORK, `node-${version}-${platform}`);
  const file = join(folder, 'package/bin', platform.startsWith('win') ? 'node.exe' : 'node');
  if (existsSync(file)) return file;
  mkdirSync(folder, { recursive: true });
  const name = `node-${platform}@${version.slice(1)}`;
  execFileSync('npm', ['pack', '--silent', '--pack-destination', folder, name], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const [archive] = globSync('*.tgz', { cwd: folder });
  execFileSync('tar', ['-xzf', archive as string], { cwd: folder });
  return file;
}

/** Without the names of Node's functions: a fifth of its size. Where there is no strip for it, it stays as it is. */
function strip(platform: Platform, file: string): void {
  const tools = platform === HERE ? ['strip'] : ['aarch64-linux-gnu-strip', 'llvm-strip'];
  for (const tool of tools) {
    try {
      execFileSync(tool, ['--strip-unneeded', file], { stdio: 'ignore' });
      return;
    } catch {
      // the next one
    }
  }
  process.stderr.write(`postern: ${platform}: not stripped, for want of ${tools.join(' or ')}\n`);
}

/** Of every package that is in it, and of Node. */
function licenses(metafiles: readonly Metafile[]): string {
  const inputs = metafiles.flatMap(({ inputs: files }) => Object.keys(files));
  const names = inputs.flatMap((file) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(file)?.[1] ?? []);
  const parts = [...new Set([...names, 'uplot'])].toSorted().map((name) => {
    const folder = join(ROOT, 'node_modules', name);
    const { version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Record<
      string,
      string
    >;
    const [file] = globSync('{LICENSE,LICENCE,License,license}*', { cwd: folder });
    const text = file === undefined ? '' : readFileSync(join(folder, file), 'utf8').trim();
    return `${name} ${version} (${license})\n\n${text}`;
  });
  const node = `Node.js ${process.version}: its licence, with those of what is in it, is at\nhttps://github.com/nodejs/node/blob/${process.version}/LICENSE`;
  const own = readFileSync(join(ROOT, 'LICENSE'), 'utf8').trim();
  return [`postern ${packageFile.version} (${packageFile.license})\n\n${own}`, node, ...parts].join(
    `\n\n${'-'.repeat(72)}\n\n`,
  );
}
