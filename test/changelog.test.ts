// CHANGELOG.md is in the form of Keep a Changelog, read by the package that others read it with.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parser } from 'keep-a-changelog';

const text = readFileSync(join(import.meta.dirname, '../CHANGELOG.md'), 'utf8');

test('the changelog can be read, and every entry stands under a kind', () => {
  const { releases } = parser(text, { autoSortReleases: false });
  const entries = releases.flatMap(({ changes }) => [...changes.values()].flat()).length;
  assert.equal(entries, text.match(/^- /gm)?.length);
});

test('no kind has two headings in one release', () => {
  for (const release of text.split(/^## /m).slice(1)) {
    const kinds = [...release.matchAll(/^### (.+)$/gm)].map(([, kind]) => kind);
    assert.deepEqual(kinds, [...new Set(kinds)], release.split('\n')[0]);
    for (const kind of kinds) assert.match(kind as string, /^(?:Added|Changed|Deprecated|Removed|Fixed|Security)$/);
  }
});
