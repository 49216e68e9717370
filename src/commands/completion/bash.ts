// Completion for bash, 4 or newer. Words are split at = and : by readline, so `--mode=en` comes as three of them.

import type { Completions, Values } from './completions.ts';

export function bash({ commands, options }: Completions): string {
  const taking = commands.flatMap(({ name, options: own }) =>
    own.flatMap(({ name: option, argument }) =>
      argument === null
        ? []
        : [`    '${name} ${option}') ${[...answer(argument), ...(argument.optional ? [] : ['return'])].join('; ')} ;;`],
    ),
  );
  const each = commands.map(({ name, options: own, operands }) => {
    const names = own.map((option) => option.name).join(' ');
    return `    ${name}) options='${names}'; words='${operands.words.join(' ')}'; files=${operands.files ? 1 : ''} ;;`;
  });
  const first = [...commands, ...options].map(({ name }) => name).join(' ');
  return `# Completion for bash; made by: postern completion bash

_postern() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD - 1]}
  local command=\${COMP_WORDS[1]} options words files
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    mapfile -t COMPREPLY < <(compgen -W '${first}' -- "$word")
    return
  fi
  if [[ $word == = ]]; then
    word=
  elif [[ $before == = ]]; then
    before=\${COMP_WORDS[COMP_CWORD - 2]}
  fi
  case "$command $before" in
${taking.join('\n')}
  esac
  case $command in
${each.join('\n')}
  esac
  if [[ $word == -* ]] || [[ -z $words && -z $files ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
  elif [[ -n $words ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
  else
    compopt -o default
  fi
}

complete -F _postern postern
`;
}

/** An argument that nothing is known of (a host, a name) is left to who types it. */
function answer({ words, files }: Values): string[] {
  if (words.length > 0) return [`mapfile -t COMPREPLY < <(compgen -W '${words.join(' ')}' -- "$word")`];
  return files ? ['compopt -o default'] : [];
}
