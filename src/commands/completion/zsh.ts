// Completion for zsh: a file _postern in $fpath, or sourced.

import type { Completions, Option, Values } from './completions.ts';

export function zsh({ commands, options }: Completions): string {
  const described = commands.map(({ name, text }) => `    ${quoted(`${name}:${text}`)}`);
  const own = options.map(({ name, text }) => quoted(`${name}[${inBrackets(text)}]`));
  const each = commands.map(({ name, options: its, operands }) => {
    const all = [...its.map(spec), quoted(`*:operand:${operand(operands)}`)];
    return `    ${name})\n      _arguments -S \\\n${all.map((one) => `        ${one}`).join(' \\\n')}\n      ;;`;
  });
  return `#compdef postern
# Completion for zsh; made by: postern completion zsh

_postern() {
  local -a commands=(
${described.join('\n')}
  )
  if ((CURRENT == 2)); then
    _describe -t commands command commands
    _arguments ${own.join(' ')}
    return
  fi
  local command=$words[2]
  shift words
  ((CURRENT--))
  case $command in
${each.join('\n')}
  esac
}

if [[ $funcstack[1] == _postern ]]; then
  _postern "$@"
else
  compdef _postern postern
fi
`;
}

// Any option may be said again: some may, and it is not for completion to say which.
function spec({ name, text, argument }: Option): string {
  const said = `[${inBrackets(text)}]`;
  if (argument === null) return quoted(`*${name}${said}`);
  const value = `:${argument.name.replaceAll(':', '\\:')}:${action(argument)}`;
  return quoted(argument.optional ? `*${name}${said}:${value}` : `*${name}=${said}${value}`);
}

function action({ words, files }: Values): string {
  if (words.length > 0) return `(${words.join(' ')})`;
  return files ? '_files' : ' ';
}

/** A blank would be a message, which keeps zsh from putting in the one option that is left. */
function operand(values: Values): string {
  return action(values).replace(/^ $/, '{ : }');
}

function inBrackets(text: string): string {
  return text.replace(/[[\]:\\]/g, '\\$&');
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
