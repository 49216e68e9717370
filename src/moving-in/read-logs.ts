// Reads logs: files, folders, globs and standard input in, one record for each mail transaction out.

import type { LogSink, ReadOptions, ReadReport } from './logged.ts';

/** Reads `paths` in order. Nothing throws for what stands in a log; an aborted signal ends it with that signal's reason. */
export async function readLogs(_paths: readonly string[], _options: ReadOptions, _sink: LogSink): Promise<ReadReport> {
  throw new Error('not yet');
}
