// npm run sbom: sbom.cdx.json, what Postern is made of, as CycloneDX: npm's own, of the lock file, without what only builds and tests.
//
// The same octets for the same source: npm says when it was asked, in which folder, and a number by chance; here it is the time
// of the commit, the name of the package, and a number made of the rest. `node build/sbom.ts FILE --node`: with the Node.js that is in
// the one file and the Debian package.

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import packageFile from '../package.json' with { type: 'json' };
import { commitTime } from './commit.ts';

const ROOT = join(import.meta.dirname, '..');

interface Bom {
  serialNumber?: string;
  readonly metadata: { timestamp: string; readonly component: { name: string } };
  readonly components: object[];
}

export function writeSbom(file: string, withNode: boolean): void {
  const args = [
    'sbom',
    '--package-lock-only',
    '--omit',
    'dev',
    '--sbom-format',
    'cyclonedx',
    '--sbom-type',
    'application',
  ];
  const bom = JSON.parse(execFileSync('npm', args, { cwd: ROOT, encoding: 'utf8' })) as Bom;
  delete bom.serialNumber;
  bom.metadata.timestamp = commitTime().toISOString();
  bom.metadata.component.name = packageFile.name;
  if (withNode) bom.components.push(node());
  const hex = createHash('sha256').update(JSON.stringify(bom)).digest('hex');
  // RFC 9562 §5.8: a UUID of one's own making is version 8.
  bom.serialNumber = `urn:uuid:${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
  writeFileSync(file, `${JSON.stringify(bom, null, 2)}\n`);
}

function node(): object {
  const version = process.version.slice(1);
  return {
    'bom-ref': `node@${version}`,
    type: 'framework',
    name: 'Node.js',
    version,
    purl: `pkg:generic/nodejs@${version}`,
    licenses: [{ license: { id: 'MIT' } }],
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [file = 'sbom.cdx.json', option] = process.argv.slice(2);
  writeSbom(file, option === '--node');
}
