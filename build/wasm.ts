// npm run wasm: makes WebAssembly of the .wat files, as text that is imported like any other. test/smtp/line-dots.test.ts says when it is
// due.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import openWabt from 'wabt';

const FOLDER = join(import.meta.dirname, '../src/smtp');

/** The text of NAME-code.ts. */
export async function compiled(name: string): Promise<string> {
  const wabt = await openWabt();
  const module = wabt.parseWat(`${name}.wat`, readFileSync(join(FOLDER, `${name}.wat`), 'utf8'), { simd: true });
  const { buffer } = module.toBinary({});
  module.destroy();
  const base64 = Buffer.from(buffer).toString('base64');
  const lines = base64.match(/.{1,110}/g) ?? [];
  return `// Made of ${name}.wat by \`npm run wasm\`.

/** Base64. */
export const CODE =
${lines.map((line) => `  '${line}'`).join(' +\n')};
`;
}

if (import.meta.main) writeFileSync(join(FOLDER, 'line-dots-code.ts'), await compiled('line-dots'));
