// postern suggest: the smallest rules that would let pass what the old server accepted and this policy refuses.
//
// Writes nothing into any policy: what is printed is for a person to accept or strike out. No network.

import { parseArgs } from 'node:util';
import { acceptedBy } from '../moving-in/accepted.ts';
import { MANY_DOMAINS, suggestFor } from '../moving-in/suggest.ts';
import { formatSuggestion, suggestionJson } from '../moving-in/suggest-report.ts';
import { whatIsWrong } from './arguments.ts';
import { LOGS_HELP, LOGS_OPTIONS, type LogsRequest, readLogsRequest, replayLogs } from './logs.ts';
import type { Output } from './output.ts';

const HELP = `Usage: postern suggest LOG… --policy FILE [OPTION…]

The smallest rules that would let pass what the old server accepted and this policy refuses (postern replay shows it): the very
addresses that came and the very domains that they wrote to, an owner to fill in, and an end in 90 days. Never any, and never a range.
What looks like abuse (many domains, many senders, refused by the old server too, a stranger who never sent from a domain of yours) is
shown and not proposed. The rules are YAML, to be put behind those that the connector has.

${LOGS_HELP}  --many N             more recipient domains than these of one client look like abuse (${MANY_DOMAINS})
  --json               one JSON object: { refused, cannot_tell, rules: [ { connector, rule, recipients, messages, … } ], valid_recipients, abuse, others }
  --help               print this

Example:
  postern suggest 'RECV*.LOG' --policy office.yaml > rules.yaml

Exit codes: 0 printed, 1 printed, but some of the logs could not be read, 64 wrong usage, 65 nothing could be read, 78 the
policy is faulty, 130 interrupted.
`;

const SOME_UNREAD = 1;
const USAGE = 64;

export async function suggest(args: string[], out: Output): Promise<number> {
  const request = readRequest(args);
  if (typeof request === 'string') return wrong(request, out);
  if (request === null) {
    out.stdout(HELP);
    return 0;
  }
  const replayed = await replayLogs('suggest', request, out);
  if (typeof replayed === 'number') return replayed;
  const { replay, read, compared } = replayed;
  const isAccepted = acceptedBy(compared.policy, request.acceptedDomains);
  if (typeof isAccepted === 'string') return wrong(isAccepted, out);
  const suggestion = suggestFor(replay.wishes, {
    conductOf: (source) => replay.conductOf(source),
    isAccepted,
    ruleNames: new Set(compared.policy.connectors.flatMap(({ rules }) => rules.map(({ name }) => name))),
    now: Date.now(),
    manyDomains: request.many,
  });
  const { stricter: refused, cannotTell } = replay.totals;
  if (request.json)
    out.stdout(`${JSON.stringify({ refused, cannot_tell: cannotTell, ...suggestionJson(suggestion) }, null, 2)}\n`);
  else for (const line of formatSuggestion(suggestion, refused, cannotTell)) out.stdout(`${line}\n`);
  return read.problems.length > 0 ? SOME_UNREAD : 0;
}

function wrong(what: string, out: Output): number {
  out.stderr(`postern suggest: ${what}\nTry: postern suggest --help\n`);
  return USAGE;
}

type Request = LogsRequest & { readonly json: boolean; readonly many: number };

/** A string is what is wrong with the arguments; null: help is wanted. */
function readRequest(args: string[]): Request | string | null {
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse(args);
  } catch (error) {
    return whatIsWrong(error, HELP);
  }
  const { values, positionals } = parsed;
  const { help = false, json = false, many = String(MANY_DOMAINS) } = values;
  if (help) return null;
  if (!/^[1-9]\d{0,3}$/.test(many) || Number(many) > 200) return `--many: '${many}' is no number from 1 to 200`;
  const request = readLogsRequest(values, positionals, Date.now());
  return typeof request === 'string' ? request : { ...request, json, many: Number(many) };
}

function parse(args: string[]) {
  return parseArgs({ args, allowPositionals: true, options: { ...LOGS_OPTIONS, many: { type: 'string' } } });
}
