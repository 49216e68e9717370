// Files for the product to read. It waits for one that was written this moment to hold still (config/source.ts), which is right for it and
// lost time for a test that writes hundreds.

import { rmSync, utimesSync, writeFileSync } from 'node:fs';

const LONG_AGO = 1_000_000_000; // seconds

/** Writes a file as if long ago. It is a new one each time: ext4 waits for the disk where one is cut to nothing and written again. */
export function writeSettled(file: string, text: string): void {
  rmSync(file, { force: true });
  writeFileSync(file, text);
  utimesSync(file, LONG_AGO, LONG_AGO);
}
