// postern import: an old server's settings in, a policy out, with what each setting became and cases that prove it.
//
// It only reads and prints. Nothing is guessed open: with a fault nothing is printed but the fault (moving-in/imported.ts).

import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { readOctets } from '../config/source.ts';
import { type Fault, type Given, type Imported, oneLine, Report } from '../moving-in/imported.ts';
import { InputFile, readInputs } from '../moving-in/input-file.ts';
import { formatEquivalence, inOrder, plain, printCases, printPolicy } from '../moving-in/print-policy.ts';
import { formatProof, type Proof, prove } from '../moving-in/prove.ts';
import { recognise, SYSTEMS, whyNoKind } from '../moving-in/readers.ts';
import type { KnownFile } from '../moving-in/system.ts';
import { writeWhole } from '../moving-in/whole-file.ts';
import { parseRange } from '../policy/ranges.ts';
import { atOnce } from '../policy/steps.ts';
import { whatIsWrong } from './arguments.ts';
import type { Output } from './output.ts';

const HELP = `Usage: postern import FILE… [OPTION…] > office.yaml

Reads the settings of an old server and prints the policy that says the same, with a comment on whatever was left out
or has no equal. What each setting became goes to standard error. A FILE is a file, a folder, a glob or -; .gz and .zip are
looked into, and UTF-16 is read as UTF-8 is. What it is shows by its content:
KINDS

  --as KIND                 all files are of this kind, whatever they look like
  --cases FILE              write the old server's answers as cases, for postern test
  --report FILE             write what each setting became to this file, not to standard error
  --accepted-domain D       a domain that the server behind takes mail for, where the files do not say (repeatable);
                            *.example.com is example.com and all below it
  --inside RANGE            the network that reaches an address or a server which relays for whoever reaches it
                            (repeatable). Without it such a right is left out
  --valid-recipients FILE   the recipients that exist, one a line: the policy will name this file
  --i-know-this-is-open     import an open relay as an open relay. Without it nobody relays where everybody did
  --json                    print one JSON object: { system, policy, yaml, report: [ { setting, value, where, became,
                            verdict, why } ], cases, check: { findings, cases, failed }, faults: [ { file, line, column,
                            message } ] }
  --help                    print this

Examples:
  postern import MSExchangeIMC.reg --cases office.cases > office.yaml
  postern import connectors.xml domains.xml --inside 10.0.0.0/8 > office.yaml

Exit code: 0 a policy was printed, 1 it does not answer as the old server did, or a file cannot be written,
64 when the arguments are wrong, 65 when a file cannot be read or understood; then no policy is printed.
`;

const OTHERWISE = 1;
const USAGE_ERROR = 64;
const BAD_DATA = 65;

/** Runs the command; returns the exit code. */
export async function importSettings(args: string[], out: Output): Promise<number> {
  const request = parseRequest(args);
  if (typeof request === 'string') {
    out.stderr(`postern import: ${request}\nTry: postern import --help\n`);
    return USAGE_ERROR;
  }
  if (request.help) {
    out.stdout(HELP.replace('KINDS', kinds()));
    return 0;
  }
  const read = await readInputs(request.files);
  const files = read.filter((one): one is InputFile => one instanceof InputFile);
  const report = new Report();
  report.faults.push(...read.filter((one): one is Fault => !(one instanceof InputFile)));
  const known = recognise(files, request.as);
  let made: Omit<Imported, 'report' | 'faults'> | null = null;
  if (!('system' in known)) report.faults.push(...known);
  else if (report.faults.length === 0) {
    made = known.system.read(known.files, request.given, report);
    for (const one of known.files) tellDoubts(one, report);
  }
  if (made === null || report.faults.length > 0) return fail(report.faults, request, out);
  return print({ ...made, report: report.equivalences, faults: [] }, request, out);
}

/** What a file does not show: whether it is whole, and whether its letters are those. */
function tellDoubts({ kind, file }: KnownFile, report: Report): void {
  const end = file.text.trimEnd();
  const last = file.place(end.length);
  if (kind.hasNoEnd)
    report.cannotBeSaid(
      last,
      'the end of the file',
      end.slice(end.length - last.column + 1),
      'nothing in such a file shows that it is whole, and what is missing may be a denial: is this its last line?',
    );
  const letter = file.text.search(/[^\0-\x7f]/);
  if (file.isGuessed && letter !== -1)
    report.cannotBeSaid(
      file.place(letter),
      'letters beyond ASCII',
      /.*/.exec(file.text.slice(letter, letter + 20))?.[0] ?? '',
      'neither UTF-8 nor UTF-16, and read as Windows-1252: if names are not right, save the file as UTF-8',
    );
}

