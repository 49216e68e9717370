// postern inventory: who sends what through the old server, by its logs; with a policy, who would lose mail.
//
// Reads and counts only. Nothing is resolved unless --resolve says so. A page is written whole or not at all.

import { parseArgs } from 'node:util';
import { formatFinding } from '../config/finding.ts';
import { loadAny } from '../config/load.ts';
import { acceptedBy, type IsAccepted } from '../moving-in/accepted.ts';
import { AskedPolicy, Inventory, type SourceRow } from '../moving-in/inventory.ts';
import { formatPage } from '../moving-in/inventory-page.ts';
import {
  complaintsOf,
  formatCsv,
  formatJson,
  formatText,
  type InventoryReport,
  whyNoMail,
} from '../moving-in/inventory-report.ts';
import { LOG_KINDS, type LogKind, type ReadReport } from '../moving-in/logged.ts';
import { parseTime } from '../moving-in/period.ts';
import { readLogs } from '../moving-in/read-logs.ts';
import { writeWhole } from '../moving-in/whole-file.ts';
import type { Policy } from '../policy/policy.ts';
import { NameResolver } from '../proxy/resolver.ts';
import { whatIsWrong } from './arguments.ts';
import { addNames } from './names-in-dns.ts';
import type { Output } from './output.ts';
import { Progress } from './progress.ts';

const HELP = `Usage: postern inventory LOG… [OPTION…]

Who sends mail through the old server, by its logs: from where, under which names and logins, from and to which domains, how
much, relayed or not, since when and until when. With a policy: who would lose mail.

A LOG is a file, a folder (with all below it), a pattern such as 'RECV*.LOG', or - for standard input; .gz and .zip are looked
into. Read are the receive logs of Exchange 2007 to 2019 (RECV*.LOG), the W3C and NCSA logs of IIS's SMTP service (Exchange
2000, 2003), Postfix, Exim and Sendmail (files, or journalctl -o short, json, export), and Postern's own. Which one it is
stands in the file itself.

  --accepted-domain D  a domain of your own, as example.com or '*.example.com'; may be given several times. Mail for any other
                       domain is relayed
  --policy FILE        a policy, or a configuration: its accepted domains count, and each message is put to it
  --since TIME         only messages from then on: 2026-01-31, 2026-01-31T08:00 (UTC), or 30d, 12h ago
  --until TIME         only messages before then; a day is read to its end
  --as ${LOG_KINDS.join('|')}
                       in the place of what the content looks like
  --resolve            ask DNS for the names of the sources
  --csv                every source a line, for a spreadsheet
  --json               one JSON object
  --html FILE          write a page that needs nothing else
  --help               print this

Examples:
  postern inventory 'RECV*.LOG' --accepted-domain example.com --html senders.html
  postern inventory /var/log/mail.log* --policy office.yaml --since 30d

Exit codes: 0 shown, 1 shown, but some of it could not be read, 64 wrong usage, 65 nothing could be read, 78 the policy is
faulty, 130 interrupted.
`;

const SOME_UNREAD = 1;
const USAGE = 64;
const NOTHING_READ = 65;
const BAD_POLICY = 78;
const CANNOT_WRITE = 74;
const INTERRUPTED = 130;
const WIDTH = 160; // of what is no terminal

export async function inventory(args: string[], out: Output): Promise<number> {
  const request = readRequest(args, Date.now());
  if (typeof request === 'string') {
    out.stderr(`postern inventory: ${request}\nTry: postern inventory --help\n`);
    return USAGE;
  }
  if (request.help) {
    out.stdout(HELP);
    return 0;
  }
  const names: { of: readonly string[] | null } = { of: null };
  let policy: Policy | null = null;
  if (request.policy !== null) {
    policy = policyAt(request.policy, names, out);
    if (policy === null) return BAD_POLICY;
  }
  const isAccepted = acceptedBy(policy, request.acceptedDomains);
  if (typeof isAccepted === 'string') {
    out.stderr(`postern inventory: ${isAccepted}\n`);
    return USAGE;
  }
  const counted = new Inventory(isAccepted, policy === null ? null : new AskedPolicy(policy, names));
  const interrupted = new AbortController();
  const interrupt = (): void => interrupted.abort();
  for (const signal of SIGNALS) process.on(signal, interrupt);
  try {
    const read = await readWithProgress(request, counted, interrupted.signal, out);
    return await show(request, { counted, read, isAccepted, policy }, interrupted.signal, out);
  } catch (error) {
    if (!interrupted.signal.aborted) throw error;
    out.stderr('postern inventory: interrupted, nothing was written\n');
    return INTERRUPTED;
  } finally {
    for (const signal of SIGNALS) process.off(signal, interrupt);
  }
}

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

