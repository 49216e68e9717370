#!/usr/bin/env node
// Which command. The only place that ends the process.

import packageFile from '../package.json' with { type: 'json' };
import { check } from './commands/check.ts';
import { demo } from './commands/demo.ts';
import { explain } from './commands/explain.ts';
import type { Output } from './commands/output.ts';
import { probe } from './commands/probe.ts';
import { run } from './commands/run.ts';
import { test } from './commands/test.ts';
import { nearest } from './config/suggest.ts';

const HELP = `Usage: postern COMMAND [OPTION…]

A firewall for SMTP relaying: stands in front of a mail server and decides every recipient.

  run      the firewall
  check    read a configuration or policy, and say what is wrong with it
  explain  why a client may, or may not, reach a recipient
  test     ask a policy the questions of its .cases files
  probe    is this server an open relay?
  demo     an old Exchange that relays for everyone, before and after

postern COMMAND --help says more; --version prints the version.
`;

const COMMANDS: Readonly<Record<string, (args: string[], out: Output) => Promise<number>>> = {
  run,
  check,
  explain,
  test,
  probe,
  demo,
};
const USAGE = 64;

async function main([command, ...args]: string[], out: Output): Promise<number> {
  if (command === '--version') {
    out.stdout(`postern ${packageFile.version}\n`);
    return 0;
  }
  if (command === '--help' || command === '-h' || command === 'help') {
    out.stdout(HELP);
    return 0;
  }
  const chosen = command !== undefined && Object.hasOwn(COMMANDS, command) ? COMMANDS[command] : undefined;
  if (chosen !== undefined) return chosen(args, out);
  const meant = command === undefined ? null : nearest(command, [...Object.keys(COMMANDS), 'help']);
  const hint = meant === null ? '' : `: did you mean ${meant}?`;
  out.stderr(command === undefined ? HELP : `postern: there is no command '${command}'${hint}\nTry: postern --help\n`);
  return USAGE;
}

const out: Output = {
  stdout: (text) => {
    process.stdout.write(text);
  },
  stderr: (text) => {
    process.stderr.write(text);
  },
  isTTY: process.stdout.isTTY === true,
};

process.exit(await main(process.argv.slice(2), out));