function fail(faults: readonly Fault[], { json }: Request, out: Output): number {
  if (json) out.stdout(`${JSON.stringify({ faults }, null, 2)}\n`);
  for (const { file, line, column, message } of faults)
    out.stderr(`${file}:${line}:${column}: error: ${oneLine(message)}\n`);
  out.stderr('postern import: no policy is printed\n');
  return BAD_DATA;
}

async function print(imported: Imported, request: Request, out: Output): Promise<number> {
  const { system, policy, report } = imported;
  const names = request.files.map((file) => (file === '-' ? 'standard input' : basename(file))).join(', ');
  const lines = inOrder(report).map(formatEquivalence);
  const heading = [
    `Made by postern import of the settings of ${system}: ${names}.`,
    'What each setting became:',
    ...lines.map((line) => `  ${line}`),
    '',
  ];
  const yaml = printPolicy(policy, heading);
  const cases = printCases(imported.cases, [
    `What ${system} answers by its own settings (${names}), worked out from them and not from the policy.`,
  ]);
  const proof = await prove('office.yaml', yaml, cases, recipientsOf(request.given));
  const all = [...lines, ...formatProof(proof)];
  if (request.json) out.stdout(`${JSON.stringify(asJson(imported, yaml, cases, proof), null, 2)}\n`);
  else out.stdout(yaml);
  const text = `${all.join('\n')}\n`;
  const wrong = [
    request.report === null ? null : written(request.report, text),
    request.cases === null ? null : written(request.cases, cases),
  ].filter((one) => one !== null);
  if (request.report === null && !request.json) out.stderr(text);
  for (const one of wrong) out.stderr(`postern import: ${one}\n`);
  const isSound = proof.cases !== null && proof.failed.length === 0;
  return isSound && wrong.length === 0 ? 0 : OTHERWISE;
}

/** The file of recipients, for the check: it stands where the policy will be. */
function recipientsOf({ validRecipients }: Given): Map<string, Buffer> {
  if (validRecipients === null) return new Map();
  const read = atOnce(readOctets(validRecipients));
  return 'problem' in read ? new Map() : new Map([[validRecipients, Buffer.from(read.octets)]]);
}

function asJson({ system, policy, report }: Imported, yaml: string, cases: string, check: Proof): object {
  return { system, policy: plain(policy), yaml, report, cases, check, faults: [] };
}

/** Null, or why not. */
function written(file: string, text: string): string | null {
  try {
    writeWhole(file, [text]);
    return null;
  } catch (error) {
    return `${file} cannot be written: ${(error as Error).message}`;
  }
}

function kinds(): string {
  return SYSTEMS.map(
    ({ name, kinds: own }) => `  ${name}\n${own.map((kind) => `    ${kind.name.padEnd(16)} ${kind.what}`).join('\n')}`,
  ).join('\n');
}

interface Request {
  readonly help: boolean;
  readonly json: boolean;
  readonly files: readonly string[];
  readonly as: string | null;
  readonly cases: string | null;
  readonly report: string | null;
  readonly given: Given;
}

/** A string is what is wrong with the arguments. */
function parseRequest(args: string[]): Request | string {
  let parsed: ReturnType<typeof parseImportArgs>;
  try {
    parsed = parseImportArgs(args);
  } catch (error) {
    return whatIsWrong(error, HELP);
  }
  const { values, positionals: files } = parsed;
  const { help = false, json = false, as = null, cases = null, report = null, inside = [] } = values;
  if (!help && files.length === 0) return 'name the files with the settings of the old server';
  const wrongKind = as === null ? null : whyNoKind(as);
  if (wrongKind !== null) return `--as: ${JSON.stringify(as)} is no kind of file: ${wrongKind}`;
  for (const range of inside) {
    const { error } = parseRange(range);
    if (error !== undefined || range === 'any') return `--inside: ${error ?? 'name the network, any is no inside'}`;
  }
  const given = {
    acceptedDomains: values['accepted-domain'] ?? [],
    inside,
    validRecipients: values['valid-recipients'] ?? null,
    keepOpen: values['i-know-this-is-open'] ?? false,
  };
  return { help, json, files, as, cases, report, given };
}

function parseImportArgs(args: string[]) {
  return parseArgs({
    args,
    allowPositionals: true,
    options: {
      as: { type: 'string' },
      cases: { type: 'string' },
      report: { type: 'string' },
      'accepted-domain': { type: 'string', multiple: true },
      inside: { type: 'string', multiple: true },
      'valid-recipients': { type: 'string' },
      'i-know-this-is-open': { type: 'boolean' },
      json: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
}
