// npm run package:deb: the Debian package, put together by Debian's own tools (dpkg-buildpackage with debhelper) of the one file to
// run and what stands in deploy/debian. Then lintian looks at it.
//
// It brings its Node.js along: Debian stable has one that is too old, and no other source of one is as near as the package itself.
// Only for the processor of this machine: dpkg-shlibdeps wants the libraries of the other.
//
//   node build/deb.ts [VERSION]     as that version; behind `npm run package`

import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, cpSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import packageFile from '../package.json' with { type: 'json' };
import { commitTime } from './commit.ts';

const ROOT = join(import.meta.dirname, '..');
const WORK = join(process.env.POSTERN_CACHE ?? join(ROOT, '.cache'), 'deb');
const OUT = join(ROOT, 'packages');
const [version = packageFile.version] = process.argv.slice(2);

const COMPLETIONS: Readonly<Record<string, string>> = {
  bash: 'usr/share/bash-completion/completions/postern',
  zsh: 'usr/share/zsh/vendor-completions/_postern',
  fish: 'usr/share/fish/vendor_completions.d/postern.fish',
};

const program = join(OUT, `postern-${packageFile.version}-linux-${process.arch}`);
const tree = join(WORK, `postern-${version}`);
rmSync(WORK, { recursive: true, force: true });
lay();
const day = commitTime();
writeFileSync(join(tree, 'debian/changelog'), changelog(day));
// What git says and not when it was built: the same octets each time.
const env = { ...process.env, SOURCE_DATE_EPOCH: String(day.getTime() / 1000), DEB_BUILD_OPTIONS: 'noautodbgsym' };
execFileSync('dpkg-buildpackage', ['--build=binary', '--no-sign'], {
  cwd: tree,
  env,
  stdio: ['ignore', 'ignore', 'inherit'],
});
const [made = ''] = globSync(`postern_${version}_*.deb`, { cwd: WORK });
copyFileSync(join(WORK, made), join(OUT, made));
process.stdout.write(`packages/${made}\n`);
execFileSync('lintian', ['--fail-on', 'error,warning,info', '--display-info', join(OUT, made)], {
  stdio: 'inherit',
});

/** The tree that debhelper installs, with debian/ beside it. */
function lay(): void {
  cpSync(join(ROOT, 'deploy/debian'), join(tree, 'debian'), { recursive: true });
  const put = (path: string, from: string | Buffer, mode = 0o644): void => {
    const to = join(tree, path);
    mkdirSync(join(to, '..'), { recursive: true });
    writeFileSync(to, from);
    chmodSync(to, mode);
  };
  const read = (path: string): Buffer => readFileSync(join(ROOT, path));
  put('usr/bin/postern', readFileSync(program), 0o755);
  put('etc/postern/postern.yaml', read('deploy/debian/postern.yaml'));
  for (const name of globSync('*.{yaml,cases,txt,json,md}', { cwd: join(ROOT, 'policies') }))
    put(`usr/share/postern/policies/${name}`, read(`policies/${name}`));
  for (const name of globSync('*.[15]', { cwd: join(ROOT, 'docs/man') })) put(`man/${name}`, read(`docs/man/${name}`));
  for (const [shell, path] of Object.entries(COMPLETIONS))
    put(path, execFileSync(program, ['completion', shell], { encoding: 'utf8' }));
  put('debian/postern.service', unit(read('deploy/postern.service').toString()));
  put('bundled-licences.txt', read('packages/LICENSES.txt'));
  put('README.Debian', read('deploy/debian/README.Debian'));
}

/** The unit that is for everybody, with the user and the folder of the package in it. */
function unit(text: string): string {
  const changed = text
    .replace(/^(?:#.*\n)+/, '')
    .replaceAll('/usr/bin/env postern', '/usr/bin/postern')
    .replace('DynamicUser=yes', 'User=postern\nGroup=postern\nLogsDirectory=postern')
    .replace('Description=', 'Documentation=man:postern(1) man:postern.yaml(5)\nDescription=');
  if (!changed.includes('User=postern')) throw new Error('deploy/postern.service has no DynamicUser=yes any more');
  return changed;
}

function changelog(date: Date): string {
  const stamp = date.toUTCString().replace('GMT', '+0000');
  return `postern (${version}) unstable; urgency=medium\n\n  * See CHANGELOG.md of the source.\n\n -- The Postern developers <postern@postern.example>  ${stamp}\n`;
}
