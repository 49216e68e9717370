// What is wrong with a policy, said in terms of the document: a path into it, or a line of a list file that it names.
// This folder reads no files, so lines and columns of the document are found by whoever read it (config/).

export type Severity = 'error' | 'warning' | 'note';

export type Path = readonly (string | number)[];

/** A place in a file, counted from 1. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

export interface Problem {
  readonly severity: Severity;
  readonly path: Path;
  /** What is wrong, and what would be right. */
  readonly message: string;
  /** Given when it stands in a list file and not in the document itself. */
  readonly place?: Place | undefined;
}

/** `connectors[1].rules[0].allow.sources[2]` */
export function formatPath(path: Path): string {
  let text = '';
  for (const step of path) text += typeof step === 'number' ? `[${step}]` : text === '' ? step : `.${step}`;
  return text;
}
