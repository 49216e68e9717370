// A file that is there whole or not at all: written under another name beside it, and then renamed.
//
// What is no file (a device, a pipe) is written to as it is, and a link stays one: only what it leads to is changed.

import { closeSync, fsyncSync, openSync, realpathSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';

/** Throws what the system says, and leaves nothing then; an older file of that name stays as it was. */
export function writeWhole(path: string, pieces: Iterable<string>): void {
  const there = statSync(path, { throwIfNoEntry: false });
  const file = there === undefined ? path : realpathSync(path);
  const isFile = there === undefined || there.isFile();
  const beside = isFile ? `${file}.${process.pid}.part` : file;
  const descriptor = isFile ? openSync(beside, 'wx', 0o600) : openSync(file, 'w');
  try {
    try {
      for (const piece of pieces) writeFileSync(descriptor, piece); // all of it, unlike writeSync
      if (isFile) fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    if (isFile) renameSync(beside, file);
  } catch (error) {
    if (isFile) rmSync(beside, { force: true });
    throw error;
  }
}
