// What is wrong with a file that was to be read, and where.

export interface Fault {
  /** From 1. */
  readonly line: number;
  readonly column: number;
  /** What is wrong and what would be right, without a full stop. */
  readonly why: string;
}

export function isFault(value: object): value is Fault {
  return 'why' in value;
}

/** As `check` writes a finding. */
export function formatFault(file: string, { line, column, why }: Fault): string {
  return `${file}:${line}:${column}: ${why}`;
}
