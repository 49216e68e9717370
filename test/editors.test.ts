// What an editor does with our files: yaml-language-server, which VS Code's YAML extension and many others run, reads the
// schema that each shipped file names.
import assert from 'node:assert/strict';
import { copyFileSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { LanguageServer } from './helpers/language-server.ts';

const POLICIES = join(import.meta.dirname, '../policies');
const SHIPPED = globSync('*.yaml', { cwd: POLICIES }).toSorted();
const MODELINE = /^# yaml-language-server: \$schema=(\S+)\n/;

test('every shipped configuration and policy names its schema, which lies beside it', () => {
  assert.ok(SHIPPED.length >= 9);
  for (const name of SHIPPED) {
    const text = readFileSync(join(POLICIES, name), 'utf8');
    const wanted = name === 'postern.yaml' ? 'postern.schema.json' : 'policy.schema.json';
    assert.equal(MODELINE.exec(text)?.[1], wanted, name);
    assert.match(readFileSync(join(POLICIES, wanted), 'utf8'), /"title": "Postern /);
  }
});

test('an editor has nothing against what is shipped', async (t) => {
  const server = await LanguageServer.start(t, POLICIES);
  for (const name of SHIPPED) {
    const file = join(POLICIES, name);
    assert.deepEqual(await server.open(file, readFileSync(file, 'utf8')), [], name);
  }
});

test('an editor completes and explains keys, and underlines a wrong one, beside a copied schema', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'postern-editor-'));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const name of ['postern.schema.json', 'policy.schema.json'])
    copyFileSync(join(POLICIES, name), join(folder, name));
  const server = await LanguageServer.start(t, folder);

  const office = join(folder, 'office.yaml');
  const text =
    '# yaml-language-server: $schema=policy.schema.json\nversion: 1\naccepted_domain: [example.com]\n' +
    'connectors:\n  - name: internet\n    starttls: \n    \n';
  const wrong = await server.open(office, text);
  assert.ok(
    wrong.some(({ message, range }) => /accepted_domain is not allowed/.test(message) && range.start.line === 2),
    JSON.stringify(wrong),
  );
  const keys = await server.complete(office, 6, 4);
  assert.match(keys.get('remote_ip_ranges') ?? '', /^The clients that the connector is for/);
  assert.ok(keys.has('rules') && !keys.has('name'), [...keys.keys()].join(' '));
  const values = await server.complete(office, 5, 14);
  assert.deepEqual(
    ['hide', 'terminate', 'passthrough'].filter((value) => !values.has(value)),
    [],
  );
  assert.match(await server.hover(office, 3, 2), /Which clients may do what/);

  const config = join(folder, 'postern.yaml');
  const said =
    '# yaml-language-server: $schema=postern.schema.json\nupstream: { servers: [a:25], max_connections: 5 }\npolicy: office.yaml\nmode: observ\n';
  const [diagnostic] = await server.open(config, said);
  assert.match(diagnostic?.message ?? '', /enforce/);
  assert.equal(diagnostic?.range.start.line, 3);
  assert.match(await server.hover(config, 1, 35), /How many sessions the servers behind have at most/);
});
