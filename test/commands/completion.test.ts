// postern completion, in the shells themselves: keys are typed at a prompt, and what the command is called with is looked at.
// No PowerShell can be had here, so of its script only the text is looked at.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { helpTexts } from '../../src/commands/command-line.ts';
import { completion } from '../../src/commands/completion.ts';
import { entriesOf, readHelp } from '../../src/commands/help-text.ts';
import { missing } from '../real/tools.ts';

const SOURCES = join(import.meta.dirname, '../../src/commands');
const folder = mkdtempSync(join(tmpdir(), 'postern-completion-'));
after(() => rmSync(folder, { recursive: true }));
writeFileSync(join(folder, 'office policy.yaml'), '');

async function say(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  let [stdout, stderr] = ['', ''];
  const out = {
    stdout: (text: string) => {
      stdout += text;
    },
    stderr: (text: string) => {
      stderr += text;
    },
    isTTY: false,
  };
  return { code: await completion(args, out, helpTexts), stdout, stderr };
}

async function scriptFor(shell: string): Promise<string> {
  const file = join(folder, shell);
  writeFileSync(file, (await say(shell)).stdout);
  return file;
}

/** Types each line at the prompt of a shell in a terminal, and resolves with the words that postern was called with. */
function typed(shell: string, setUp: readonly string[], lines: readonly string[]): Promise<string[][]> {
  const env = { ...process.env, TERM: 'xterm', COLUMNS: '200', HOME: folder, ZDOTDIR: folder, HISTFILE: '' };
  const child = spawn('script', ['-q', '-c', shell, '/dev/null'], { cwd: folder, env });
  const rest = [...setUp, ...lines.map((line) => `postern ${line}`), 'exit'];
  let seen = '';
  let told = 0;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    seen += text;
    // A prompt is there again: the next line. The last of them ends the shell.
    for (let prompts = seen.split('READY>').length - 1; told < prompts && rest.length > 0; told++)
      child.stdin.write(`${rest.shift()}\r`);
  });
  const words = (text: string): string[] => [...text.matchAll(/<([^<>]*)>/g)].map(([, word]) => word as string);
  return new Promise((resolve) =>
    child.on('close', () => resolve([...seen.matchAll(/CALLED (<.*)$/gm)].map(([, call]) => words(call as string)))),
  );
}

/** What is typed, and what it becomes. */
const TYPED: readonly (readonly [string, readonly string[]])[] = [
  ['expl\t', ['explain']],
  ['run --mode en\t', ['run', '--mode', 'enforce']],
  ['run --lost-address-guard=wa\t', ['run', '--lost-address-guard=warn']],
  ['probe host:25 --expe\t', ['probe', 'host:25', '--expect-relay']],
  ['check off\t', ['check', 'office policy.yaml']],
  ['run --config off\t', ['run', '--config', 'office policy.yaml']],
  ['check --json-schema po\t', ['check', '--json-schema', 'policy']],
  ['completion fi\t', ['completion', 'fish']],
  ['--vers\t', ['--version']],
];

test('bash completes commands, options, values and files', async () => {
  const file = await scriptFor('bash');
  const setUp = [`PS1='REA''DY>'; postern() { printf 'CALLED '; printf '<%s>' "$@"; echo; }; source ${file}`];
  const called = await typed(
    "env PS1='READY>' bash --norc --noprofile -i",
    setUp,
    TYPED.map(([keys]) => keys),
  );
  assert.deepEqual(
    called,
    TYPED.map(([, words]) => words),
  );
});

test('zsh completes commands, options, values and files', { skip: missing(['zsh']) }, async () => {
  const file = await scriptFor('zsh');
  const setUp = [
    `autoload -Uz compinit; compinit -u -D; source ${file}; postern() { printf 'CALLED '; printf '<%s>' "$@"; echo }; PS1='REA''DY>'`,
  ];
  const called = await typed(
    "env PS1='READY>' zsh -f -i",
    setUp,
    TYPED.map(([keys]) => keys),
  );
  assert.deepEqual(
    called,
    TYPED.map(([, words]) => words),
  );
});

test('fish completes commands, options, values and files', { skip: missing(['fish']) }, async () => {
  const file = await scriptFor('fish');
  const ask = TYPED.map(([keys]) => `complete -C ${JSON.stringify(`postern ${keys.trim()}`)}; echo ==`).join('\n');
  const { stdout, stderr } = spawnSync('fish', ['--no-config', '-c', `source ${file}\n${ask}`], {
    cwd: folder,
    encoding: 'utf8',
    env: { ...process.env, HOME: folder },
  });
  assert.equal(stderr, '');
  const offered = stdout
    .split('==\n')
    .slice(0, -1)
    .map((text) => text.split('\n').map((line) => line.split('\t')[0]));
  for (const [i, [keys, words]] of TYPED.entries())
    assert.ok(offered[i]?.includes(words.at(-1)), `${keys}: ${offered[i]}`);
});

test('the script for PowerShell has every command and every option', async () => {
  const { stdout } = await say('powershell');
  for (const [command, text] of await helpTexts()) {
    if (command === '') continue;
    assert.match(stdout, new RegExp(`^ {2}'${command}' = @\\{`, 'm'));
    for (const { options } of entriesOf(readHelp(text)))
      for (const { name } of options) assert.match(stdout, new RegExp(`^ {4}'${name}' = @\\{`, 'm'));
  }
});

// parseArgs knows what is taken, the text what is told: neither may have more than the other.
test('--help names every option that a command takes, and none that it does not', async () => {
  for (const [command, text] of await helpTexts()) {
    if (command === '') continue;
    const told = entriesOf(readHelp(text)).flatMap(({ options }) => options);
    const source = readFileSync(join(SOURCES, `${command}.ts`), 'utf8');
    const shared = source.includes("from './logs.ts'") ? readFileSync(join(SOURCES, 'logs.ts'), 'utf8') : '';
    const taken = [...(shared + source).matchAll(/(?:'([a-z-]+)'|\b([a-z]+)): \{ type: '(string|boolean)'/g)];
    const names = taken.map(([, quoted, bare, type]) => `--${quoted ?? bare} ${type}`);
    const argumentOf = told.map(
      ({ name, argument, optional }) => `${name} ${argument === null || optional ? 'boolean' : 'string'}`,
    );
    assert.deepEqual([...new Set(argumentOf)].toSorted(), [...new Set(names)].toSorted(), command);
  }
});

test('--help has an example of every command, with options that it takes', async () => {
  for (const [command, text] of await helpTexts()) {
    if (command === '') continue;
    const entries = entriesOf(readHelp(text));
    const known = entries.flatMap(({ options }) => options.map(({ name }) => name));
    const examples = entries
      .flatMap(({ term, text }) => (text === '' ? term : text))
      .filter((line) => line.startsWith(`postern ${command} `));
    assert.ok(examples.length > 0, command);
    for (const option of examples.flatMap((line) => line.match(/--[a-z-]+/g) ?? []))
      assert.ok(known.includes(option), `${command} ${option}`);
  }
});

test('an unknown shell is asked about', async () => {
  const { code, stderr } = await say('bahs');
  assert.equal(code, 64);
  assert.match(stderr, /did you mean bash\?/);
  assert.equal((await say()).code, 64);
  assert.equal((await say('bash', 'zsh')).code, 64);
  assert.match((await say('--help')).stdout, /^Usage: postern completion bash\|zsh\|fish\|powershell\n/);
});
