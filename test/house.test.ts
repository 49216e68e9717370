// The plan of the house, kept true: who may import whom, and what the pure rooms may not touch (ARCHITECTURE.md).
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { basename, dirname, join, normalize } from 'node:path';
import { test } from 'node:test';
import { LAWS } from './mutants/laws.ts';

const ROOT = join(import.meta.dirname, '..');

/** Room → rooms and packages it may import, beside itself and node's own modules. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  smtp: [],
  policy: ['smtp', 'ipaddr.js'],
  limits: ['ioredis', 'lru-cache'],
  proxy: ['observe', 'smtp', 'ipaddr.js', 'lru-cache'],
  observe: ['smtp', 'pino', 'prom-client'],
  demo: [],
  status: [],
  config: ['policy', 'yaml', 'zod'],
  serve: ['config', 'limits', 'observe', 'policy', 'proxy', 'smtp', 'status'],
  'moving-in': ['config', 'policy', 'saxes', 'smtp', 'status', 'yaml', 'yauzl'],
  commands: ['config', 'demo', 'limits', 'moving-in', 'observe', 'policy', 'proxy', 'serve', 'smtp', 'status'],
};

interface Import {
  readonly file: string;
  readonly from: string;
  /** The room of a file of ours, or the name of a package; null for node's own, and for package.json. */
  readonly what: string | null;
}

function importsOf(file: string): Import[] {
  const source = readFileSync(join(ROOT, file), 'utf8');
  const written = /^(?:import|export)\s[^;]*?from\s+'([^']+)'|\bimport\('([^']+)'\)/gm;
  return [...source.matchAll(written)].map(([, from, whenWanted]) => {
    const target = (from ?? whenWanted) as string;
    if (target.startsWith('node:')) return { file, from: target, what: null };
    if (!target.startsWith('.')) return { file, from: target, what: target };
    return { file, from: target, what: normalize(join(dirname(file), target)).split('/')[1] ?? null };
  });
}

/** Files of ours. */
function importedBy(file: string): string[] {
  return importsOf(file)
    .filter(({ from }) => from.startsWith('.') && from.endsWith('.ts'))
    .map(({ from }) => normalize(join(dirname(file), from)));
}

function filesOf(room: string): string[] {
  return globSync(`src/${room}/**/*.ts`, { cwd: ROOT });
}

for (const [room, allowed] of Object.entries(MAY_IMPORT)) {
  test(`${room}/ imports only ${['itself', ...allowed].join(', ')}`, () => {
    const files = filesOf(room);
    assert.notEqual(files.length, 0);
    for (const { file, from, what } of files.flatMap(importsOf)) {
      assert.ok(what === null || what === room || allowed.includes(what), `${file} imports ${from}`);
    }
  });
}

// UTF-8 and A-labels: functions of their arguments.
const PURE_MODULES = new Set(['node:buffer', 'node:url']);

for (const room of ['smtp', 'policy']) {
  test(`${room}/ has no clock, no randomness, no sockets and no files`, () => {
    for (const file of filesOf(room)) {
      const source = readFileSync(join(ROOT, file), 'utf8').replace(/\/\/.*|\/\*[\s\S]*?\*\//g, '');
      const impure = /Date\.now|new Date\(\)|performance\.|Math\.random|setTimeout|setInterval|process\./.exec(source);
      assert.equal(impure, null, `${file}: ${impure?.[0]}`);
      for (const { from, what } of importsOf(file)) {
        assert.ok(what !== null || PURE_MODULES.has(from), `${file} imports ${from}`);
      }
    }
  });
}

test('no import goes in a circle', () => {
  const files = globSync('src/**/*.ts', { cwd: ROOT });
  const imports = new Map(files.map((file) => [file, importedBy(file)]));
  const done = new Set<string>();
  const walk = (file: string, way: readonly string[]): void => {
    assert.ok(!way.includes(file), [...way.slice(way.indexOf(file)), file].join(' → '));
    if (done.has(file)) return;
    for (const next of imports.get(file) ?? []) walk(next, [...way, file]);
    done.add(file);
  };
  for (const file of files) walk(file, []);
});

test('only main.ts ends the process', () => {
  for (const file of globSync('src/**/*.ts', { cwd: ROOT })) {
    const ends = readFileSync(join(ROOT, file), 'utf8').includes('process.exit(');
    assert.equal(ends, file === 'src/main.ts', file);
  }
});

// An old Node reads main.ts as CommonJS, and says which Node is needed; all the rest is modules.
test('main.ts is CommonJS, and every room says that it is modules', () => {
  const type = (folder: string) => JSON.parse(readFileSync(join(ROOT, folder, 'package.json'), 'utf8')).type;
  assert.equal(type('src'), 'commonjs');
  for (const room of globSync('src/*/', { cwd: ROOT })) assert.equal(type(room), 'module', room);
});

test('a command does not import another', () => {
  const chooser = readFileSync(join(ROOT, 'src/commands/command-line.ts'), 'utf8');
  const commands = [...chooser.matchAll(/\bimport\('\.\/(\w+)\.ts'\)/g)].map(([, name]) => name as string);
  assert.ok(commands.includes('run'), 'the table of commands');
  for (const command of commands) {
    const file = `src/commands/${command}.ts`;
    for (const { from } of importsOf(file)) {
      assert.ok(!commands.some((other) => other !== command && from === `./${other}.ts`), `${file} imports ${from}`);
    }
  }
});

test('ARCHITECTURE.md names every file of every room, and none that is not there', () => {
  const text = readFileSync(join(ROOT, 'ARCHITECTURE.md'), 'utf8');
  for (const [, room = '', list = ''] of text.matchAll(/^- \*\*`([\w-]+)\/`\*\* – (.*(?:\n {2}.*)*)/gm)) {
    const named = [...list.matchAll(/`(?:\w+\/)?([\w-]+(?:\.\d[\w-]*)?)`/g)].map(([, name]) => name as string);
    const there = filesOf(room).map((file) => basename(file, '.ts'));
    assert.deepEqual([...new Set(named)].toSorted(), [...new Set(there)].toSorted(), `${room}/`);
  }
  const listed = [...text.matchAll(/^- \*\*`([\w-]+)\/`\*\* – /gm)].map(([, room]) => room as string);
  assert.deepEqual(listed.toSorted(), Object.keys(MAY_IMPORT).toSorted());
});

test('every dependency has its reason in ARCHITECTURE.md, and none is missing from package.json', () => {
  const text = readFileSync(join(ROOT, 'ARCHITECTURE.md'), 'utf8');
  const table = text.slice(text.indexOf('## Dependencies'), text.indexOf('*development:*'));
  const reasons = [...table.matchAll(/^\| ([a-z.-]+) \| [^|]+\|$/gm)]
    .map(([, name]) => name)
    .filter((name) => name !== 'package');
  const { dependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { dependencies: object };
  assert.deepEqual(reasons, Object.keys(dependencies));
});

test('no file of the source is longer than one sits down to', () => {
  for (const file of globSync('src/**/*.ts', { cwd: ROOT })) {
    const lines = readFileSync(join(ROOT, file), 'utf8').split('\n').length;
    assert.ok(lines <= 400, `${file} has ${lines} lines: split it by noun`);
  }
});

test('every rule of the dialogue can be switched off where its table says', () => {
  for (const { file, from, off } of LAWS)
    assert.equal(
      readFileSync(join(ROOT, file), 'utf8').split(from).length,
      2,
      `${off}: ${file} must have this once: ${from}`,
    );
});
