// What esbuild makes of the source: one script of an entry and of all that it imports, the packages that it runs on too.
//
// A start from one script takes half the time of one from two hundred files (bench/README.md). Names stay as they are, so that a stack
// trace says where something happened.

import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build, type Metafile, type Plugin } from 'esbuild';
import { commit } from './commit.ts';

export const ROOT = join(import.meta.dirname, '..');

process.umask(0o022); // whoever builds may let nobody read what he writes, and a package takes that along

/** As main.ts says it where it may. V8 takes no code that was made under other options. */
export const LONG_RUNNING = '--max-semi-space-size=4';

/** Modules of Node's own that take milliseconds to load. In a bundle each is loaded when something of it is first used: a firewall
 * without TLS never needs TLS. */
const DEAR =
  /(?<!__toESM\()require\("(node:(?:crypto|tls|http|https|zlib|worker_threads|(?:dns|fs|timers)\/promises))"\)/g;
const LATE = 'const late = (name) => new Proxy({}, { get: (_, key) => process.getBuiltinModule(name)[key] });';

/** Parts of packages that work at every start for what nothing of ours asks: Prometheus' Pushgateway wants clients of HTTP, pino's
 * threads the names of all who called it. What stands in their place. */
const LEFT_OUT: Readonly<Record<string, string>> = {
  'prom-client/lib/pushgateway.js': 'undefined',
  'prom-client/lib/defaultMetrics.js': 'undefined',
  'pino/lib/transport.js': 'undefined',
  'pino/lib/caller.js': '() => []',
  'sonic-boom/index.js': 'class {}', // pino's own destination, which log.ts does not take
};

const leftOut: Plugin = {
  name: 'left out',
  setup: ({ onLoad }) => {
    for (const [file, instead] of Object.entries(LEFT_OUT))
      onLoad({ filter: new RegExp(`/node_modules/${file}$`) }, () => ({ contents: `module.exports = ${instead};` }));
  },
};

/** `url`: what `import.meta.url` is, as an expression; `banner` stands in front. */
export async function bundle(entry: string, file: string, url: string, banner = ''): Promise<Metafile> {
  const { metafile } = await build({
    absWorkingDir: ROOT,
    entryPoints: [entry],
    outfile: file,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node24', // the oldest that the package is for
    charset: 'ascii', // text of one octet a character takes half the memory
    minifyWhitespace: true,
    minifySyntax: true,
    legalComments: 'none', // they are in LICENSES.txt
    metafile: true,
    define: { 'import.meta.url': url },
    banner: { js: `${LATE}${banner}` },
    plugins: [
      leftOut,
      {
        name: 'commit',
        setup: ({ onLoad }) =>
          onLoad({ filter: /src\/commands\/build\.ts$/ }, () => ({
            contents: `export const commit = () => ${JSON.stringify(commit())};`,
          })),
      },
    ],
    logLevel: 'warning',
  });
  writeFileSync(file, inAscii(readFileSync(file, 'utf8').replace(DEAR, 'late("$1")')));
  return metafile;
}

/** esbuild's charset leaves regular expressions as they are, and what runs a bundle takes each octet for a character. */
function inAscii(script: string): string {
  return script.replace(/[^\x00-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** What gives a bundle that is run as a script what a module has. */
export function asFunction(file: string): void {
  const text = readFileSync(file, 'latin1').replace(/^#!.*\n/, '');
  writeFileSync(file, `(function (require, module, exports, __dirname) {${text}})`, 'latin1');
}

/** The code that V8 makes of such a script, as it is after the firewall has started once. `name` is what it will run as. */
export function compileAhead(file: string, code: string, name: string): void {
  const args = [LONG_RUNNING, '--hash-seed=1', '--random-seed=1', join(import.meta.dirname, 'compile-ahead.cjs')];
  execFileSync(process.execPath, [...args, file, code, name], { stdio: ['ignore', 'ignore', 'pipe'] });
}
