// The licences of what is bundled: of Postern, of Node where it is inside, and of every package.

import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Metafile } from 'esbuild';
import packageFile from '../package.json' with { type: 'json' };
import { ROOT } from './bundle.ts';

/** Of every package that is in these bundles, and of `more` (Node's, where that is inside). */
export function licenses(metafiles: readonly Metafile[], ...more: readonly string[]): string {
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
  const own = readFileSync(join(ROOT, 'LICENSE'), 'utf8').trim();
  return [`postern ${packageFile.version} (${packageFile.license})\n\n${own}`, ...more, ...parts].join(
    `\n\n${'-'.repeat(72)}\n\n`,
  );
}
