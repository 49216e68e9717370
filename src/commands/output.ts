// Where a command writes. A test hands in one that remembers; main.ts hands in the process's own streams.

export interface Output {
  stdout(text: string): void;
  stderr(text: string): void;
  /** Standard output is a terminal: colours are welcome. */
  readonly isTTY: boolean;
}
