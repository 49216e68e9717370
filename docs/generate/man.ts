// docs/man/: the manual pages, made of what --help says and of the JSON Schema, as docs/keys.md is. What stands here in words is
// only what neither of them has to say: how the pages are put together.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import packageFile from '../../package.json' with { type: 'json' };
import { helpTexts } from '../../src/commands/command-line.ts';
import { type Entry, entriesOf, type HelpText, type Part, readHelp } from '../../src/commands/help-text.ts';
import { FLAG_ROWS } from '../../src/config/flags.ts';
import { jsonSchema } from '../../src/config/schema.ts';
import { CONDITIONS, defaultOf, formOf, type Key, keysOf, kindsOf, type Schema } from './keys.ts';
import { bold, page, paragraph, prose, roff, section, subsection, tagged, term, verbatim } from './roff.ts';

const ROOT = join(import.meta.dirname, '../..');
const HELP_SOURCE = 'the texts of --help in src/commands/';
const SCHEMA_SOURCE = 'src/config/schema.ts and src/config/policy-schema.ts';

/** By file name, below docs/. */
export async function manualPages(): Promise<Readonly<Record<string, string>>> {
  const texts = new Map([...(await helpTexts())].map(([name, text]) => [name, readHelp(text)]));
  return {
    'man/postern.1': commandsPage(texts),
    'man/postern.yaml.5': configPage(),
    'man/postern-policy.5': policyPage(),
    'man/postern-cases.5': casesPage(texts),
  };
}

const { version } = packageFile;
const day = '2026-11-29'; // of that version

function commandsPage(texts: ReadonlyMap<string, HelpText>): string {
  const own = texts.get('') as HelpText;
  const [what] = own.parts as [{ paragraph: string }];
  const commands = [...texts].filter(([name]) => name !== '');
  return page(
    { name: 'postern', section: 1, summary: 'streaming SMTP relay firewall', version, day, from: HELP_SOURCE },
    [
      section('synopsis'),
      commands.flatMap(([, { usage }]) => usage.map(usageLine)).join('\n.br\n'),
      section('description'),
      prose(what.paragraph),
      prose(
        "Every refusal is made before the server behind hears of it; nothing is stored, and nothing is accepted in the server's place.",
      ),
      section('commands'),
      ...commands.flatMap(([name, { parts }]) => [subsection(`postern ${name}`), ...parts.flatMap(help)]),
      section('environment'),
      'For containers, each option of\n.B postern run\nhas a twin:',
      ...FLAG_ROWS.map(({ flag, variable, repeatable }) =>
        tagged(bold(variable), repeatable ? `${bold(flag)}, several with commas between them` : bold(flag)),
      ),
      tagged(
        bold('POSTERN_TOKEN_FILE'),
        `the file with the token of the admin port, for ${bold('status')} and ${bold('reload')}`,
      ),
      tagged(bold('NO_COLOR'), 'no colours, in a terminal neither'),
      section('signals'),
      tagged(
        bold('SIGTERM') + roff(', ') + bold('SIGINT'),
        'no new clients; transactions in flight end, and then the program. A second one cuts them off',
      ),
      tagged(bold('SIGHUP'), `reads the files anew, as ${bold('postern reload')} does`),
      section('files'),
      tagged(
        '.I /etc/postern/postern.yaml',
        'the configuration of the service, where it came as a Debian package or as that of install.md',
      ),
      section('see also'),
      also('postern.yaml', 'postern-policy', 'postern-cases'),
    ],
  );
}

function usageLine(line: string): string {
  return `${bold('postern')} ${term(line.replace(/^postern /, ''))}`;
}

function help(part: Part): string[] {
  if ('paragraph' in part) return [paragraph(part.paragraph)];
  return part.entries.map((entry, i) => helpEntry(entry, part.entries[i + 1]));
}

/** An entry; one without a text stands by itself, or heads those below it. */
function helpEntry({ depth, term: head, text }: Entry, next: Entry | undefined): string {
  if (depth === 2 && text === '') return next?.depth === 4 ? `.PP\n${roff(head)}:` : `.PP\n${term(head)}`;
  return depth === 2 ? tagged(term(head), prose(text)) : `.RS\n${tagged(bold(head), prose(text))}\n.RE`;
}

function configPage(): string {
  const config = jsonSchema('config') as Schema;
  const summary = 'the configuration of the Postern SMTP relay firewall';
  const head = { name: 'postern.yaml', section: 5, summary, version, day, from: SCHEMA_SOURCE } as const;
  return page(head, [
    section('description'),
    prose(
      '`postern run --config FILE` reads it, and `postern check FILE` says what is wrong with it, by line and column. It is YAML 1.2, ' +
        'of which JSON is a part. An unknown key is an error. A relative name of a file is one beside this file. `[]` stands for any entry of a list.',
    ),
    section('keys'),
    ...keysOf(config, new Set(['policy'])).map(keyEntry),
    ...kindsSection(config),
    section('example'),
    verbatim(blockOf('docs/configuration.md', 'postern.yaml')),
    section('see also'),
    also('postern', 'postern-policy', 'postern-cases'),
  ]);
}

