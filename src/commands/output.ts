// Where a command writes. A test hands in one that remembers; command-line.ts hands in the process's own streams.
//
// A reader that goes away (`| head`) ends the command without a word, as SIGPIPE ends other programs: Node ignores that
// signal. One that reads nothing of standard error is no reason to stop.

export interface Output {
  stdout(text: string): void;
  stderr(text: string): void;
  /** Standard output is a terminal: colours are welcome. */
  readonly isTTY: boolean;
  /** Standard error is a terminal: progress is welcome. */
  readonly stderrIsTTY?: boolean;
  /** Of the terminal. */
  readonly columns?: number | undefined;
  readonly rows?: number | undefined;
}

/** 128 + SIGPIPE: what a shell reports of a program that the signal ended. */
const READER_GONE = 141;
const CANNOT_WRITE = 1;

export class StandardStreams implements Output {
  readonly isTTY = process.stdout.isTTY === true;
  readonly stderrIsTTY = process.stderr.isTTY === true;

  get columns(): number | undefined {
    return process.stdout.columns || undefined; // 0 where nobody told the terminal
  }

  get rows(): number | undefined {
    return process.stdout.rows || undefined;
  }

  /** `exit`: what was asked for can no longer be printed. */
  constructor(exit: (code: number) => void) {
    process.stderr.on('error', () => {});
    process.stdout.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') return exit(READER_GONE);
      this.stderr(`postern: standard output cannot be written: ${error.message}\n`);
      exit(CANNOT_WRITE);
    });
  }

  stdout(text: string): void {
    process.stdout.write(text);
  }

  stderr(text: string): void {
    process.stderr.write(text);
  }

  /** Resolves when all is written, or cannot be: a pipe takes no more than its reader does, and exit() would cut it off. */
  async flushed(): Promise<void> {
    for (const stream of [process.stdout, process.stderr]) {
      await new Promise<void>((done) => stream.write('', () => done()));
    }
  }
}
