// Completion for PowerShell, 5 or newer. Files are its own: who answers nothing leaves them to it.

import type { Completions, Option, Values } from './completions.ts';

export function powershell({ commands, options }: Completions): string {
  const each = commands.map(
    ({ name, text, options: own, operands }) =>
      `  ${quoted(name)} = @{ Text = ${quoted(text)}; Operands = ${list(operands)}; Options = [ordered]@{\n` +
      `${own.map(optionLine).join('\n')}\n  } }`,
  );
  return `# Completion for PowerShell; made by: postern completion powershell

$PosternCommands = [ordered]@{
${each.join('\n')}
}
$PosternOptions = [ordered]@{
${options.map(optionLine).join('\n')}
}

Register-ArgumentCompleter -Native -CommandName 'postern', 'postern.exe' -ScriptBlock {
  param($wordToComplete, $commandAst, $cursorPosition)
  $words = @($commandAst.CommandElements | ForEach-Object { $_.ToString() })
  # The word that is typed is the last one, unless nothing of it is there yet.
  $before = if ($wordToComplete) { $words.Count - 2 } else { $words.Count - 1 }
  $command = if ($before -ge 1) { $PosternCommands[$words[1]] } else { $null }
  $options = if ($null -ne $command) { $command.Options } else { $PosternOptions }
  $offered = [ordered]@{}
  if ($before -eq 0) {
    foreach ($name in $PosternCommands.Keys) { $offered[$name] = $PosternCommands[$name].Text }
  } elseif ($null -ne $command) {
    $option = $command.Options[$words[$before]]
    if ($null -ne $option -and $option.Takes) {
      foreach ($value in $option.Values) { $offered[$value] = $value }
      if (-not $option.Optional) { $options = @{} }
    } else {
      foreach ($value in $command.Operands) { $offered[$value] = $value }
    }
  }
  if ($wordToComplete.StartsWith('-') -or $offered.Count -eq 0) {
    foreach ($name in $options.Keys) { $offered[$name] = $options[$name].Text }
  }
  foreach ($name in $offered.Keys) {
    if (-not $name.StartsWith($wordToComplete)) { continue }
    $text = if ($offered[$name]) { $offered[$name] } else { $name }
    [System.Management.Automation.CompletionResult]::new($name, $name, 'ParameterValue', $text)
  }
}
`;
}

function optionLine({ name, text, argument }: Option): string {
  const optional = argument?.optional === true;
  return (
    `    ${quoted(name)} = @{ Text = ${quoted(text)}; Takes = ${bool(argument !== null)}; ` +
    `Optional = ${bool(optional)}; Values = ${argument === null ? '@()' : list(argument)} }`
  );
}

function list({ words }: Values): string {
  return `@(${words.map(quoted).join(', ')})`;
}

function bool(value: boolean): string {
  return value ? '$true' : '$false';
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
