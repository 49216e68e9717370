// postern replay: what would this policy have said to each recipient in the logs of the old server?
//
// Reads and counts only. No network.

import { parseArgs } from 'node:util';
import { formatReplay, formatReplayCsv, formatReplayJson, isDifferent } from '../moving-in/replay-report.ts';
import { whatIsWrong } from './arguments.ts';
import { LOGS_HELP, LOGS_OPTIONS, type LogsRequest, readLogsRequest, replayLogs } from './logs.ts';
import type { Output } from './output.ts';

const HELP = `Usage: postern replay LOG… --policy FILE [OPTION…]

Puts every recipient in the logs of the old server to a policy, as though it enforced, and says where the policy is stricter (it
refuses what the old server accepted) or looser (it lets pass what that refused, for a reason of rights and not for one of
its own, as an unknown user), by source, sender domain and recipient domain, with examples. Lost messages are counted beside
recipients: most senders give up a whole message when one recipient is refused. What the log does not tell and the policy asks for
(login, TLS, name in DNS) is asked in every way, and where the answers differ that is 'cannot tell'. Limits and bans are not replayed.

${LOGS_HELP}  --csv                every group a line, for a spreadsheet
  --json               one JSON object
  --help               print this

Examples:
  postern replay 'RECV*.LOG' --policy office.yaml
  postern replay /var/log/postern/ --policy new.yaml --since 7d

Exit codes: 0 the policy says the same, 1 it is stricter or looser somewhere, or some of the logs could not be read, 64 wrong
usage, 65 nothing could be read, 78 the policy is faulty, 130 interrupted.
`;

const DIFFERENT = 1;
const USAGE = 64;
const WIDTH = 160; // of what is no terminal

export async function replay(args: string[], out: Output): Promise<number> {
  const request = readRequest(args);
  if (typeof request === 'string') {
    out.stderr(`postern replay: ${request}\nTry: postern replay --help\n`);
    return USAGE;
  }
  if (request === null) {
    out.stdout(HELP);
    return 0;
  }
  const replayed = await replayLogs('replay', request, out);
  if (typeof replayed === 'number') return replayed;
  const { replay: counted, read } = replayed;
  if (request.json) for (const piece of formatReplayJson(counted, read)) out.stdout(piece);
  else if (request.csv) for (const line of formatReplayCsv(counted)) out.stdout(`${line}\r\n`);
  else for (const line of formatReplay(counted, read, out.columns ?? WIDTH)) out.stdout(`${line}\n`);
  return isDifferent(counted.totals) || read.problems.length > 0 ? DIFFERENT : 0;
}

type Request = LogsRequest & { readonly json: boolean; readonly csv: boolean };

/** A string is what is wrong with the arguments; null: help is wanted. */
function readRequest(args: string[]): Request | string | null {
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse(args);
  } catch (error) {
    return whatIsWrong(error, HELP);
  }
  const { values, positionals } = parsed;
  const { help = false, json = false, csv = false } = values;
  if (help) return null;
  if (csv && json) return '--csv and --json: one of them';
  const request = readLogsRequest(values, positionals, Date.now());
  return typeof request === 'string' ? request : { ...request, json, csv };
}

function parse(args: string[]) {
  return parseArgs({ args, allowPositionals: true, options: { ...LOGS_OPTIONS, csv: { type: 'boolean' } } });
}
