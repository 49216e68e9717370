// What esbuild makes of the source: one script of an entry and of all that it imports, the packages that it runs on too.
//
// A start from one script takes half the time of one from two hundred files (bench/README.md). Names stay as they are, so that a stack
// trace says where something happened.

import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build, type Metafile } from 'esbuild';
import { commit } from './commit.ts';

export const ROOT = join(import.meta.dirname, '..');

process.umask(0o022); // whoever builds may let nobody read what he writes, and a package takes that along

/** As main.ts says it where it may. V8 takes no code that was made under other options. */
export const LONG_RUNNING = '--max-semi-space-size=4';

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
    banner: { js: banner },
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
