// What may stand where on the command line, for the four shells: made of the texts of --help.

import { entriesOf, isFile, operandsOf, readHelp, wordsOf } from '../help-text.ts';

/** What stands behind a command or an option. */
export interface Values {
  readonly words: readonly string[];
  readonly files: boolean;
}

export interface Option {
  /** With its dashes. */
  readonly name: string;
  readonly text: string;
  /** Null: it takes none. */
  readonly argument: (Values & { readonly name: string; readonly optional: boolean }) | null;
}

export interface Command {
  readonly name: string;
  readonly text: string;
  readonly options: readonly Option[];
  readonly operands: Values;
}

export interface Completions {
  readonly commands: readonly Command[];
  /** Of the program itself. */
  readonly options: readonly Option[];
}

/** `texts`: by command, and the program's own behind ''. */
export function completionsOf(texts: ReadonlyMap<string, string>): Completions {
  const summaries = new Map(entriesOf(readHelp(texts.get('') ?? '')).map(({ term, text }) => [term, text]));
  const commands = [...texts]
    .filter(([name]) => name !== '')
    .map(([name, text]) => {
      const help = readHelp(text);
      const options = entriesOf(help).flatMap((entry) =>
        entry.options.map(({ name: option, argument, optional }) => ({
          name: option,
          text: brief(entry.text),
          argument: argument === null ? null : { name: argument, optional, ...valuesOf([argument]) },
        })),
      );
      return { name, text: summaries.get(name) ?? '', options, operands: valuesOf(operandsOf(help)) };
    });
  const options = ['--help', '--version'].map((name) => ({ name, text: OWN[name] ?? '', argument: null }));
  return { commands, options };
}

// The program's own help names them in a sentence.
const OWN: Readonly<Record<string, string>> = {
  '--help': 'say what the commands are',
  '--version': 'print the version',
};

function valuesOf(written: readonly string[]): Values {
  return { words: written.flatMap(wordsOf), files: written.some(isFile) };
}

const MENU = 70; // columns that a line of a menu has for it

/** The first clause: a menu has one line for each. */
function brief(text: string): string {
  const clause = (/^.*?(?=[:;(]|\. |\.?$)/.exec(text)?.[0] ?? '').trim();
  return clause.length <= MENU ? clause : `${clause.slice(0, clause.lastIndexOf(' ', MENU))} …`;
}
