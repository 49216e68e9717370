// What readLogs makes of a text, for the tests of the readers.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LoggedMessage, ReadOptions, ReadReport } from '../../src/moving-in/logged.ts';
import { readLogs } from '../../src/moving-in/read-logs.ts';

export const folder = mkdtempSync(join(tmpdir(), 'postern-logs-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

let number = 0;

/** Writes a file of its own; its path. */
export function write(content: string | Buffer, name = `log-${number++}`): string {
  const file = join(folder, name);
  writeFileSync(file, content);
  return file;
}

export interface Read {
  readonly told: LoggedMessage[];
  readonly report: ReadReport;
}

export async function readFiles(files: readonly string[], options: ReadOptions = {}): Promise<Read> {
  const told: LoggedMessage[] = [];
  const report = await readLogs(files, options, { message: (message) => told.push(message) });
  return { told, report };
}

export function read(content: string | Buffer, options: ReadOptions = {}): Promise<Read> {
  return readFiles([write(content)], options);
}

/** `refused x@foreign.example`, one for each. */
export function answers({ recipients }: LoggedMessage): string[] {
  return recipients.map(({ address, answer }) => `${answer} ${address}`);
}
