// What a line of a syslog says, for whoever reads the lines of one program.

/** A line without its head. */
export interface Entry {
  readonly host: string;
  readonly process: string;
  readonly text: string;
  readonly at: number | null;
}

export type YearOf = (monthAndDay: (year: number) => number) => number;