async function readWithProgress(
  request: Request,
  counted: Inventory,
  signal: AbortSignal,
  out: Output,
): Promise<ReadReport> {
  const progress = new Progress(out);
  const { as, since, until } = request;
  try {
    return await readLogs(
      request.logs,
      { as, since, until, signal, progress: (done, total) => progress.at(done, total) },
      counted,
    );
  } finally {
    progress.end();
  }
}

interface Counts {
  readonly counted: Inventory;
  readonly read: ReadReport;
  readonly isAccepted: IsAccepted;
  readonly policy: Policy | null;
}

async function show(
  request: Request,
  { counted, read, isAccepted, policy }: Counts,
  signal: AbortSignal,
  out: Output,
): Promise<number> {
  for (const line of complaintsOf(read)) out.stderr(`${line}\n`);
  const rows = counted.rows();
  if (read.files === 0 || (rows.length === 0 && read.unknown > 0)) {
    out.stderr('postern inventory: nothing could be read\n');
    return NOTHING_READ;
  }
  const noMail = whyNoMail(read);
  if (noMail !== null) {
    out.stderr(`postern inventory: ${noMail}\n`);
    return NOTHING_READ;
  }
  const unresolved = request.resolve ? await resolveNames(rows, signal) : null;
  if (unresolved !== null) out.stderr(`note: ${unresolved}\n`);
  const report: InventoryReport = {
    rows,
    others: counted.others,
    read,
    knowsRelaying: isAccepted !== null,
    hasPolicy: policy !== null,
  };
  if (request.html !== null) {
    try {
      writeWhole(request.html, formatPage(report, new Date()));
    } catch (error) {
      out.stderr(`postern inventory: ${request.html} cannot be written: ${(error as Error).message}\n`);
      return CANNOT_WRITE;
    }
  }
  if (request.json) for (const piece of formatJson(report)) out.stdout(piece);
  else if (request.csv) for (const line of formatCsv(report)) out.stdout(`${line}\r\n`);
  else for (const line of formatText(report, out.columns ?? WIDTH)) out.stdout(`${line}\n`);
  return read.problems.length > 0 ? SOME_UNREAD : 0;
}

async function resolveNames(rows: readonly SourceRow[], signal: AbortSignal): Promise<string | null> {
  const resolver = new NameResolver({ timeout: 2_000, within: 5_000 });
  try {
    return await addNames(rows, (source) => resolver.names(source), signal);
  } finally {
    resolver.close();
  }
}

/** Null: it is faulty, which has been said then. */
function policyAt(file: string, names: { of: readonly string[] | null }, out: Output): Policy | null {
  const loaded = loadAny(file, { host: { ownAddresses: [], gateways: [] }, resolve: async () => names.of });
  if (loaded.policy !== null) return loaded.policy;
  for (const finding of loaded.findings) if (finding.severity === 'error') out.stderr(`${formatFinding(finding)}\n`);
  return null;
}

interface Request {
  readonly help: boolean;
  readonly logs: readonly string[];
  readonly acceptedDomains: readonly string[];
  readonly policy: string | null;
  readonly as: LogKind | undefined;
  readonly since: number | undefined;
  readonly until: number | undefined;
  readonly resolve: boolean;
  readonly csv: boolean;
  readonly json: boolean;
  readonly html: string | null;
}

/** A string is what is wrong with the arguments. */
function readRequest(args: string[], now: number): Request | string {
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse(args);
  } catch (error) {
    return whatIsWrong(error, HELP);
  }
  const { values, positionals } = parsed;
  const { help = false, csv = false, json = false, resolve = false, as } = values;
  const since = values.since === undefined ? undefined : parseTime(values.since, '--since', now);
  const until = values.until === undefined ? undefined : parseTime(values.until, '--until', now);
  if (typeof since === 'string') return since;
  if (typeof until === 'string') return until;
  if (!help && positionals.length === 0) return 'name the logs: files, folders, or - for standard input';
  if (csv && json) return '--csv and --json: one of them';
  if (as !== undefined && !isKind(as)) return `--as: '${as}' is no kind: ${LOG_KINDS.join(', ')}`;
  if (since !== undefined && until !== undefined && since >= until) return '--since is not before --until';
  const acceptedDomains = values['accepted-domain'] ?? [];
  const { policy = null, html = null } = values;
  return { help, logs: positionals, acceptedDomains, policy, as, since, until, resolve, csv, json, html };
}

function isKind(text: string): text is LogKind {
  return (LOG_KINDS as readonly string[]).includes(text);
}

function parse(args: string[]) {
  return parseArgs({ args, allowPositionals: true, options: OPTIONS });
}

const OPTIONS = {
  'accepted-domain': { type: 'string', multiple: true },
  policy: { type: 'string' },
  since: { type: 'string' },
  until: { type: 'string' },
  as: { type: 'string' },
  resolve: { type: 'boolean' },
  csv: { type: 'boolean' },
  json: { type: 'boolean' },
  html: { type: 'string' },
  help: { type: 'boolean', short: 'h' },
} as const;
