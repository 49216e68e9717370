// postern diff: who gains and who loses when one policy takes the place of another?
//
// Never uses the network or this machine's own addresses, so that the answer is the same everywhere.

import { parseArgs } from 'node:util';
import { formatFinding } from '../config/finding.ts';
import { compare } from '../moving-in/diff/compare.ts';
import { type Compared, readCompared, type World } from '../moving-in/diff/compared.ts';
import { comparisonJson, formatComparison, isDifferent } from '../moving-in/diff/report.ts';
import { whatIsWrong } from './arguments.ts';
import type { Output } from './output.ts';

const HELP = `Usage: postern diff OLD NEW [--json]

Compares two policies (or configurations) over the whole address space, and prints who reaches whom under the one and not
under the other: clients, recipients, senders, logins, TLS, names in DNS and HELO, addresses of ours, and from when on where rules
expire. Nothing is sampled: the space is cut at every boundary of either policy. Both are taken as though they enforced;
where one observes and the other does not, that is a difference of its own.

  --json  print one JSON object: { different, rows: [ { change: gains|loses|otherwise, sources, local, logins, tls, ptr, helo,
          senders, recipients, times, example, old: { answer, connector, reason, rule }, new } ], modes, settings, not_compared };
          null is anybody; of logins, tls, ptr, helo, senders and recipients { only: [ … ] } or { all_but: [ … ] } are meant
  --help  print this

Example:
  postern diff office.yaml new.yaml

Not compared: limits, replies, the upstream, TLS and what else a session is offered (what differs is named), and clients whose own address was
lost. docs/moving-in.md has the whole list. What is too large to compare is said.
Exit code: 0 no difference, 1 a difference or something that was not compared, 64 when the arguments are wrong, 78 when a file is faulty.
`;

const DIFFERENT = 1;
const USAGE_ERROR = 64;
const BAD_CONFIG = 78;

/** Runs the command; returns the exit code. */
export async function diff(args: string[], out: Output, now: () => number = Date.now): Promise<number> {
  const request = parseRequest(args);
  if (typeof request === 'string') {
    out.stderr(`postern diff: ${request}\nTry: postern diff --help\n`);
    return USAGE_ERROR;
  }
  if (request.help) {
    out.stdout(HELP);
    return 0;
  }
  const world: World = { now: now(), names: [] };
  const both: Compared[] = [];
  for (const file of [request.old, request.new]) {
    const read = readCompared(file, world);
    if ('policy' in read) both.push(read);
    else for (const one of read) if (one.severity === 'error') out.stderr(`${formatFinding(one)}\n`);
  }
  const [old, later] = both;
  if (old === undefined || later === undefined) return BAD_CONFIG;
  const comparison = await compare(old, later, world);
  out.stdout(request.json ? `${JSON.stringify(comparisonJson(comparison), null, 2)}\n` : formatComparison(comparison));
  return isDifferent(comparison) || comparison.leftOut.length > 0 ? DIFFERENT : 0;
}

interface Request {
  readonly help: boolean;
  readonly json: boolean;
  readonly old: string;
  readonly new: string;
}

/** A string is what is wrong with the arguments. */
function parseRequest(args: string[]): Request | string {
  let parsed: ReturnType<typeof parseDiffArgs>;
  try {
    parsed = parseDiffArgs(args);
  } catch (error) {
    return whatIsWrong(error, HELP);
  }
  const { json = false, help = false } = parsed.values;
  const [old = '', later = '', more] = parsed.positionals;
  if (!help && later === '') return 'name two policies: the old one and the new one';
  if (!help && more !== undefined) return `two policies are compared, and ${JSON.stringify(more)} is a third one`;
  return { help, json, old, new: later };
}

function parseDiffArgs(args: string[]) {
  return parseArgs({
    args,
    allowPositionals: true,
    options: { json: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } },
  });
}
