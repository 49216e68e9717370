// postern probe: is this server an open relay?
//
// The telnet test of old, done fully. This file reads the arguments and prints; forms.ts knows the forms, examine.ts asks,
// verdict.ts judges, report.ts words it. It deliberately offers no choice of forms: half a probe proves nothing.

import { isIP } from 'node:net';
import { parseArgs } from 'node:util';
import { readText } from '../config/source.ts';
import { normaliseAddress } from '../proxy/address.ts';
import { formatProxyHeader } from '../proxy/proxy-protocol.ts';
import { whatIsWrong } from './arguments.ts';
import type { Output } from './output.ts';
import { paintFor } from './paint.ts';
import type { Destination } from './probe/dialogue.ts';
import { askExpected, examine, type ProbeOptions } from './probe/examine.ts';
import type { Credentials } from './probe/login.ts';
import {
  formatEnd,
  formatExpectation,
  formatExpectationJson,
  formatHead,
  formatJson,
  formatJsonError,
  formatRow,
  pathWidth,
} from './probe/report.ts';
import { exitCodeOf, expectationOf, verdictOf } from './probe/verdict.ts';

const HELP = `Usage: postern probe HOST:PORT [OPTION…]

Asks a mail server to relay in every classic form, as a stranger would, and says whether it does.
It never sends a message: every mail transaction ends before DATA. It takes 20 s and more, as it hurries no server.

  HOST:PORT        the server; an IPv6 address stands in brackets, [2001:db8::25]:25
  --domain LOCAL   a domain that the server receives mail for
                   (default: the name in its greeting or EHLO reply)
  --source IP      speak from this address of this machine
  --proxy-header IP
                   as the client at this address behind a balancer: a PROXY header names it, which a server takes only
                   from whom it lists
  --proxy-version 1|2
                   the version of that header (default 2)
  --login USER --password-file F
                   log in first, with the first of CRAM-MD5, PLAIN and LOGIN that is offered in clear text; the last two
                   show the password to whoever listens on the way
  --expect-relay ADDR
                   ask for this recipient alone, which must be allowed; repeatable
  --sender ADDR    from this sender, with --expect-relay (default <>)
  --json           print one JSON object instead of the table
  --help           print this

Where a login is offered in clear text, one with a made-up name is tried as well.

Examples:
  postern probe mail.example.com:25
  postern probe 10.0.0.10:25 --expect-relay bob@partner.example --sender alice@example.com

Verdict and exit code:
  closed (0)       nothing was accepted, and what matters was refused
  open (1)         a foreign address was accepted, plainly or in an IMCEA form,
                   or after the made-up login
  cannot tell (2)  only foreign addresses hidden behind the server's own domain were accepted
                   (old Exchange accepts these and bounces them), or too little was answered
With --expect-relay instead: as expected (0) all were accepted, not as expected (1) one was refused, cannot tell (2).
The code is 1 also when the server cannot be reached, does not greet or refuses the login, and 64 when the arguments are wrong.
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
  const { to, domain, client, credentials } = request;
  const options: ProbeOptions = { to, domain, client, credentials, pace: PACE, ...times };
  if (request.expected.length > 0) return await expect(request, options, out);
  const examination = await examine(json ? options : { ...options, ...tablePrinter(target, options.pace, out) });
  if (typeof examination === 'string') return failed(request, examination, out);
  const verdict = verdictOf(examination.answers, examination.login);
  if (json) out.stdout(formatJson(target, examination, verdict));
  else out.stdout(`${formatEnd(examination, verdict, paintFor(out.isTTY))}\n`);
  return exitCodeOf(verdict.verdict);
}

/** What must be allowed, and nothing else. */
async function expect(request: Request, options: ProbeOptions, out: Output): Promise<number> {
  const { target, json, sender, expected } = request;
  const expectation = await askExpected(options, sender, expected);
  if (typeof expectation === 'string') return failed(request, expectation, out);
  if (json) out.stdout(formatExpectationJson(target, expectation));
  else out.stdout(`${formatExpectation(target, expectation, paintFor(out.isTTY))}\n`);
  return exitCodeOf(expectationOf(expectation.answers));
}

function failed({ target, json }: Request, why: string, out: Output): number {
  if (json) out.stdout(formatJsonError(target, why));
  out.stderr(`postern probe: ${target} could not be probed: ${why}\n`);
  return 1;
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
  readonly client: string | null;
  readonly credentials: Credentials | null;
  /** Paths, with brackets. */
  readonly sender: string;
  readonly expected: readonly string[];
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
  const {
    'proxy-header': client = null,
    'proxy-version': version = '2',
    login,
    'password-file': passwordFile,
  } = values;
  const { 'expect-relay': expected = [], sender } = values;
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
  const to = { host, port, source, ...(client === null ? {} : { header: headerFor(client, version === '1' ? 1 : 2) }) };
  const nobody = { help, json, target, to, domain, client, credentials: null, sender: '<>', expected: [] };
  if (help) return nobody;
  if (client !== null && (isIP(client) === 0 || client.includes('%')))
    return `--proxy-header: ${JSON.stringify(client)} is not an IP address`;
  if (version !== '1' && version !== '2') return `--proxy-version: ${JSON.stringify(version)} is neither 1 nor 2`;
  if (values['proxy-version'] !== undefined && client === null) return '--proxy-version goes with --proxy-header IP';
  if ((login === undefined) !== (passwordFile === undefined)) return '--login USER and --password-file F go together';
  if (sender !== undefined && expected.length === 0) return '--sender goes with --expect-relay ADDR';
  for (const address of expected)
    if (!ADDRESS.test(address))
      return `--expect-relay: ${JSON.stringify(address)} is not an address, as bob@example.com`;
  if (sender !== undefined && sender !== '<>' && sender !== '' && !ADDRESS.test(sender))
    return `--sender: ${JSON.stringify(sender)} is not an address, as bob@example.com`;
  const credentials = login === undefined ? null : readCredentials(login, passwordFile ?? '');
  if (typeof credentials === 'string') return credentials;
  return { ...nobody, credentials, sender: bracketed(sender ?? ''), expected: expected.map(bracketed) };
}

// What a person may want to ask for, not every path of RFC 5321.
const ADDRESS = /^(?:<[!-;=?-~]+@[!-;=?-~]+>|[!-;=?-~]+@[!-;=?-~]+)$/;

function bracketed(address: string): string {
  return address.startsWith('<') ? address : `<${address}>`;
}

/** The password is what the file holds, without its last line end. */
function readCredentials(user: string, file: string): Credentials | string {
  const read = readText(file);
  if ('problem' in read) return `--password-file: ${read.problem}`;
  const password = read.text.replace(/\r?\n$/, '');
  if (user === '') return '--login: whom? a name is wanted';
  if (password === '') return `--password-file: ${file} is empty`;
  if (/[\0\r\n]/.test(user + password))
    return '--login: neither name nor password may hold a NUL or more than one line';
  return { user: octets(user), password: octets(password) };
}

function octets(text: string): string {
  return Buffer.from(text).toString('latin1');
}

/** From the client to the end of this connection that is the server's. */
function headerFor(client: string, version: 1 | 2): NonNullable<Destination['header']> {
  return ({ remoteAddress = '', remotePort = 0, localPort = 0 }) =>
    formatProxyHeader(version, {
      source: { address: client, port: localPort },
      destination: { address: normaliseAddress(remoteAddress), port: remotePort },
    });
}

function parseProbeArgs(args: string[]) {
  return parseArgs({
    args,
    allowPositionals: true,
    options: {
      domain: { type: 'string' },
      source: { type: 'string' },
      'proxy-header': { type: 'string' },
      'proxy-version': { type: 'string' },
      login: { type: 'string' },
      'password-file': { type: 'string' },
      'expect-relay': { type: 'string', multiple: true },
      sender: { type: 'string' },
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
