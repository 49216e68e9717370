// npm run addresses -- [--every N]
//
// Asks every reader that is at hand for every form that we pass as ours (in sessions: for each Nth), and writes the table in
// addresses.md. Takes some minutes; addresses.test.ts asks a few of them in seconds.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ALL_SERVERS } from '../beds/all.ts';
import { versionOfServer } from '../versions.ts';
import { passedForms } from './forms.ts';
import { eximReader, isElsewhere, sendmailReader } from './readers.ts';
import { askInSession } from './sessions.ts';

const FILE = join(import.meta.dirname, 'addresses.md');
const { values } = parseArgs({ options: { every: { type: 'string', default: '5' } } });
const every = Number(values.every);

const HEAD = `# Where real servers send what we pass as ours

<!-- Made by \`npm run addresses\`: change test/real/addresses/table.ts. -->

Every form of \`forms.ts\` that our grammar passes as an address of \`local.example\` (or \`[192.0.2.25]\`), and of nobody else, asked of
servers set up the way that relays most. *elsewhere* is what counts: the server would have sent it to another host.
`;

const rows: string[] = [];
const foreign: string[] = [];

function row(
  name: string,
  version: string,
  forms: number,
  ours: number,
  refused: number,
  skipped: number,
  elsewhere: readonly string[],
): void {
  rows.push(`| ${name} | ${version} | ${forms} | ${ours} | ${refused} | ${skipped} | ${elsewhere.length} |`);
  foreign.push(...elsewhere.slice(0, 20).map((found) => `${name}: ${JSON.stringify(found)}`));
  console.log(rows.at(-1));
}

const paths = [...new Set(passedForms().map(({ path }) => path))];
for (const reader of [eximReader, sendmailReader]) {
  if (reader.missing !== false) {
    console.log(`${reader.name}: ${reader.missing}`);
    continue;
  }
  const answers = reader.ask(paths);
  const elsewhere = answers.flatMap((answer, at) => (isElsewhere(answer) ? [`${paths[at]} → ${answer}`] : []));
  const refused = answers.filter((answer) => answer === 'refused').length;
  row(reader.name, reader.version(), paths.length, paths.length - refused - elsewhere.length, refused, 0, elsewhere);
}
const forms = passedForms(every);
for (const server of ALL_SERVERS) {
  if (server.missing !== false) {
    console.log(`${server.name}: ${server.missing}`);
    continue;
  }
  const { taken, refused, skipped, elsewhere } = await askInSession(server, forms);
  row(server.name, versionOfServer(server.name), forms.length, taken - elsewhere.length, refused, skipped, elsewhere);
}
const table = [
  '| reader | version | forms | ours | refused | not asked | elsewhere |',
  '| --- | --- | --- | --- | --- | --- | --- |',
  ...rows,
];
const now = `${HEAD}\n${table.join('\n')}\n\n*not asked*: the form needs SMTPUTF8 or DSN, which the server does not offer. In sessions every ${every}th form was asked.\nSendmail's *ours* holds its local mailers for programs, files and lists as well (\`|cmd\`, \`/file\`, \`:include:\`), which it takes from no client: 550.\n`;
if (foreign.length > 0) console.log(`BYPASS\n${foreign.join('\n')}`);
if (foreign.length > 0 || now !== readFileSync(FILE, { encoding: 'utf8', flag: 'a+' })) writeFileSync(FILE, now);
process.exitCode = foreign.length > 0 ? 1 : 0;
