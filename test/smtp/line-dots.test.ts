// The search for dots that may begin a line: the quick one finds what the plain one finds, wherever the dot stands.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { compiled } from '../../build/wasm.ts';
import { type DotSearch, plainSearch, vectorSearch } from '../../src/smtp/line-dots.ts';
import { MailData } from '../../src/smtp/mail-data.ts';

const RUNS = Number(process.env.POSTERN_FUZZ_RUNS ?? 1000);
const quick = vectorSearch() as DotSearch;

let times = 0;

/** The module as it is when it has just been loaded. */
function anew(): Promise<typeof import('../../src/smtp/line-dots.ts')> {
  return import(`../../src/smtp/line-dots.ts?${++times}`);
}

/** All that a search finds in a chunk, from an octet on. */
function dotsIn(search: DotSearch, chunk: Buffer, from: number): number[] {
  const found: number[] = [];
  search.begin();
  for (let at = search.next(chunk, from); at < chunk.length; at = search.next(chunk, at + 1)) found.push(at);
  return found;
}

test('this Node has the quick search, and its code is that of the text beside it', async () => {
  assert.ok(quick !== null);
  const file = join(import.meta.dirname, '../../src/smtp/line-dots-code.ts');
  assert.equal(readFileSync(file, 'utf8'), await compiled('line-dots'), 'run `npm run wasm`');
});

test('a dot is found at every place of a chunk, behind every octet, and not behind its end', () => {
  const memory = Buffer.alloc(80, 'x');
  for (let at = 1; at < 60; at++) {
    for (let before = 0; before < 256; before++) {
      memory.fill('x');
      memory[at - 1] = before;
      memory[at] = 0x2e;
      const chunk = memory.subarray(0, at + 1);
      const expected = before === 0 || before === 10 || before === 13 ? [at] : [];
      assert.deepEqual(dotsIn(plainSearch, chunk, 1), expected);
      assert.deepEqual(dotsIn(quick, chunk, 1), expected);
      assert.deepEqual(dotsIn(quick, memory.subarray(0, at), 1), [], 'behind the end of the chunk');
    }
  }
});

test('both find the same in any text, from any octet on', () => {
  const pieces = fc.array(
    fc.constantFrom('.', '\r', '\n', '\0', '\r\n', '\r\n.', '\n.', '..', 'x', 'text ', ' '.repeat(17), 'y'.repeat(40)),
    { maxLength: 60 },
  );
  fc.assert(
    fc.property(pieces, fc.nat(), (text, start) => {
      const chunk = Buffer.from(text.join(''), 'latin1');
      const from = 1 + (start % (chunk.length + 1));
      assert.deepEqual(dotsIn(quick, chunk, from), dotsIn(plainSearch, chunk, from));
    }),
    { numRuns: RUNS },
  );
});

test('chunks of any size are searched to their end, also where the memory of the search is full', () => {
  for (const length of [65_536, 131_055, 131_056, 131_057, 131_072, 400_000]) {
    for (const place of [1, 131_054, 131_055, 131_056, 131_057, length - 1]) {
      if (place >= length) continue;
      const chunk = Buffer.alloc(length, 'x');
      for (let dot = 500; dot < length; dot += 1000) chunk[dot] = 0x2e;
      chunk[place - 1] = 0x0a;
      chunk[place] = 0x2e;
      assert.deepEqual(dotsIn(quick, chunk, 1), [place], `${place} of ${length}`);
    }
  }
});

test('what a chunk held before, or another chunk holds, is not found in it', () => {
  const chunk = Buffer.from(`${'x'.repeat(50)}\n.${'x'.repeat(50)}`);
  const other = Buffer.from(`${'x'.repeat(70)}\n.${'x'.repeat(50)}`);
  quick.begin();
  assert.equal(quick.next(chunk, 1), 51);
  assert.equal(quick.next(other, 1), 71);
  assert.equal(quick.next(chunk, 1), 51);
  chunk.fill('x');
  quick.begin();
  assert.equal(quick.next(chunk, 1), chunk.length);
  const reused = Buffer.from(`\n.${'x'.repeat(30)}\n.`);
  quick.begin();
  assert.equal(quick.next(reused, 1), 1);
  reused.fill('x');
  quick.begin();
  assert.equal(quick.next(reused, 2), reused.length);
});

test('a dot before those that were found last is found as well', () => {
  const chunk = Buffer.from(`${'x'.repeat(10)}\n.${'x'.repeat(38)}\n..`);
  for (const search of [quick, plainSearch]) {
    search.begin();
    for (const [from, found] of [
      [40, 51],
      [50, 51],
      [1, 11],
      [52, 53],
      [51, 51],
      [1, 11],
    ] as const)
      assert.equal(search.next(chunk, from), found, `from ${from}`);
  }
});

test('mail data is searched quickly, or plainly where this Node cannot', async () => {
  const { lineDots, plainSearch } = await anew();
  assert.equal(lineDots().next(Buffer.from('\n.'), 1), 1);
  assert.notEqual(lineDots(), plainSearch);
  assert.equal(lineDots(), lineDots());
  const global = globalThis as { WebAssembly?: unknown };
  const { WebAssembly } = global;
  try {
    global.WebAssembly = undefined;
    const without = await anew();
    assert.equal(without.vectorSearch(), null);
    assert.equal(without.lineDots(), without.plainSearch);
  } finally {
    global.WebAssembly = WebAssembly;
  }
});

test('mail data is read alike with either search, in chunks of every length', () => {
  const line = fc.constantFrom('', '.', '..', '.x', 'x', 'word. '.repeat(9), 'z'.repeat(90), '. \t');
  const end = fc.constantFrom('\r\n', '\r\n', '\r\n', '\n', '\r', '\0');
  const read = (octets: Buffer, size: number, search: DotSearch): unknown => {
    const emitted: Buffer[] = [];
    const mailData = new MailData(
      { bareLf: 'reject', dotLines: 'pass', textLine: Number.POSITIVE_INFINITY },
      (bytes) => emitted.push(Buffer.from(bytes)),
      search,
    );
    const said: number[] = [];
    for (let at = 0; at < octets.length && (said.at(-1) ?? 0) === 0; at += size)
      said.push(mailData.scan(octets.subarray(at, at + size), 0));
    return [said, Buffer.concat(emitted).toString('latin1'), mailData.end, mailData.ambiguous, mailData.ambiguousAt];
  };
  fc.assert(
    fc.property(fc.array(fc.tuple(line, end), { maxLength: 30 }), fc.integer({ min: 1, max: 300 }), (lines, size) => {
      const octets = Buffer.from(lines.flat().join(''), 'latin1');
      assert.deepEqual(read(octets, size, quick), read(octets, size, plainSearch));
    }),
    { numRuns: RUNS },
  );
});
