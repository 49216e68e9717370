// The arguments of a command, and what is wrong with them, as a sentence: a mistyped option is asked about as a mistyped key is.

import { nearest } from '../config/suggest.ts';
import type { Output } from './output.ts';

const USAGE = 64;

/** What `parse` made of the arguments of `postern NAME`; a number is the exit code where that was all: wrong usage, or --help. */
export function readArguments<Values extends { help?: boolean | undefined }>(
  name: string,
  help: string,
  parse: () => Values,
  out: Output,
): Values | number {
  try {
    const values = parse();
    if (values.help !== true) return values;
    out.stdout(help);
    return 0;
  } catch (error) {
    return wrongUsage(name, whatIsWrong(error, help), out);
  }
}

export function wrongUsage(name: string, sentence: string, out: Output): number {
  out.stderr(`postern ${name}: ${sentence}\nTry: postern ${name} --help\n`);
  return USAGE;
}

/** `error` is what parseArgs threw; `help` names every option of the command. */
export function whatIsWrong(error: unknown, help: string): string {
  if (!(error instanceof Error)) return 'wrong arguments';
  const [sentence = ''] = error.message.split('. ', 1);
  const option = /^Unknown option '--?([^'=]+)/.exec(sentence)?.[1];
  if (option === undefined) return sentence;
  const known = [...new Set(help.match(/(?<=--)[a-z][a-z-]*/g))];
  const meant = nearest(option, known) ?? known.find((one) => option.startsWith(one) || one.startsWith(option)) ?? null;
  return meant === null ? sentence : `${sentence}: did you mean --${meant}?`;
}
