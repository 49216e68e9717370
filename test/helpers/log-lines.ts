// Whether a line of the log is one that the product says it writes, with the fields that it says (src/observe/lines.ts).

import { type Entry, faultIn } from '../../docs/generate/log-fields.ts';

/** Throws where it is not. */
export function assertKnown(entry: Entry): void {
  const fault = faultIn(entry);
  if (fault !== null) throw new Error(fault);
}

/** The same of lines as they were written. */
export function assertAllKnown(lines: Iterable<string>): void {
  for (const line of lines) for (const one of line.split('\n')) if (one !== '') assertKnown(JSON.parse(one) as Entry);
}
