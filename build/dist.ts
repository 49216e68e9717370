// npm run build: dist/, as the published package has it.
//
// main.js is the small front that an old Node can read too, postern.js all that it runs, through program.cjs, and worker.cjs what a worker
// thread runs. postern.code is what V8 makes of postern.js here: of use to this Node alone, so the published package goes without.
//
//   node build/dist.ts

import { copyFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { PROGRAM_FILES, placeOf, WORKER_BUNDLED } from '../src/serve/program-files.ts';
import { asFunction, bundle, compileAhead, ROOT } from './bundle.ts';
import { licenses } from './licenses.ts';

const OUT = join(ROOT, 'dist');
const ITSELF =
  'const url = require("node:url").pathToFileURL(require("node:path").join(__dirname, "postern.js")).href;';

rmSync(OUT, { recursive: true, force: true });
mkdirSync(OUT);
await front('src/main.ts', 'program.cjs');
const bundled = [
  await bundle('src/commands/command-line.ts', join(OUT, 'postern.js'), 'url', ITSELF),
  await bundle('src/serve/worker.ts', join(OUT, WORKER_BUNDLED), 'url', ITSELF),
];
for (const [name, where] of Object.entries(PROGRAM_FILES)) copyFileSync(placeOf(where), join(OUT, name));
asFunction(join(OUT, 'postern.js'));
copyFileSync(join(import.meta.dirname, 'program.cjs'), join(OUT, 'program.cjs'));
compileAhead(join(OUT, 'postern.js'), join(OUT, 'postern.code'), join(OUT, 'postern.js'));
writeFileSync(join(OUT, 'LICENSES.txt'), licenses(bundled));
copyFileSync(join(ROOT, 'src/package.json'), join(OUT, 'package.json'));

/** The entry, which asks for another file only when it is sure of its Node. */
async function front(entry: string, asks: string): Promise<void> {
  await build({
    absWorkingDir: ROOT,
    entryPoints: [entry],
    outdir: OUT,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node12',
    supported: { 'dynamic-import': false }, // require() is the quicker one, and waits no less
    plugins: [
      {
        name: 'the rest',
        setup: ({ onResolve }) => onResolve({ filter: /^\.\/commands/ }, () => ({ path: `./${asks}`, external: true })),
      },
    ],
    logLevel: 'warning',
  });
}
