// What commands that put logs to a policy have in common: their options, the policy, and the reading, which Ctrl-C ends.

import { formatFinding } from '../config/finding.ts';
import { AskedOfLogs } from '../moving-in/asked.ts';
import { type Compared, readCompared, type World } from '../moving-in/diff/compared.ts';
import { complaintsOf, whyNoMail } from '../moving-in/inventory-report.ts';
import { LOG_KINDS, type LogKind, type LogSink, type ReadReport } from '../moving-in/logged.ts';
import { parseTime } from '../moving-in/period.ts';
import { readLogs } from '../moving-in/read-logs.ts';
import { Replay } from '../moving-in/replay.ts';
import type { Output } from './output.ts';
import { Progress } from './progress.ts';

export const NOTHING_READ = 65;
export const BAD_POLICY = 78;
export const INTERRUPTED = 130;

export const LOGS_HELP = `A LOG is a file, a folder (with all below it), a pattern such as 'RECV*.LOG', or - for standard input; .gz and .zip are looked
into. Which kind of log it is stands in the file itself (postern inventory --help says which are known).

  --policy FILE        the policy, or a configuration
  --accepted-domain D  a domain of your own beside those of the policy; may be given several times
  --no-logins          where the log does not tell whether a client had logged in (IIS, Postfix's refusals), it had not
  --since TIME         only messages from then on: 2026-01-31, 2026-01-31T08:00 (UTC), or 30d, 12h ago
  --until TIME         only messages before then; a day is read to its end
  --as ${LOG_KINDS.join('|')}
                       in the place of what the content looks like
`;

export const LOGS_OPTIONS = {
  policy: { type: 'string' },
  'accepted-domain': { type: 'string', multiple: true },
  since: { type: 'string' },
  until: { type: 'string' },
  as: { type: 'string' },
  'no-logins': { type: 'boolean' },
  json: { type: 'boolean' },
  help: { type: 'boolean', short: 'h' },
} as const;

export interface LogsRequest {
  readonly logs: readonly string[];
  readonly policy: string;
  readonly acceptedDomains: readonly string[];
  readonly as: LogKind | undefined;
  readonly since: number | undefined;
  readonly until: number | undefined;
  readonly noLogins: boolean;
}

interface Values {
  readonly policy?: string | undefined;
  readonly 'accepted-domain'?: string[] | undefined;
  readonly since?: string | undefined;
  readonly until?: string | undefined;
  readonly as?: string | undefined;
  readonly 'no-logins'?: boolean | undefined;
}

/** A string is what is wrong with the arguments. */
export function readLogsRequest(values: Values, logs: readonly string[], now: number): LogsRequest | string {
  const { policy, as } = values;
  if (logs.length === 0) return 'name the logs: files, folders, or - for standard input';
  if (policy === undefined) return 'name the policy: --policy FILE';
  if (as !== undefined && !isKind(as)) return `--as: '${as}' is no kind: ${LOG_KINDS.join(', ')}`;
  const since = values.since === undefined ? undefined : parseTime(values.since, '--since', now);
  const until = values.until === undefined ? undefined : parseTime(values.until, '--until', now);
  if (typeof since === 'string') return since;
  if (typeof until === 'string') return until;
  if (since !== undefined && until !== undefined && since >= until) return '--since is not before --until';
  return {
    logs,
    policy,
    acceptedDomains: values['accepted-domain'] ?? [],
    as,
    since,
    until,
    noLogins: values['no-logins'] ?? false,
  };
}

function isKind(text: string): text is LogKind {
  return (LOG_KINDS as readonly string[]).includes(text);
}

export interface Replayed {
  readonly replay: Replay;
  readonly read: ReadReport;
  readonly compared: Compared;
}

/** The logs put to the policy; a number is the exit code where that could not be, which has been said then. */
export async function replayLogs(
  name: 'replay' | 'suggest',
  request: LogsRequest,
  out: Output,
): Promise<Replayed | number> {
  const world: World = { now: Date.now(), names: null };
  const compared = readCompared(request.policy, world);
  if (!('policy' in compared)) {
    for (const one of compared) if (one.severity === 'error') out.stderr(`${formatFinding(one)}\n`);
    return BAD_POLICY;
  }
  const replay = new Replay(await AskedOfLogs.of(compared, world), name === 'suggest');
  const interrupted = new AbortController();
  const interrupt = (): void => interrupted.abort();
  for (const signal of SIGNALS) process.on(signal, interrupt);
  const progress = new Progress(out);
  const { as, since, until, noLogins } = request;
  try {
    const options = { as, since, until, signal: interrupted.signal };
    const told = (done: number, total: number | null): void => progress.at(done, total);
    const read = await readLogs(
      request.logs,
      { ...options, progress: told },
      noLogins ? withoutLogins(replay) : replay,
    );
    progress.end();
    for (const line of complaintsOf(read)) out.stderr(`${line}\n`);
    // Lines of which not one was understood are no proof of anything.
    const isRead = read.files > 0 && (read.unknown === 0 || replay.totals.messages > 0);
    const why = isRead ? whyNoMail(read) : 'nothing could be read';
    if (why === null) return { replay, read, compared };
    out.stderr(`postern ${name}: ${why}\n`);
    return NOTHING_READ;
  } catch (error) {
    progress.end();
    if (!interrupted.signal.aborted) throw error;
    out.stderr(`postern ${name}: interrupted, nothing was written\n`);
    return INTERRUPTED;
  } finally {
    for (const signal of SIGNALS) process.off(signal, interrupt);
  }
}

/** What is not told of a login is none. */
function withoutLogins(replay: Replay): LogSink {
  return {
    message: (message) => replay.message(message.login === undefined ? { ...message, login: null } : message),
    drain: () => replay.drain(),
  };
}

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;
