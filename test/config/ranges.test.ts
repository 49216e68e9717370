// Every number of a configuration, written as large as its spelling allows: it is refused with a sentence that names the most,
// or what it comes to is one that timers, counters and Redis can hold. The schema is walked, so that a new key is among them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type * as z from 'zod';
import { configSchema } from '../../src/config/schema.ts';

const TIMER = 2 ** 31 - 1; // ms: a timer of Node's ends at once beyond it
const SLACK = 60_000; //      ms that the code adds to one (last words of a drain, a handshake)
const YEAR = 365 * 24 * 3_600_000;
const OCTETS = 2 ** 43;

const DIGITS = ['1', '575', '576', '577', '600', '2147483648', '999999999999', '9'.repeat(20), '9'.repeat(400)];
const UNITS = ['ms', 's', 'm', 'h', 'B', 'KiB', 'MiB', 'GiB'];
const WRITTEN: unknown[] = [
  ...DIGITS.flatMap((digits) => [digits, ...UNITS.map((unit) => digits + unit)]),
  ...DIGITS.flatMap((digits) =>
    ['1', '1B', '999999999999', '999999999999GiB'].flatMap((limit) => UNITS.map((unit) => `${limit}/${digits}${unit}`)),
  ),
  ...[2 ** 31, 2 ** 31 + 1, 2 ** 53, 2 ** 60, 1e300, Number.MAX_VALUE, Number.POSITIVE_INFINITY, Number.NaN, -1, 0.5],
];

type Leaf = { readonly path: string; readonly schema: z.core.$ZodType };

function leavesOf(schema: z.core.$ZodType, path: string, seen: ReadonlySet<unknown>): Leaf[] {
  if (seen.has(schema)) return [];
  const inside = new Set([...seen, schema]);
  const { def } = (schema as unknown as { _zod: { def: Record<string, unknown> } })._zod;
  const go = (inner: unknown, step = ''): Leaf[] => leavesOf(inner as z.core.$ZodType, path + step, inside);
  switch (def.type) {
    case 'object':
      return Object.entries(def.shape as object).flatMap(([key, inner]) => go(inner, `.${key}`));
    case 'array':
      return go(def.element, '[]');
    case 'record':
      return go(def.valueType, '.*');
    case 'union': {
      const within = (def.options as unknown[]).flatMap((option) => go(option)).filter((leaf) => leaf.path !== path);
      return [{ path, schema }, ...within];
    }
    case 'lazy':
      return go((def.getter as () => unknown)());
    case 'pipe': {
      const within = go(def.in);
      return within.some((leaf) => leaf.path !== path) ? within : [{ path, schema }];
    }
    default:
      return def.innerType === undefined ? [{ path, schema }] : go(def.innerType);
  }
}

function read({ schema }: Leaf, written: unknown): { ok: boolean; value: unknown; said: string } {
  const result = (schema as z.ZodType).safeParse(written);
  return result.success
    ? { ok: true, value: result.data, said: '' }
    : { ok: false, value: null, said: result.error.issues.map(({ message }) => message).join('; ') };
}

const leaves = leavesOf(configSchema, '', new Set());
const isDuration = (leaf: Leaf): boolean => read(leaf, '5s').value === 5_000;
const isSize = (leaf: Leaf): boolean => read(leaf, '2KiB').value === 2048;

test('the walk finds every key that is a time, a rate or a size', () => {
  const paths = new Set(leaves.filter((leaf) => isDuration(leaf)).map(({ path }) => path));
  for (const path of [
    '.timeouts.drain',
    '.timeouts.tls_handshake',
    '.upstream.max_wait',
    '.limits.tarpit',
    '.limits.ban.for',
  ])
    assert.ok(paths.has(path), path);
  for (const key of ['.limits.ban.after', '.limits.source.byte_rate', '.policy.connectors[].limits.login.message_rate'])
    assert.ok(
      leaves.some((leaf) => leaf.path === key && isRateOf(leaf)),
      key,
    );
  assert.ok(leaves.some((leaf) => leaf.path === '.policy.connectors[].max_message_size' && isSize(leaf)));
});

function isRateOf(leaf: Leaf): boolean {
  return ['2/1m', '2B/1m'].some((written) => {
    const { ok, value } = read(leaf, written);
    return ok && value !== null && typeof value === 'object';
  });
}

for (const leaf of leaves) {
  const duration = isDuration(leaf);
  const rate = isRateOf(leaf);
  const size = isSize(leaf);
  const numeric = read(leaf, 1).value === 1 || read(leaf, 512).value === 512;
  if (!duration && !rate && !size && !numeric) continue;
  test(`${leaf.path.slice(1)} is in the range of what counts it, however large it is written`, () => {
    let refused = 0;
    for (const written of WRITTEN) {
      const { ok, value, said } = read(leaf, written);
      if (!ok) {
        refused++;
        assert.match(
          said,
          /is not|is neither|this version|too long|too large|too much|no (time|octet)|0 lets nobody|wanted/,
          String(written),
        );
      } else if (duration) assert.ok(Number(value) >= 0 && Number(value) + SLACK <= TIMER, `${written}: ${value}`);
      else if (rate) {
        const { limit, window } = value as { limit: number; window: number };
        assert.ok(limit <= OCTETS && window <= YEAR && window > 0, `${written}: ${limit} in ${window}`);
      } else if (size) assert.ok(Number(value) <= OCTETS, `${written}: ${value}`);
      else if (typeof value === 'number') assert.ok(value <= 2 ** 31 && value >= 0, `${written}: ${value}`);
    }
    assert.notEqual(refused, 0);
    if (duration) {
      assert.equal(read(leaf, '600h').said, 'too long: 576h, 24 days, are the most');
      assert.equal(read(leaf, '576h').value, 576 * 3_600_000);
    }
    if (rate) {
      assert.match(read(leaf, '1/8761h').said + read(leaf, '1B/8761h').said, /too much to count: .*8760h, a year/);
    }
    if (size) assert.match(read(leaf, '8193GiB').said, /^too large: 8192GiB are the most/);
  });
}
