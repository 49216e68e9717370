// The file for relayed mail: opened once, and anew when it was moved away (log rotation).
//
// Invariant: it never holds up mail. All but the first opening is done beside the event loop; lines wait as those of the log do
// (log-sink.ts), and what cannot be kept is lost and counted. A line is never torn between the old file and the new one. A pipe
// without a reader is refused, not waited for.
// Not here: rotation itself, which is logrotate's, and what stands in a line (message-lines.ts).

import { close, constants, open, openSync } from 'node:fs';
import { DescriptorSink, type LogSink } from './log-sink.ts';

const { O_APPEND, O_CREAT, O_NONBLOCK, O_WRONLY } = constants;
const FLAGS = O_APPEND | O_CREAT | O_WRONLY | (O_NONBLOCK ?? 0); // Windows has no such flag
const MODE = 0o640; // who writes to whom is nobody else's business

export interface RelayedFile {
  readonly sink: LogSink;
  /** Opens it anew; resolves with what was wrong, or null. The old one is closed behind the last line that goes there. */
  reopen(): Promise<string | null>;
}

/** Throws what the system says where it cannot be opened. */
export function openRelayedFile(path: string): RelayedFile {
  let current = openSync(path, FLAGS, MODE);
  let next: number | null = null;
  const sink = new DescriptorSink(() => {
    if (next !== null) close(current, () => {});
    current = next ?? current;
    next = null;
    return current;
  });
  let opening: Promise<string | null> | null = null; // one at a time, and the last one finds what is there by then
  const openAnew = () =>
    new Promise<string | null>((resolve) => {
      open(path, FLAGS, MODE, (error, descriptor) => {
        if (error === null) {
          if (next !== null) close(next, () => {});
          next = descriptor;
        }
        resolve(error === null ? null : error.message);
      });
    });
  return {
    sink,
    reopen: () => {
      opening = (opening ?? Promise.resolve(null)).then(openAnew);
      return opening;
    },
  };
}
