// Octets: folding, what is printable, copies that outlive a chunk, and views that leave as one.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Carry, copyOf, foldAscii, NOTHING, Spans, toPrintable } from '../../src/smtp/bytes.ts';

/** Octets that say where they stand. */
function counted(length: number, from = 0): Buffer {
  return Buffer.from(Array.from({ length }, (_, at) => (from + at) & 0xff));
}

test('folding touches A to Z and no other octet', () => {
  for (const [text, folded] of [
    ['', ''],
    ['already.example', 'already.example'],
    ['Local.EXAMPLE', 'local.example'],
    ['ABC', 'abc'],
    ['@[`{AZ', '@[`{az'],
    ['\xc0\xd6A', '\xc0\xd6a'],
    ['AB\xc0CD', 'ab\xc0cd'],
  ] as const) {
    assert.equal(foldAscii(text), folded);
  }
});

test('what is not printable ASCII is shown as a question mark, each octet', () => {
  assert.equal(toPrintable(' plain ~'), ' plain ~');
  assert.equal(toPrintable('\0\xff'), '??');
  assert.equal(toPrintable('\x1f a\x7f\x80\xff~'), '? a???~');
});

test('copies stay as they were when the chunk is written over, and do not touch each other', () => {
  const chunk = counted(60_000);
  const parts: [start: number, copy: Buffer][] = [];
  let start = 0;
  for (const length of [0, 1, 2048, 2049, 2048, 2048, 2048, 2048, 2048, 2048, 2048, 2047, 1, 700, 2048, 5000, 17000]) {
    parts.push([start, copyOf(chunk, start, start + length)]);
    start += length;
  }
  chunk.fill(0xee);
  for (const [from, copy] of parts) assert.deepEqual(copy, counted(copy.length, from), `at ${from}`);
  assert.deepEqual(
    parts.map(([, { length }]) => length),
    [0, 1, 2048, 2049, 2048, 2048, 2048, 2048, 2048, 2048, 2048, 2047, 1, 700, 2048, 5000, 17000],
  );
});

test('copies that are made one behind the other leave as one view', () => {
  const written: string[] = [];
  const spans = new Spans((bytes) => void written.push(bytes.toString('latin1')));
  copyOf(Buffer.alloc(2048), 0, 2048); // whatever was there before: no slab ends within the next two but by chance
  const chunk = Buffer.from('one two');
  const [one, two] = [copyOf(chunk, 0, 4), copyOf(chunk, 4, 7)];
  assert.equal(one.buffer, two.buffer);
  spans.add(one);
  spans.add(two);
  spans.flush();
  assert.deepEqual(written, ['one two']);
});

test('a carry holds what came in its order, whatever the pieces, and starts anew', () => {
  const carry = new Carry();
  const octets = counted(3_000);
  for (let at = 0; at < octets.length; at += 7) carry.append(octets, at, Math.min(at + 7, octets.length));
  assert.equal(carry.length, 3_000);
  assert.deepEqual(carry.view(), octets);
  assert.deepEqual(carry.view(256, 300), octets.subarray(256, 300));
  const taken = carry.take();
  assert.deepEqual([taken, carry.length, carry.view()], [octets, 0, NOTHING]);
  carry.append(Buffer.from('next'), 0, 4);
  assert.equal(taken[0], 0, 'what was taken stays as it is');
  assert.equal(String(carry.view()), 'next');
  carry.clear();
  assert.deepEqual([carry.length, carry.view()], [0, NOTHING]);
});

test('neighbours leave as one, others as they come, and nothing as nothing', () => {
  const written: string[] = [];
  const spans = new Spans((bytes) => void written.push(bytes.toString('latin1')));
  const chunk = Buffer.from('0123456789');
  const other = Buffer.from(new Uint8Array(10).fill(0x61).buffer);
  spans.flush();
  spans.add(chunk.subarray(0, 2));
  spans.add(NOTHING);
  spans.add(chunk.subarray(2, 5));
  spans.add(chunk.subarray(6, 8)); // not a neighbour
  assert.deepEqual(written, ['01234']);
  spans.add(other.subarray(0, 1)); // of other memory, whatever its offset
  assert.deepEqual(written, ['01234', '67']);
  spans.flush();
  spans.flush();
  assert.deepEqual(written, ['01234', '67', 'a']);
  spans.add(chunk);
  spans.drop();
  spans.flush();
  assert.deepEqual(written, ['01234', '67', 'a']);
  const [first, second] = [new ArrayBuffer(4), new ArrayBuffer(8)];
  spans.add(Buffer.from(first, 0, 4));
  spans.add(Buffer.from(second, 4, 4)); // begins where the first ends, in other memory
  spans.flush();
  assert.equal(written.length, 5);
});
