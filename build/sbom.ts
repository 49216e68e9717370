// npm run sbom: sbom.cdx.json, what Postern is made of, as CycloneDX: npm's own, of the lock file, without what only builds and tests.
//
// That is left out here, by npm's own marks: its --omit dev leaves out what Postern runs on too, where something that only builds or
// tests needs it as well (findings/npm-sbom-omit-dev-leaves-out.sh).
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

interface Component {
  readonly 'bom-ref': string;
  readonly properties?: readonly { readonly name: string }[];
}

interface Bom {
  serialNumber?: string;
  readonly metadata: { timestamp: string; readonly component: { name: string } };
  components: Component[];
  dependencies: { readonly ref: string; readonly dependsOn: readonly string[] }[];
}

export function writeSbom(file: string, withNode: boolean): void {
  const args = ['sbom', '--package-lock-only', '--sbom-format', 'cyclonedx', '--sbom-type', 'application'];
  const bom = JSON.parse(execFileSync('npm', args, { cwd: ROOT, encoding: 'utf8', maxBuffer: 1 << 26 })) as Bom;
  leaveOutDevelopment(bom);
  delete bom.serialNumber;
  bom.metadata.timestamp = commitTime().toISOString();
  bom.metadata.component.name = packageFile.name;
  if (withNode) bom.components.push(node());
  const hex = createHash('sha256').update(JSON.stringify(bom)).digest('hex');
  // RFC 9562 §5.8: a UUID of one's own making is version 8.
  bom.serialNumber = `urn:uuid:${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
  writeFileSync(file, `${JSON.stringify(bom, null, 2)}\n`);
}

function leaveOutDevelopment(bom: Bom): void {
  const isDevelopment = ({ properties = [] }: Component): boolean =>
    properties.some(({ name }) => name === 'cdx:npm:package:development');
  const left = new Set(bom.components.filter(isDevelopment).map((component) => component['bom-ref']));
  bom.components = bom.components.filter((component) => !left.has(component['bom-ref']));
  bom.dependencies = bom.dependencies
    .filter(({ ref }) => !left.has(ref))
    .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((one) => !left.has(one)) }));
}

function node(): Component & Record<string, unknown> {
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
