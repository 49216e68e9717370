// SECURITY.md and the tests that it names: each promise stands on the page, each test in its file, and no promise goes without.
//
// Whether a test shows what is said of it is for a reader to judge.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

const read = (file: string): string => readFileSync(new URL(`../${file}`, import.meta.url), 'utf8');
/** Lines may be broken anywhere, and bold or not. */
const flat = (text: string): string => text.replaceAll('**', '').replace(/\s+/g, ' ').toLowerCase();

const [page = '', table = ''] = read('SECURITY.md').split('## Which test shows it');

interface Row {
  readonly promise: string;
  readonly file: string;
  readonly name: string;
}

function rows(): Row[] {
  let last = '';
  return [...table.matchAll(/^\| (.*?)\s*\| `(test\/\S+)`: (.*) \|$/gm)].map(
    ([, promise = '', file = '', name = '']) => {
      last = promise || last;
      return { promise: last, file, name };
    },
  );
}

test('every line of the table names a promise of the page and a test that there is', () => {
  const lines = table.match(/^\|.*/gm) ?? [];
  assert.equal(rows().length, lines.length - 2, 'a line that cannot be read');
  for (const { promise, file, name } of rows()) {
    assert.ok(flat(page).includes(flat(promise)), `SECURITY.md does not promise: ${promise}`);
    assert.ok(flat(read(file)).includes(flat(name)), `${file} has no test: ${name}`);
  }
});

/** The points of a list, each in one line. */
const points = (text = ''): string[] => text.split(/^- /m).slice(1).map(flat);

test('every promise has a test', () => {
  const [clients = '', operators = ''] = page.split("## The operator's side");
  const promises = [...points(clients.split('Not promised')[0]), ...points(operators)];
  assert.ok(promises.length >= 12);
  const shown = rows().map(({ promise }) => flat(promise));
  for (const promise of promises) {
    assert.ok(
      shown.some((words) => promise.includes(words)),
      `nothing shows: ${promise}`,
    );
  }
});
