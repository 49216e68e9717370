// Files for the product to read. It waits for one that was written this moment to hold still (config/source.ts), which is right for it and
// lost time for a test that writes hundreds.

import { utimesSync, writeFileSync } from 'node:fs';

const LONG_AGO = 1_000_000_000; // seconds

/** Writes a file as if long ago. */
export function writeSettled(file: string, text: string): void {
  writeFileSync(file, text);
  utimesSync(file, LONG_AGO, LONG_AGO);
}
