// postern test: does the policy still answer as its cases say?
//
// A .cases file is put to the policy of the same name beside it. Never uses the network; this machine's own addresses do
// not count, so that the answer is the same everywhere. What a client would hear is judged, as `run` would.

import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { formatFinding } from '../config/finding.ts';
import { loadPolicy } from '../config/load.ts';
import { readText } from '../config/source.ts';
import { type Case, parseCases } from '../policy/cases.ts';
import type { Policy } from '../policy/policy.ts';
import { type Answer, answerQuestion, type Verdict } from '../policy/policy-question.ts';
import { whatIsWrong } from './arguments.ts';
import type { Output } from './output.ts';

const HELP = `Usage: postern test PATH… [--json]

Puts the cases of each .cases file to the policy of the same name beside it (office.cases, office.yaml).
A PATH is a .cases file or a folder of them. One case a line:
  proceed|reject|defer|refuse-connection|refuse-sender SOURCE [WORD…] -> RECIPIENT # comment
Words: tls, tls_subject=NAME, login=NAME|?, local=ADDRESS[:PORT], sender=ADDRESS, ptr=NAME|?, helo=NAME.

  --json  print one JSON object: { cases, failed, failures: [
          { file, line, expected, answer, reply, connector, rule } ] }
  --help  print this

Examples:
  postern test policies/
  postern test office.cases

Exit code: 0 all as expected, 1 one was not, 64 when the arguments are wrong, 78 when a policy is faulty.
`;

const FAILED = 1;
const USAGE_ERROR = 64;
const BAD_CONFIG = 78;

interface Failure {
  readonly file: string;
  readonly line: number;
  readonly expected: Answer | null;
  readonly answer: Answer | null;
  readonly reply: string | null;
  readonly connector: string | null;
  readonly rule: string | null;
  readonly said: string;
}

/** Runs the command; returns the exit code. */
export async function test(args: string[], out: Output): Promise<number> {
  const request = parseRequest(args);
  if (typeof request === 'string') {
    out.stderr(`postern test: ${request}\nTry: postern test --help\n`);
    return USAGE_ERROR;
  }
  if (request.help) {
    out.stdout(HELP);
    return 0;
  }
  let cases = 0;
  const failures: Failure[] = [];
  let faulty = false;
  for (const file of request.files) {
    const result = await runCases(file, out);
    if (result === null) faulty = true;
    else {
      cases += result.cases;
      failures.push(...result.failures);
    }
  }
  if (request.json) {
    const shown = failures.map(({ said, ...failure }) => failure);
    out.stdout(`${JSON.stringify({ cases, failed: failures.length, failures: shown }, null, 2)}\n`);
  } else {
    for (const { file, line, said } of failures) out.stdout(`${file}:${line}: ${said}\n`);
    out.stdout(`${cases} ${cases === 1 ? 'case' : 'cases'}, ${failures.length} failed\n`);
  }
  if (faulty) return BAD_CONFIG;
  return failures.length === 0 ? 0 : FAILED;
}

/** Null when there is no sound policy to put them to; that has been said then. */
async function runCases(file: string, out: Output): Promise<{ cases: number; failures: Failure[] } | null> {
  const read = readText(file);
  if ('problem' in read) {
    out.stderr(`${read.problem}\n`);
    return null;
  }
  const policyFile = policyOf(file);
  if (policyFile === null) {
    out.stderr(`${file}: no policy beside it: ${file.replace(/\.cases$/, '.yaml')} is wanted\n`);
    return null;
  }
  let names: readonly string[] | null = null;
  const loaded = loadPolicy(policyFile, { host: { ownAddresses: [], gateways: [] }, resolve: async () => names });
  if (loaded.policy === null) {
    for (const finding of loaded.findings) if (finding.severity === 'error') out.stderr(`${formatFinding(finding)}\n`);
    return null;
  }
  const cases = parseCases(read.text);
  const failures: Failure[] = [];
  for (const one of cases) {
    if ('problem' in one) {
      failures.push({ ...nothing, file, line: one.line, said: one.problem });
      continue;
    }
    names = one.names;
    const failure = await tryCase(loaded.policy, one, file);
    if (failure !== null) failures.push(failure);
  }
  return { cases: cases.length, failures };
}

const nothing = { expected: null, answer: null, reply: null, connector: null, rule: null };

async function tryCase(policy: Policy, { line, expected, asked }: Case, file: string): Promise<Failure | null> {
  const verdict = await answerQuestion(policy, asked);
  if (verdict.answer === expected) return null;
  const { answer, reply, connector } = verdict;
  return {
    file,
    line,
    expected,
    answer,
    reply,
    connector: connector?.name ?? null,
    rule: verdict.decision?.rule ?? null,
    said: `expected ${expected}, got ${answer}${reply === null ? '' : ` (${reply})`}: ${because(verdict)}`,
  };
}

function because({ connector, decision, grammar }: Verdict): string {
  if (connector === null) return 'no connector answers';
  if (grammar !== null) return `connector ${connector.name}, ${grammar}`;
  if (decision === null) return `connector ${connector.name}, its connect list`;
  const what = decision.rule === null ? decision.reason.replaceAll('_', ' ') : `rule ${decision.rule}`;
  return `connector ${connector.name}, ${what}`;
}

/** The policy of the same base name. */
function policyOf(file: string): string | null {
  const base = file.replace(/\.cases$/, '');
  return ['.yaml', '.yml', '.json'].map((ending) => base + ending).find((name) => existsSync(name)) ?? null;
}

interface Request {
  readonly help: boolean;
  readonly json: boolean;
  readonly files: readonly string[];
}

/** A string is what is wrong with the arguments. */
function parseRequest(args: string[]): Request | string {
  let parsed: ReturnType<typeof parseTestArgs>;
  try {
    parsed = parseTestArgs(args);
  } catch (error) {
    return whatIsWrong(error, HELP);
  }
  const { json = false, help = false } = parsed.values;
  if (help) return { help, json, files: [] };
  if (parsed.positionals.length === 0) return 'name the cases to run, or a folder of them';
  const files: string[] = [];
  for (const path of parsed.positionals) {
    const found = casesAt(path);
    if (typeof found === 'string') return found;
    files.push(...found);
  }
  return { help, json, files };
}

function casesAt(path: string): string[] | string {
  const status = statSync(path, { throwIfNoEntry: false });
  if (status === undefined) return `${path}: there is no such file or folder`;
  if (!status.isDirectory())
    return path.endsWith('.cases') ? [path] : `${path} is no .cases file: name those, or the folder they are in`;
  const names = readdirSync(path).filter((name) => name.endsWith('.cases'));
  return names.length === 0 ? `${path} holds no .cases file` : names.sort().map((name) => join(path, name));
}

function parseTestArgs(args: string[]) {
  return parseArgs({
    args,
    allowPositionals: true,
    options: { json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
  });
}
