// Counts octets instead of time: how many of them Buffer methods touch while something runs.
//
// Work that grows faster than its input shows here on any machine, however loaded, and with small inputs. It sees what
// is copied, decoded, compared and searched through Buffer, which is all that the core does with octets; loops over
// single octets it does not see.

type Method = (this: Buffer, ...given: never[]) => unknown;

const COUNTED = [
  'copy',
  'set',
  'slice',
  'fill',
  'toString',
  'equals',
  'compare',
  'write',
  'latin1Slice',
  'asciiSlice',
  'utf8Slice',
  'hexSlice',
  'base64Slice',
  'latin1Write',
  'utf8Write',
] as const;

/** Octets touched while `run` runs. */
export function octetsTouched(run: () => void): number {
  let touched = 0;
  const undo: (() => void)[] = [];
  const replace = (
    owner: object,
    name: string,
    count: (own: Uint8Array, given: unknown[], result: unknown) => number,
  ) => {
    const descriptor = Object.getOwnPropertyDescriptor(owner, name);
    const original = (owner as Record<string, unknown>)[name];
    if (typeof original !== 'function') return;
    function counting(this: Uint8Array, ...given: unknown[]): unknown {
      const result: unknown = (original as Method).apply(this as Buffer, given as never[]);
      touched += count(this, given, result);
      return result;
    }
    Object.defineProperty(owner, name, { value: counting, configurable: true, writable: true });
    undo.push(() => {
      if (descriptor === undefined) delete (owner as Record<string, unknown>)[name];
      else Object.defineProperty(owner, name, descriptor);
    });
  };
  for (const name of COUNTED) {
    replace(Buffer.prototype, name, (own, _given, result) =>
      typeof result === 'string' ? result.length : typeof result === 'number' ? result : own.length,
    );
  }
  const searched = (own: Uint8Array, given: unknown[], result: unknown): number => {
    const from = typeof given[1] === 'number' ? given[1] : 0;
    return (typeof result === 'number' && result >= 0 ? result + 1 : own.length) - from;
  };
  for (const name of ['indexOf', 'lastIndexOf', 'includes']) replace(Buffer.prototype, name, searched);
  const made = (_own: unknown, _given: unknown[], result: unknown): number => (result as Buffer).length;
  replace(Buffer, 'concat', made);
  replace(Buffer, 'from', (_own, given, result) =>
    typeof given[0] === 'string' || ArrayBuffer.isView(given[0]) ? made(_own, given, result) : 0,
  );
  try {
    run();
  } finally {
    for (const restore of undo.reverse()) restore();
  }
  return touched;
}
