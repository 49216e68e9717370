// postern check: is this configuration or policy sound, and what will surprise?
//
// Reads what `run` would read, in the same way, and starts nothing: no socket, no DNS. Only --live asks the servers behind
// (check/live.ts).

import { parseArgs } from 'node:util';
import { type Finding, formatFinding, hasErrors } from '../config/finding.ts';
import { loadAny } from '../config/load.ts';
import { ASK_IT } from '../config/same-host.ts';
import { jsonSchema } from '../config/schema.ts';
import { whatIsWrong } from './arguments.ts';
import { checkLive, type Times } from './check/live.ts';
import type { Output } from './output.ts';

const HELP = `Usage: postern check FILE [--live] [--strict] [--json]
       postern check --json-schema [config|policy]

Reads a configuration or a policy as run does and prints what is wrong with it, one finding a line:
  file:line:column: error|warning|note: key: what is wrong, what would be right

  --live         ask each upstream server as well, directly, whether it relays for this machine and whether it believes
                 a made-up login; takes 20 s and more a server, and never sends a message. An open server is a warning:
                 it is what Postern is for, but its port must be closed to everybody else. A login that anybody has is
                 an error where the policy lets logins relay, and so is a server that cannot be asked
  --strict       warnings are errors
  --json         print one JSON object: { file, errors, warnings, notes, findings: [
                 { file, line, column, severity, key, message } ] }
  --json-schema [config|policy]
                 print the JSON Schema of a configuration (or of a policy), for editors
  --help         print this

Examples:
  postern check postern.yaml
  postern check office.yaml --strict

Exit code: 0 no error, 78 an error, 64 when the arguments are wrong.
`;

const BAD_CONFIG = 78;
const USAGE_ERROR = 64;

/** Runs the command; returns the exit code. A test hands in other times. */
export async function check(args: string[], out: Output, times: Times = {}): Promise<number> {
  const request = parseRequest(args);
  if (typeof request === 'string') {
    out.stderr(`postern check: ${request}\nTry: postern check --help\n`);
    return USAGE_ERROR;
  }
  if (request.help) {
    out.stdout(HELP);
    return 0;
  }
  if (request.schema !== null) {
    out.stdout(`${JSON.stringify(jsonSchema(request.schema), null, 2)}\n`);
    return 0;
  }
  const { config, document, findings: read } = loadAny(request.file);
  if (request.live && config === null && !hasErrors(read)) {
    out.stderr(`postern check: --live: ${request.file} is a policy and names no server: a configuration is wanted\n`);
    return USAGE_ERROR;
  }
  const asking = (server: string): void => out.stderr(`postern check: asking ${server}, which takes a while …\n`);
  const live =
    request.live && config !== null && document !== null
      ? await checkLive(request.file, config, document, asking, times)
      : [];
  // What was only feared is known now.
  const feared = ({ message }: Finding): boolean => live.length > 0 && message.endsWith(ASK_IT);
  const findings = [...read.filter((finding) => !feared(finding)), ...live].map((finding) =>
    request.strict ? strict(finding) : finding,
  );
  const errors = countOf(findings, 'error');
  const warnings = countOf(findings, 'warning');
  const notes = countOf(findings, 'note');
  if (request.json) {
    out.stdout(`${JSON.stringify({ file: request.file, errors, warnings, notes, findings }, null, 2)}\n`);
  } else {
    for (const finding of findings) out.stdout(`${formatFinding(finding)}\n`);
    const counts = [plural(errors, 'error'), plural(warnings, 'warning'), plural(notes, 'note')];
    out.stdout(`${request.file}: ${findings.length === 0 ? 'nothing found' : counts.join(', ')}\n`);
  }
  return errors === 0 ? 0 : BAD_CONFIG;
}

function strict(finding: Finding): Finding {
  return finding.severity === 'warning' ? { ...finding, severity: 'error' } : finding;
}

function countOf(findings: readonly Finding[], severity: Finding['severity']): number {
  return findings.filter((finding) => finding.severity === severity).length;
}

function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

interface Request {
  readonly help: boolean;
  readonly json: boolean;
  readonly strict: boolean;
  readonly live: boolean;
  readonly schema: 'config' | 'policy' | null;
  readonly file: string;
}

/** A string is what is wrong with the arguments. */
function parseRequest(args: string[]): Request | string {
  let parsed: ReturnType<typeof parseCheckArgs>;
  try {
    parsed = parseCheckArgs(args);
  } catch (error) {
    return whatIsWrong(error, HELP);
  }
  const { values, positionals } = parsed;
  const { help = false, json = false, strict = false, live = false } = values;
  const [file = '', second] = positionals;
  if (second !== undefined) return `one file at a time, and ${JSON.stringify(second)} is a second one`;
  if (values['json-schema']) {
    if (file !== '' && file !== 'config' && file !== 'policy')
      return `--json-schema: ${JSON.stringify(file)} is neither config nor policy`;
    return { help, json, strict, live, schema: file === 'policy' ? 'policy' : 'config', file: '' };
  }
  if (!help && file === '') return 'name the file to check';
  return { help, json, strict, live, schema: null, file };
}

function parseCheckArgs(args: string[]) {
  return parseArgs({
    args,
    allowPositionals: true,
    options: {
      json: { type: 'boolean' },
      strict: { type: 'boolean' },
      live: { type: 'boolean' },
      'json-schema': { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
}
