// A file that is there whole or not at all: written under another name beside it, and then renamed.

import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';

/** Throws what the system says, and leaves nothing then; an older file of that name stays as it was. */
export function writeWhole(file: string, pieces: Iterable<string>): void {
  const beside = `${file}.${process.pid}.part`;
  const descriptor = openSync(beside, 'wx', 0o600);
  try {
    try {
      for (const piece of pieces) writeFileSync(descriptor, piece); // all of it, unlike writeSync
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(beside, file);
  } catch (error) {
    rmSync(beside, { force: true });
    throw error;
  }
}
