// postern probe: is this server an open relay?
//
// The telnet test of old, done fully. This file reads the arguments and prints; forms.ts knows the forms, examine.ts asks,
// verdict.ts judges, report.ts words it. It deliberately offers no choice of forms: half a probe proves nothing.

import { isIP } from 'node:net';
import { parseArgs } from 'node:util';
import { whatIsWrong } from './arguments.ts';
import type { Output } from './output.ts';
import { paintFor } from './paint.ts';
import type { Destination } from './probe/dialogue.ts';
import { examine, type ProbeOptions } from './probe/examine.ts';
import { formatEnd, formatHead, formatJson, formatJsonError, formatRow, pathWidth } from './probe/report.ts';
import { exitCodeOf, verdictOf } from './probe/verdict.ts';

const HELP = `Usage: postern probe HOST:PORT [--domain LOCAL] [--source IP] [--json]

Asks a mail server to relay in every classic form, as a stranger would, and says whether it does.
It never sends a message: every mail transaction ends before DATA.

  HOST:PORT        the server; an IPv6 address stands in brackets, [2001:db8::25]:25
  --domain LOCAL   a domain that the server receives mail for
                   (default: the name in its greeting or EHLO reply)
  --source IP      speak from this address of this machine
  --json           print one JSON object instead of the table
  --help           print this

Where a login is offered in clear text, one with a made-up name is tried as well.

Verdict and exit code:
  closed (0)       nothing was accepted, and what matters was refused
  open (1)         a foreign address was accepted, plainly or in an IMCEA form,
                   or after the made-up login
  cannot tell (2)  only foreign addresses hidden behind the server's own domain were accepted
                   (old Exchange accepts these and bounces them), or too little was answered
  1 also when the server cannot be reached or does not greet, 64 when the arguments are wrong.
`;

const USAGE_ERROR = 64;
const PACE = 100;
// RFC 1035 §2.3.1 with the underscore that Windows names have, or a domain literal.
const DOMAIN =
  /^(?=.{1,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?)(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?)*$/i;

/** Runs the command; returns the exit code. A test hands in other times. */
export async function probe(args: string[], out: Output, times: Times = {}): Promise<number> {
  const request = parseRequest(args);
  if (typeof request === 'string') {
    out.stderr(`postern probe: ${request}\nTry: postern probe --help\n`);
    return USAGE_ERROR;
  }
  if (request.help) {
    out.stdout(HELP);
    return 0;
  }
  const { target, json } = request;
  const options: ProbeOptions = { to: request.to, domain: request.domain, pace: PACE, ...times };
  const examination = await examine(json ? options : { ...options, ...tablePrinter(target, options.pace, out) });
  if (typeof examination === 'string') {
    if (json) out.stdout(formatJsonError(target, examination));
    out.stderr(`postern probe: ${target} could not be probed: ${examination}\n`);
    return 1;
  }
  const verdict = verdictOf(examination.answers, examination.login);
  if (json) out.stdout(formatJson(target, examination, verdict));
  else out.stdout(`${formatEnd(examination, verdict, paintFor(out.isTTY))}\n`);
  return exitCodeOf(verdict.verdict);
}

/** Prints the head, and then each row as soon as its last answer is in. */
function tablePrinter(target: string, pace: number, out: Output): Pick<ProbeOptions, 'onBegin' | 'onForm'> {
  const paint = paintFor(out.isTTY);
  let width = 0;
  return {
    onBegin(subject) {
      width = pathWidth(subject.forms);
      out.stdout(`${formatHead(target, subject, pace)}\n`);
    },
    onForm(form, answers) {
      out.stdout(`${formatRow(form, answers, width, paint)}\n`);
    },
  };
}

type Times = Partial<Pick<ProbeOptions, 'pace' | 'patience' | 'wait'>>;

interface Request {
  readonly help: boolean;
  readonly json: boolean;
  readonly target: string;
  readonly to: Destination;
  readonly domain: string | null;
}

/** A string is what is wrong with the arguments. */
function parseRequest(args: string[]): Request | string {
  let parsed: ReturnType<typeof parseProbeArgs>;
  try {
    parsed = parseProbeArgs(args);
  } catch (error) {
    return whatIsWrong(error, HELP);
  }
  const { values, positionals } = parsed;
  const { domain = null, source = null, json = false, help = false } = values;
  const target = positionals[0] ?? '';
  const place = parsePlace(target);
  if (!help) {
    if (positionals.length === 0) return 'name the server to probe, as in mail.example.com:25';
    if (positionals.length > 1) return `one server at a time, and ${JSON.stringify(positionals[1])} is a second one`;
    if (place === null)
      return `${JSON.stringify(target)} is not HOST:PORT, as in mail.example.com:25 or [2001:db8::25]:25`;
    if (domain !== null && !DOMAIN.test(domain)) return `--domain: ${JSON.stringify(domain)} is not a domain`;
    if (source !== null && isIP(source) === 0) return `--source: ${JSON.stringify(source)} is not an IP address`;
  }
  const { host, port } = place ?? { host: '', port: 0 };
  return { help, json, target, to: { host, port, source }, domain };
}

function parseProbeArgs(args: string[]) {
  return parseArgs({
    args,
    allowPositionals: true,
    options: {
      domain: { type: 'string' },
      source: { type: 'string' },
      json: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
}

function parsePlace(text: string): { host: string; port: number } | null {
  const found = /^(?:\[([0-9a-f:.]+(?:%[\w.-]+)?)\]|([^\s:[\]/@]+)):([0-9]{1,5})$/i.exec(text);
  if (found === null) return null;
  const host = found[1] ?? found[2] ?? '';
  const port = Number(found[3]);
  if (port < 1 || port > 65_535 || (found[1] !== undefined && isIP(host) !== 6)) return null;
  return { host, port };
}
