// npm run package: all of Postern, and Node with it, as one file to run, for Linux (x64, arm64) and Windows (x64).
//
// esbuild makes one script of the source and the packages that it runs on; Node's own single executable applications do the rest
// (--build-sea): a copy of Node with the script inside (build/inside.cjs runs it), and with the code that V8 makes of it where that
// copy can be run here (it belongs to one processor): taken after a start of the firewall, so that all that a start needs is in it. The
// other Nodes come from npm, each a package of the same version as the one that this repository is pinned to. The same source makes
// the same octets, wherever and whenever it is built.
// Not chosen: a snapshot of the heap, which Node 26.10 cannot write once its http or tls is loaded, and which takes 15 ms to read
// before anything of ours runs; pkg and nexe, which bring Nodes of their own; Bun and Deno, which are other runtimes than the one that
// is tested, and know nothing of the TCP handles that proxy/tcp-handles uses.
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
import { join } from 'node:path';
import packageFile from '../package.json' with { type: 'json' };
import { PROGRAM_FILES, placeOf, WORKER_BUNDLED } from '../src/serve/program-files.ts';
import { asFunction, bundle, compileAhead, LONG_RUNNING, ROOT } from './bundle.ts';
import { licenses } from './licenses.ts';
import { writeSbom } from './sbom.ts';

const WORK = join(process.env.POSTERN_CACHE ?? join(ROOT, '.cache'), 'package');
const OUT = join(ROOT, 'packages');
const PLATFORMS = ['linux-x64', 'linux-arm64', 'win-x64'] as const;
type Platform = (typeof PLATFORMS)[number];

const HERE = `${process.platform === 'win32' ? 'win' : process.platform}-${process.arch}`;

const chosen = process.argv.slice(2);
for (const name of chosen)
  if (!(PLATFORMS as readonly string[]).includes(name)) throw new Error(`${name}: ${PLATFORMS.join(', ')} are known`);
const platforms = PLATFORMS.filter((name) => chosen.length === 0 || chosen.includes(name));

mkdirSync(WORK, { recursive: true });
mkdirSync(OUT, { recursive: true });
const NO_FILE = '"file:///postern"'; // only who is not in the one executable looks for files by it
const bundled = [
  await bundle('src/main.ts', join(WORK, 'main.cjs'), NO_FILE),
  await bundle('src/serve/worker.ts', join(WORK, WORKER_BUNDLED), NO_FILE),
];
const node = `Node.js ${process.version}: its licence, with those of what is in it, is at\nhttps://github.com/nodejs/node/blob/${process.version}/LICENSE`;
writeFileSync(join(OUT, 'LICENSES.txt'), licenses(bundled, node));
writeSbom(join(OUT, 'sbom.cdx.json'), true);
asFunction(join(WORK, 'main.cjs'));
if (platforms.some((platform) => platform === HERE))
  compileAhead(join(WORK, 'main.cjs'), join(WORK, 'main.code'), 'postern');
for (const platform of platforms) make(platform);

function make(platform: Platform): void {
  const name = `postern-${packageFile.version}-${platform}${platform.startsWith('win') ? '.exe' : ''}`;
  const copy = `node-${platform}`;
  rmSync(join(WORK, copy), { force: true });
  copyFileSync(nodeFor(platform), join(WORK, copy));
  chmodSync(join(WORK, copy), 0o755);
  if (platform.startsWith('linux')) strip(platform, join(WORK, copy));
  copyFileSync(join(ROOT, 'build/inside.cjs'), join(WORK, 'inside.cjs'));
  const assets = Object.entries(PROGRAM_FILES).map(([asset, where]) => [asset, placeOf(where)]);
  // Names and not paths, where they go in: the same octets wherever this is built.
  const config = {
    main: 'inside.cjs',
    executable: copy,
    output: name,
    disableExperimentalSEAWarning: true,
    execArgv: [LONG_RUNNING],
    assets: {
      ...Object.fromEntries(assets),
      'main.cjs': 'main.cjs',
      [WORKER_BUNDLED]: WORKER_BUNDLED,
      ...(platform === HERE ? { 'main.code': 'main.code' } : {}),
    },
  };
  writeFileSync(join(WORK, `${platform}.json`), JSON.stringify(config));
  // What goes in is of the Node that makes it: one version for all platforms.
  const args = ['--build-sea', `${platform}.json`];
  execFileSync(process.execPath, args, { cwd: WORK, stdio: ['ignore', 'ignore', 'inherit'] });
  const file = join(OUT, name);
  renameSync(join(WORK, name), file);
  const megabytes = (statSync(file).size / 1e6).toFixed(0);
  const digest = createHash('sha256').update(readFileSync(file)).digest('hex');
  process.stdout.write(`packages/${name}  ${megabytes} MB  sha256 ${digest}\n`);
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
