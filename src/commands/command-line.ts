// Which command, and the streams that it writes to. main.ts starts it and ends the process.

import packageFile from '../../package.json' with { type: 'json' };
import { nearest } from '../config/suggest.ts';
import { isHeld } from '../serve/held-threads.ts';
import { commit } from './build.ts';
import { type Output, StandardStreams } from './output.ts';

const HELP = `Usage: postern COMMAND [OPTION…]

A firewall for SMTP relaying: stands in front of a mail server and decides every recipient.

  run         the firewall
  check       read a configuration or policy, and say what is wrong with it
  explain     why a client may, or may not, reach a recipient
  test        ask a policy the questions of its .cases files
  status      what a running firewall is doing
  health      does a running firewall live, and is it ready?
  reload      have a running firewall read its files anew
  probe       is this server an open relay?
  import      an old server's settings, as a policy
  inventory   who sends what through the old server, by its logs
  replay      what a policy would have said to the mail in those logs
  suggest     the rules that would let pass what it refuses of it
  diff        who gains and who loses between two policies
  demo        an old Exchange that relays for everyone, before and after
  completion  what a shell needs to complete all this

postern COMMAND --help says more; --version prints the version.
`;

type Command = (args: string[], out: Output) => Promise<number>;

/** Each is loaded when it is wanted: whoever reads logs needs no proxy in memory, and the firewall no XML. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  run: async () => (await import('./run.ts')).run,
  check: async () => (await import('./check.ts')).check,
  explain: async () => (await import('./explain.ts')).explain,
  test: async () => (await import('./test.ts')).test,
  status: async () => (await import('./status.ts')).status,
  health: async () => (await import('./health.ts')).health,
  reload: async () => (await import('./reload.ts')).reload,
  probe: async () => (await import('./probe.ts')).probe,
  import: async () => (await import('./import.ts')).importSettings,
  inventory: async () => (await import('./inventory.ts')).inventory,
  replay: async () => (await import('./replay.ts')).replay,
  suggest: async () => (await import('./suggest.ts')).suggest,
  diff: async () => (await import('./diff.ts')).diff,
  demo: async () => (await import('./demo.ts')).demo,
  completion: async () => {
    const { completion } = await import('./completion.ts');
    return (args, out) => completion(args, out, helpTexts);
  },
};
const USAGE = 64;

/** What each command says with --help, in their order, and behind '' what the program does. */
export async function helpTexts(): Promise<ReadonlyMap<string, string>> {
  const texts = new Map([['', HELP]]);
  for (const [name, load] of Object.entries(COMMANDS)) {
    const command = await load();
    let text = '';
    const hear = (said: string): void => {
      text += said;
    };
    await command(['--help'], { stdout: hear, stderr: hear, isTTY: false });
    texts.set(name, text);
  }
  return texts;
}

/** Runs what `args` say; `exit` is called once, with the exit code, when all that was printed is out. `held`: an end in good
 * order would wait for somebody who may never come. */
export async function main(args: string[], exit: (code: number, held?: boolean) => void): Promise<void> {
  const streams = new StandardStreams(exit);
  const code = await choose(args, streams);
  await streams.flushed();
  exit(code, isHeld());
}

async function choose([command, ...args]: string[], out: Output): Promise<number> {
  if (command === '--version') {
    const from = commit();
    out.stdout(
      `postern ${packageFile.version} (${from === null ? 'of its source' : `commit ${from}`}, Node.js ${process.versions.node})\n`,
    );
    return 0;
  }
  if (command === '--help' || command === '-h' || command === 'help') {
    out.stdout(HELP);
    return 0;
  }
  const chosen = command !== undefined && Object.hasOwn(COMMANDS, command) ? COMMANDS[command] : undefined;
  if (chosen !== undefined) return (await chosen())(args, out);
  const meant =
    command === undefined ? null : nearest(command, [...Object.keys(COMMANDS), 'help', '--help', '--version']);
  const hint = meant === null ? '' : `: did you mean ${meant}?`;
  out.stderr(command === undefined ? HELP : `postern: there is no command '${command}'${hint}\nTry: postern --help\n`);
  return USAGE;
}
