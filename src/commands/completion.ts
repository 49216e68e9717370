// postern completion: what a shell needs to complete commands, options, their values and files.
//
// Made of what the commands say with --help (help-text.ts): there is no second list. Nothing is asked of Postern while
// somebody types, so that completion is at once there; what a policy holds (connectors, domains) is therefore not completed.

import { parseArgs } from 'node:util';
import { nearest } from '../config/suggest.ts';
import { whatIsWrong } from './arguments.ts';
import { bash } from './completion/bash.ts';
import { type Completions, completionsOf } from './completion/completions.ts';
import { fish } from './completion/fish.ts';
import { powershell } from './completion/powershell.ts';
import { zsh } from './completion/zsh.ts';
import type { Output } from './output.ts';

const SHELLS: Readonly<Record<string, (completions: Completions) => string>> = { bash, zsh, fish, powershell };

const HELP = `Usage: postern completion ${Object.keys(SHELLS).join('|')}

Prints what the shell needs to complete commands, options, their values and files. Once, and for good:

  bash        postern completion bash > /etc/bash_completion.d/postern
  zsh         postern completion zsh > /usr/local/share/zsh/site-functions/_postern
  fish        postern completion fish > ~/.config/fish/completions/postern.fish
  powershell  postern completion powershell >> $PROFILE

  --help      print this

For this shell alone: source <(postern completion bash), postern completion fish | source,
postern completion powershell | Out-String | Invoke-Expression.
Exit codes: 0 printed, 64 wrong usage.
`;

const USAGE = 64;

export async function completion(
  args: string[],
  out: Output,
  helpTexts: () => Promise<ReadonlyMap<string, string>>,
): Promise<number> {
  const wrong = (sentence: string): number => {
    out.stderr(`postern completion: ${sentence}\nTry: postern completion --help\n`);
    return USAGE;
  };
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse(args);
  } catch (error) {
    return wrong(whatIsWrong(error, HELP));
  }
  if (parsed.values.help === true) {
    out.stdout(HELP);
    return 0;
  }
  const [shell, second] = parsed.positionals;
  const names = Object.keys(SHELLS);
  if (shell === undefined) return wrong(`for which shell? ${names.join(', ')} are known`);
  if (second !== undefined) return wrong(`one shell at a time, and ${JSON.stringify(second)} is a second one`);
  const write = Object.hasOwn(SHELLS, shell) ? SHELLS[shell] : undefined;
  if (write === undefined) {
    const meant = nearest(shell, names);
    return wrong(
      `${JSON.stringify(shell)}: ${meant === null ? `${names.join(', ')} are known` : `did you mean ${meant}?`}`,
    );
  }
  out.stdout(write(completionsOf(await helpTexts())));
  return 0;
}

function parse(args: string[]) {
  return parseArgs({ args, allowPositionals: true, options: { help: { type: 'boolean', short: 'h' } } });
}
