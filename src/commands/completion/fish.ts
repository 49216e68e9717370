// Completion for fish.

import type { Completions, Option, Values } from './completions.ts';

export function fish({ commands, options }: Completions): string {
  const names = commands.map(({ name }) => name).join(' ');
  const first = [
    ...commands.map(({ name, text }) => `complete -c postern -n $none -a ${name} -d ${quoted(text)}`),
    ...options.map(({ name, text }) => `complete -c postern -n $none -l ${name.slice(2)} -d ${quoted(text)}`),
  ];
  const each = commands.map(({ name, options: own, operands }) => {
    const inside = `-n '__fish_seen_subcommand_from ${name}'`;
    const lines = own.map((option) => optionLine(inside, option));
    const optional = own.flatMap(({ name: option, argument }) =>
      argument?.optional
        ? [`complete -c postern -n '__fish_seen_argument -l ${option.slice(2)}' ${values(argument)}`]
        : [],
    );
    const own_ =
      operands.files || operands.words.length > 0 ? [`complete -c postern ${inside} ${values(operands)}`] : [];
    return [...lines, ...optional, ...own_].join('\n');
  });
  return `# Completion for fish; made by: postern completion fish

set -l none 'not __fish_seen_subcommand_from ${names}'
complete -c postern -f
${first.join('\n')}

${each.join('\n\n')}
`;
}

function optionLine(inside: string, { name, text, argument }: Option): string {
  const taken = argument === null || argument.optional ? '' : ` -r ${values(argument)}`;
  return `complete -c postern ${inside} -l ${name.slice(2)}${taken} -d ${quoted(text)}`;
}

function values({ words, files }: Values): string {
  if (words.length > 0) return `-f -a '${words.join(' ')}'`;
  return files ? '-F' : '-f';
}

function quoted(text: string): string {
  return `'${text.replace(/['\\]/g, '\\$&')}'`;
}
