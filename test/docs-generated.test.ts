// The pages of docs/ that are made of the code (npm run docs): each is current, and nothing that the product has is missing
// from the tables they are made of. That a line which is logged has only the fields that its table names is also asserted
// wherever other tests read the log (test/helpers/log-lines.ts).
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { keysOf, type Schema } from '../docs/generate/keys.ts';
import { everyLine } from '../docs/generate/log-examples.ts';
import { lineOf } from '../docs/generate/log-fields.ts';
import { everyMetric } from '../docs/generate/metrics.ts';
import { pages } from '../docs/generate/pages.ts';
import { jsonSchema } from '../src/config/schema.ts';
import { FIELDS } from '../src/observe/fields.ts';
import { LINES } from '../src/observe/lines.ts';
import * as replies from '../src/smtp/replies.ts';
import { assertKnown } from './helpers/log-lines.ts';

const ROOT = join(import.meta.dirname, '..');

function sourcesOf(pattern: string, ...not: readonly string[]): { file: string; source: string }[] {
  return globSync(pattern, { cwd: ROOT })
    .filter((file) => !not.some((start) => file.startsWith(start)))
    .map((file) => ({ file, source: readFileSync(join(ROOT, file), 'utf8') }));
}

for (const [name, text] of Object.entries(await pages())) {
  test(`docs/${name} is current`, () => {
    assert.equal(readFileSync(join(ROOT, 'docs', name), 'utf8'), text, 'run `npm run docs`');
  });
}

for (const kind of ['config', 'policy'] as const) {
  test(`every key of a ${kind} is described, in the JSON Schema too`, () => {
    const root = jsonSchema(kind) as Schema;
    const keys = [root, ...Object.values(root.$defs ?? {})].flatMap((schema) => keysOf(schema));
    assert.ok(keys.length > 70);
    const bare = keys.filter(({ schema }) => !/^[^\s].*\.$/.test(schema.description ?? '')).map(({ path }) => path);
    assert.deepEqual(bare, [], 'a key without a sentence: .describe() it in the schema');
  });
}

test('every reply is in the table, once, and says when', () => {
  const own = Object.values(replies).filter((value) => typeof value === 'object' && 'code' in value);
  const { EVERY_REPLY } = replies;
  assert.deepEqual(
    EVERY_REPLY.map(({ reply }) => reply),
    own.toSorted(
      (a, b) => EVERY_REPLY.findIndex(({ reply }) => reply === a) - EVERY_REPLY.findIndex(({ reply }) => reply === b),
    ),
  );
  assert.equal(new Set(EVERY_REPLY.map(({ reply }) => JSON.stringify(reply))).size, EVERY_REPLY.length);
  for (const { reply, when } of EVERY_REPLY) {
    const line = replies.formatReply(reply, true).toString('latin1');
    assert.match(line, /^[2-5]\d\d [245]\.\d\.\d{1,2} [ -~]+\r\n$/);
    assert.equal(line[0], reply.enhanced?.[0], line);
    assert.match(when, /^[A-Z].*\.$/);
  }
});

test('every key that a reply names is one', () => {
  const paths = (of: 'config' | 'policy') => keysOf(jsonSchema(of) as Schema).map(({ path }) => path);
  const known = new Set([...paths('config'), ...paths('policy')]);
  for (const { reply, keys } of replies.EVERY_REPLY)
    for (const key of keys) assert.ok(known.has(key), `${reply.text}: ${key}`);
});

test('no reply is made anywhere else', () => {
  for (const { file, source } of sourcesOf('src/**/*.ts', 'src/demo/', 'src/smtp/replies.ts')) {
    const made = /code:\s*[2-5]\d\d\b.*|['"`][2-5]\d\d \d\.\d\.\d[^'"`\n]*\\r\\n.*/.exec(source);
    assert.equal(made, null, `${file}: ${made?.[0]}`);
  }
});

test('every metric that the source or a document names is there, with its help', async () => {
  const metrics = await everyMetric();
  const names = new Set(
    metrics.flatMap(({ name, values }) => [name, ...values.map(({ metricName }) => metricName ?? name)]),
  );
  for (const { name, help } of metrics) assert.match(help, /^[A-Z].*\.$/, name);
  for (const { file, source } of sourcesOf('{src/**/*.ts,*.md,docs/*.md,deploy/**/*.md}', 'CHANGELOG.md')) {
    for (const [name] of source.matchAll(/\bpostern_[a-z_]*[a-z]\b(?![-.])/g))
      if (/_(total|seconds|up|bans|sessions|workers|missing|timestamp|addresses)$/.test(name))
        assert.ok(names.has(name), `${file}: ${name}`);
  }
});

test('every line of the log table can happen, and has the fields that it names', () => {
  const seen = new Set(everyLine().map((entry) => lineOf(entry)));
  for (const [name, line] of Object.entries(LINES)) assert.ok(seen.has(line), name);
  for (const entry of everyLine()) assertKnown(entry);
});

test('two lines of the log table are never taken for each other', () => {
  const texts = Object.values(LINES).map(({ text }) => text);
  assert.equal(new Set(texts).size, texts.length);
});

test('every field belongs to a line', () => {
  const used = new Set<string>(Object.values(LINES).flatMap(({ always, sometimes }) => [...always, ...sometimes]));
  const idle = Object.keys(FIELDS).filter(
    (name) => !used.has(name) && !['time', 'level', 'msg', 'worker'].includes(name),
  );
  assert.deepEqual(idle, []);
});

test('every line of the log goes through the table', () => {
  for (const { file, source } of sourcesOf(
    'src/{observe,serve,commands,proxy,limits}/**/*.ts',
    'src/observe/lines.ts',
  )) {
    const other = /\blog(?:ger)?(?:\.(?:trace|debug|info|warn|error|fatal)\b|\[).*/.exec(source);
    assert.equal(other, null, `${file}: ${other?.[0]}`);
  }
});