function policyPage(): string {
  const policy = jsonSchema('policy') as Schema;
  const conditions = Object.entries(policy.$defs ?? {}).flatMap(([name, schema]) => [
    section(name),
    prose(CONDITIONS),
    ...keysOf(schema).map(keyEntry),
  ]);
  const summary = 'who may relay: the policy of the Postern SMTP relay firewall';
  const head = { name: 'postern-policy', section: 5, summary, version, day, from: SCHEMA_SOURCE } as const;
  return page(head, [
    section('description'),
    prose(
      'A file of its own that `policy` in the configuration names, or what stands under that key itself. Mail for accepted and relay domains ' +
        'passes before any rule; of the rules the first that matches decides; where none does the recipient is refused. ' +
        '`postern explain` tells of each answer how it came about, and cases beside the policy prove it. A list takes `file:NAME` among its entries.',
    ),
    section('keys'),
    ...keysOf(policy, new Set(['connectors[].limits'])).map(keyEntry),
    tagged(
      bold('connectors[].limits'),
      prose('As `limits`, for the clients of this connector alone: what it names takes the place of that.'),
    ),
    ...conditions,
    ...kindsSection(policy),
    section('example'),
    verbatim(blockOf('docs/configuration.md', 'office.yaml')),
    section('see also'),
    also('postern', 'postern.yaml', 'postern-cases'),
  ]);
}

/** What an answer of a case is; its word stands in the help of `test`. */
const ANSWERED: Readonly<Record<string, string>> = {
  proceed: 'the recipient passes to the server behind',
  reject: 'it is refused for good (5yz)',
  defer: 'it cannot be told, and the client may come again (4yz)',
  'refuse-connection': 'the client is let in by no connector',
  'refuse-sender': 'the sender is refused, at MAIL',
};

function casesPage(texts: ReadonlyMap<string, HelpText>): string {
  const test = texts.get('test') as HelpText;
  const [form] = entriesOf(test) as [Entry];
  const answers = (form.term.split(' ', 1)[0] as string).split('|');
  const words = /^Words: (.*)\.$/m.exec(paragraphs(test).join('\n'))?.[1]?.split(', ') ?? [];
  const explained = new Map(
    entriesOf(texts.get('explain') as HelpText).flatMap((entry) => entry.options.map(({ name }) => [name, entry.text])),
  );
  const summary = 'questions to a policy of Postern, with the answers that are expected';
  return page({ name: 'postern-cases', section: 5, summary, version, day, from: HELP_SOURCE }, [
    section('description'),
    prose(
      'Beside a policy, `office.yaml`, stand its cases, `office.cases`: one question a line, and the answer that is expected. `postern test` puts ' +
        'them to the policy; nothing is sent, and no network is used. What a line does not say is not so: no login, no TLS, no name in DNS, the null ' +
        'sender. Backslashes are literal. A comment begins with `#` at the beginning of a line or behind a blank.',
    ),
    `.PP\n${term(form.term)}`,
    section('answers'),
    ...answers.map((answer) => tagged(bold(answer), prose(needed(ANSWERED[answer], answer)))),
    section('words'),
    'In any order, between the source and the arrow.',
    ...words.map((word) => {
      const option = `--${/^\w+/.exec(word)?.[0].replace('_', '-')}`;
      return tagged(term(word), prose(needed(explained.get(option), word).replaceAll('--', '')));
    }),
    section('example'),
    verbatim(readFileSync(join(ROOT, 'policies/closed.cases'), 'utf8')),
    section('see also'),
    also('postern', 'postern.yaml', 'postern-policy'),
  ]);
}

function paragraphs(text: HelpText): string[] {
  return text.parts.flatMap((part) => ('paragraph' in part ? [part.paragraph] : []));
}

function needed<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Error(`docs/generate/man.ts has nothing to say of ${what}`);
  return value;
}

function keyEntry(key: Key): string {
  const byDefault = defaultOf(key);
  const said = byDefault === null ? '' : byDefault === '**wanted**' ? ' Must be there.' : ` Default: ${byDefault}.`;
  const form = formOf(key.schema).replaceAll('\\|', '|');
  return tagged(`${bold(key.path)} (${prose(form)})`, prose(`${key.schema.description ?? ''}${said}`.trim()));
}

function kindsSection(root: Schema): string[] {
  const kinds = kindsOf(root);
  return [
    section('kinds of values'),
    ...kinds.map(([kind, examples]) =>
      tagged(roff(kind), `.ad l\n${prose(examples.map((example) => `\`${example}\``).join(', '))}`),
    ),
  ];
}

/** The block of a page of docs/ that begins with its name. */
function blockOf(document: string, name: string): string {
  const text = readFileSync(join(ROOT, document), 'utf8');
  return needed(new RegExp(`\`\`\`yaml\n(# ${name}\n[\\s\\S]*?)\`\`\``).exec(text)?.[1], name);
}

function also(...names: readonly string[]): string {
  return names.map((name) => `.BR ${roff(name)} (${name === 'postern' ? 1 : 5})`).join(' ,\n');
}
