// Installs node_modules when it is missing or older than package-lock.json, so that `npm run demo` and `npm test` work
// in a fresh clone. Said `missing`, it leaves alone what is only older, for `npm start`: a firewall that starts again must not want a
// registry.
//
// Runs before anything is installed: plain JavaScript, no dependency, Node 18 or later. It never changes the lock file
// and never updates a package; that is `npm install`, said by a person.
import { spawnSync } from 'node:child_process';
import { lstatSync, statSync } from 'node:fs';

/** Milliseconds since the epoch, 0 when there is no such file. */
function modifiedAt(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

process.chdir(new URL('../..', import.meta.url).pathname);

// The Node that npm brings (node_modules/node) wants a library that a small Debian is without: libatomic1. It must be there before npm
// runs, as npm has that Node run what packages do when they are installed.
const libraries =
  process.platform === 'linux' ? spawnSync('/sbin/ldconfig', ['-p'], { encoding: 'utf8' }).stdout : null;
if (libraries?.includes('libc.so.6') && !libraries.includes('libatomic.so.1') && process.getuid() === 0) {
  console.error('postern: the Node that npm brings wants libatomic1: apt-get install libatomic1');
  const install = 'apt-get -q -y install --no-install-recommends libatomic1';
  spawnSync('sh', ['-c', `${install} || { apt-get -q update && ${install}; }`], { stdio: 'inherit' });
}

// npm writes node_modules/.package-lock.json last: an install that was interrupted does not count as one.
const wanted = process.argv[2] === 'missing' ? 1 : modifiedAt('package-lock.json');
// Behind a link are the packages of another tree, which `npm ci` would remove.
const isLink = lstatSync('node_modules', { throwIfNoEntry: false })?.isSymbolicLink() === true;
if (!isLink && modifiedAt('node_modules/.package-lock.json') < wanted) {
  console.error(
    'postern: node_modules is missing or older than package-lock.json: npm ci, which takes a minute or some',
  );
  // npm would warn of every package that the machine's own Node is too old for; they run on the one that npm brings.
  const { status } = spawnSync('npm', ['ci', '--loglevel=error'], {
    stdio: 'inherit',
    shell: process.platform === 'win32',
  });
  process.exitCode = status ?? 1;
  if (status !== 0)
    console.error(
      'postern: npm ci has failed, and says why above. Where it names libatomic.so.1: install libatomic1 (Debian, Ubuntu) or libatomic, then again.',
    );
}

// Whoever runs this by the Node that npm has brought has what it wants.
const node = 'node_modules/node/bin/node';
if (process.platform === 'linux' && (process.exitCode ?? 0) === 0 && !process.execPath.endsWith(node)) {
  const { status, stderr } = spawnSync(node, ['--version'], { encoding: 'utf8' });
  if (status !== 0) {
    const hint = `${stderr}`.includes('libatomic') ? ' Install libatomic1 (Debian, Ubuntu) or libatomic.' : '';
    console.error(`postern: the Node that npm has brought does not start: ${`${stderr}`.trim()}.${hint}`);
    process.exitCode = 1;
  }
}
