// What is wrong with the arguments of a command, as a sentence: a mistyped option is asked about as a mistyped key is.

import { nearest } from '../config/suggest.ts';

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
