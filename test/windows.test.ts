// What in the source stands on the system that it runs on: signals, users and modes, paths, sockets, error codes. Each is named here,
// with the reason why it is right on Windows, where nothing of this can be run (docs/windows.md). A new one turns this red: see
// what Node's documentation says of it on Windows, then write that down. test/commands/as-on-windows.test.ts tries what can be tried.
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

const ROOT = join(import.meta.dirname, '..');

// ENODATA is an answer of DNS here.
const errorCodes = Object.keys(constants.errno)
  .filter((code) => code !== 'ENODATA')
  .join('|');
const onStrings = 'split|startsWith|endsWith|includes|indexOf|lastIndexOf|join|replace|replaceAll';

/** Kind → how it looks. What stands in comments does not count. */
const KINDS: Readonly<Record<string, RegExp>> = {
  signal: /'SIG[A-Z0-9]+'|\.kill\(/g,
  process:
    /\bprocess\.(?:kill|get[eug]+id|getgroups|set[eug]+id|setgroups|initgroups|umask|ppid|send|stdin|platform)\b|\bexecve\(/g,
  permission:
    /\b0o\d+\b|\b[fl]?ch(?:mod|own)\w*\(|\b(?:symlink|readlink|link|realpath)(?:Sync)?\(|\.(?:uid|gid|ino|dev)\b|\.mode &/g,
  place: /(['"`])\/(?:proc|dev|etc|tmp|var|run|bin|usr|home|opt|sys|root)\b[^'"`]*\1|\btmpdir\(/g,
  socket: /\breusePort(?=[:,] )|\bsocketPath\b|\.sock\b|\bipc\b|listen\(\{? *path\b|connect\(\{? *path\b/g,
  flag: /\bO_[A-Z]+\b/g,
  error: new RegExp(`'(?:${errorCodes})'|\\b(?:${errorCodes})(?=:)`, 'g'),
  program: /node:(?:child_process|cluster|tty|repl)\b|\bnew Worker\(/g,
  'place of a file': /\bimport\.meta\.\w+|\bfileURLToPath\(|\b__dirname\b|\b__filename\b/g,
  'file that changes': /(?<!\.|#|^ +)\bwatch(?:File)?\(|\brenameSync\(|\bfsyncSync\(/gm,
};
/** Only where a file has to do with files: elsewhere a slash stands in networks, rates and limits. */
const OF_PATHS = new RegExp(
  `\\.(?:${onStrings})\\((['"\`])(?:/|\\\\\\\\\\1)|\\\`[^\\\`]*\\}/[\\w$.]|\\.pathname\\b`,
  'g',
);

/** File, what of it, why. */
const SAFE: readonly (readonly [file: string, found: readonly string[], why: string])[] = [
  [
    'main.ts',
    ['process.platform', 'execve(', 'process.send', '__dirname', '}/.'],
    'no execve on Windows; a path with both slashes is one; send is only asked for',
  ],
  [
    'commands/run.ts',
    ["'SIGTERM'", "'SIGINT'", "'SIGBREAK'", "'SIGHUP'", 'process.platform'],
    'Ctrl+C, Ctrl+Break and a console that is closed drain; postern reload reads anew',
  ],
  ['commands/admin-port.ts', ["'ECONNREFUSED'"], 'an error that libuv names so on Windows too'],
  [
    'commands/build.ts',
    ['node:child_process', 'import.meta.dirname'],
    'git.exe, for --version and from the source alone; without it no commit is told',
  ],
  [
    'commands/demo.ts',
    ["'SIGINT'", "'SIGTERM'"],
    'Ctrl+C comes as SIGINT; a SIGTERM may be listened for and never comes',
  ],
  ['commands/inventory.ts', ["'SIGINT'", "'SIGTERM'"], 'the same'],
  ['commands/logs.ts', ["'SIGINT'", "'SIGTERM'"], 'the same'],
  ['commands/status.ts', ["'SIGINT'", "'SIGTERM'", "'SIGHUP'"], 'the same; a console that is closed ends it'],
  [
    'commands/demo/moving-in.ts',
    ["'SIGINT'", "'SIGTERM'", 'tmpdir('],
    'the same; the folder is the system’s own, and rmSync tries again while Windows holds it',
  ],
  ['commands/output.ts', ["'EPIPE'"], 'so libuv calls ERROR_BROKEN_PIPE too'],
  [
    'commands/probe/dialogue.ts',
    ["'ECONNREFUSED'", "'EHOSTUNREACH'", "'ENETUNREACH'", "'ETIMEDOUT'", "'EADDRNOTAVAIL'", "'EINVAL'"],
    'libuv gives the codes of Winsock these names; another is told as the system words it',
  ],
  [
    'config/host.ts',
    ["'/proc/net/route'", "'/proc/net/ipv6_route'", "'/proc/self/limits'", 'process.platform', 'node:child_process'],
    'route.exe tells the gateways there; what is not there is not known, and said',
  ],
  [
    'config/source.ts',
    [".includes('\\\\'", "'ENOENT'", "'EISDIR'", "'EACCES'", "'EPERM'", "'EBUSY'"],
    'EPERM and EBUSY are what Windows says; the backslash is one in YAML',
  ],
  [
    'demo/postern-child.ts',
    ['node:child_process', '.kill('],
    'there it ends the child at once, which has no mail under way by then',
  ],
  [
    'moving-in/inputs.ts',
    ['process.stdin', "'EACCES'", "'EPERM'"],
    'EPERM is what Windows says; names in .zip have slashes',
  ],
  ['moving-in/read-logs.ts', ['process.stdin'], 'a pipe there too'],
  [
    'moving-in/whole-file.ts',
    ['realpathSync(', '0o600', 'renameSync(', 'fsyncSync('],
    'renaming replaces there too; who may read it is the folder’s to say, as the mode has no effect',
  ],
  [
    'observe/log-sink.ts',
    ["'EAGAIN'", "'ENOSPC'", "'EDQUOT'", "'EINTR'"],
    'a full disk is ENOSPC there too, and the others do not come',
  ],
  [
    'observe/relayed-file.ts',
    ['O_APPEND', 'O_CREAT', 'O_NONBLOCK', 'O_WRONLY', '0o640'],
    'the flag that is not there is left out; who may read it is the folder’s to say',
  ],
  [
    'observe/shortage-causes.ts',
    ['EMFILE', 'ENFILE', 'EADDRNOTAVAIL', 'ENOBUFS', 'ENOMEM', 'process.platform'],
    'the port that is wanted is ENOBUFS there, and says so',
  ],
  [
    'proxy/call.ts',
    ["'EMFILE'", "'ENFILE'", "'EADDRNOTAVAIL'", "'ENOBUFS'", "'ENOMEM'", "'ECONNRESET'", "'ECONNABORTED'", "'EPIPE'"],
    'ECONNABORTED is Windows’ own word for a peer that is gone',
  ],
  [
    'proxy/listener.ts',
    ['reusePort', "'EAFNOSUPPORT'", 'EADDRINUSE', 'EACCES', 'EADDRNOTAVAIL', 'EAFNOSUPPORT', 'process.platform'],
    'more than one worker is refused where ports cannot be shared; EACCES has a sentence of its own there',
  ],
  ['proxy/tcp-handles.ts', ['process.platform'], 'no handles on Windows: net.Socket'],
  ['proxy/upstream-tls.ts', ["'ECONNRESET'"], 'so libuv calls WSAECONNRESET too; any other is told as it is worded'],
  [
    'serve/program-files.ts',
    ['import.meta.url', 'fileURLToPath(', 'new Worker('],
    'URLs as URLs, and paths of them by fileURLToPath; in the one file neither is asked',
  ],
  ['serve/watched-files.ts', ['watch('], 'folders are watched, which Windows does best; their names are not used'],
];

function found(file: string): Set<string> {
  const source = readFileSync(join(ROOT, 'src', file), 'utf8')
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/(^|\s)\/\/ .*$/gm, '$1');
  const all = [...Object.values(KINDS).flatMap((kind) => [...source.matchAll(kind)])];
  if (/from 'node:(?:fs|path)(?:\/promises)?'|__dirname/.test(source)) all.push(...source.matchAll(OF_PATHS));
  return new Set(all.map(([text]) => (text.startsWith('`') ? text.slice(-3) : text)));
}

test('what stands on the system is named, with the reason why it is right on Windows', () => {
  const safe = new Map(SAFE.map(([file, what]) => [file, new Set(what)]));
  assert.equal(safe.size, SAFE.length, 'each file once');
  for (const file of globSync('**/*.ts', { cwd: join(ROOT, 'src') }).toSorted()) {
    const [there, named] = [found(file), safe.get(file) ?? new Set<string>()];
    const fresh = [...there].filter((what) => !named.has(what));
    const gone = [...named].filter((what) => !there.has(what));
    assert.deepEqual(fresh, [], `src/${file}: is this right on Windows? Name it in test/windows.test.ts`);
    assert.deepEqual(gone, [], `src/${file}: no longer there, so take it out of test/windows.test.ts`);
    safe.delete(file);
  }
  assert.deepEqual([...safe.keys()], [], 'files that are no longer there');
});
