// What a reader of settings is: a system, and the kinds of file in which its settings come.

import type { Given, Imported, Report } from './imported.ts';
import type { InputFile } from './input-file.ts';

export interface Kind {
  /** What --as takes. */
  readonly name: string;
  /** What people call it: `a registry export of the Internet Mail Service`. */
  readonly what: string;
  recognises(file: InputFile): boolean;
  /** Nothing in it shows where it ends: cut off behind a line, it looks whole. */
  readonly hasNoEnd?: true;
  /** Where the file looks like this kind and is another form of it that nobody can read: what to do instead. */
  readonly instead?: ((file: InputFile) => string | null) | undefined;
}

export interface KnownFile {
  readonly kind: Kind;
  readonly file: InputFile;
}

export interface System {
  /** As `Exchange 5.5`. */
  readonly name: string;
  readonly kinds: readonly Kind[];
  /** Without a file of this kind the others are not this system's. */
  readonly needs?: Kind | undefined;
  /** All files are of its kinds; there is at least one. Whatever is wrong goes into the report: nothing throws. */
  read(files: readonly KnownFile[], given: Given, report: Report): Omit<Imported, 'report' | 'faults'>;
}
