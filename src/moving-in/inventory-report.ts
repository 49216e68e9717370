// The inventory as text for a terminal, as CSV, and as JSON.
//
// What a client called itself may be anything: a terminal gets no control character of it, and a spreadsheet no formula.

import { type Column, formatTable } from '../status/table.ts';
import { formatCount, formatOctets, plain } from '../status/words.ts';
import type { Counted } from './counted.ts';
import type { Others, SourceRow } from './inventory.ts';
import type { ReadReport } from './logged.ts';

export interface InventoryReport {
  readonly rows: readonly SourceRow[];
  readonly others: Others;
  readonly read: ReadReport;
  /** Accepted domains are known, so that it can be said who relays. */
  readonly knowsRelaying: boolean;
  /** A policy was asked. */
  readonly hasPolicy: boolean;
}

export interface Totals {
  readonly sources: number;
  readonly messages: number;
  readonly recipients: number;
  readonly relayed: number;
  readonly refused: number;
  readonly lost: number;
  readonly relayingSources: number;
  readonly losingSources: number;
  readonly first: number | null;
  readonly last: number | null;
}

export function totalsOf({ rows, others }: InventoryReport): Totals {
  const sum = (of: (row: SourceRow) => number): number => rows.reduce((all, row) => all + of(row), 0);
  return {
    sources: rows.length + others.sources,
    messages: sum((row) => row.messages) + others.messages,
    recipients: sum((row) => row.recipients) + others.recipients,
    relayed: sum((row) => row.relayed ?? 0) + others.relayed,
    refused: sum((row) => row.refused) + others.refused,
    lost: sum((row) => row.lost ?? 0) + others.lost,
    relayingSources: sum((row) => ((row.relayed ?? 0) > 0 ? 1 : 0)),
    losingSources: sum((row) => ((row.lost ?? 0) > 0 ? 1 : 0)),
    first: rows.reduce<number | null>(
      (least, { first }) => (first !== null && (least === null || first < least) ? first : least),
      null,
    ),
    last: rows.reduce<number | null>(
      (most, { last }) => (last !== null && (most === null || last > most) ? last : most),
      null,
    ),
  };
}

export const ASK_FOR_DOMAINS =
  'Who relays cannot be told: say which domains are your own, with --accepted-domain D (once for each) or --policy FILE';

/** `2026-01-31 08:00`, UTC. */
export function formatTime(at: number | null): string {
  return at === null ? '' : new Date(at).toISOString().slice(0, 16).replace('T', ' ');
}

/** Sentences above the table. */
export function summaryOf(report: InventoryReport): string[] {
  const { read, others, knowsRelaying, hasPolicy } = report;
  const totals = totalsOf(report);
  const of = (count: number, one: string, many = `${one}s`): string =>
    `${formatCount(count)} ${count === 1 ? one : many}`;
  const when = totals.first === null ? '' : `, from ${formatTime(totals.first)} to ${formatTime(totals.last)} UTC`;
  const lines = [
    `${of(read.files, 'file')}, ${of(read.lines, 'line')}, ${formatOctets(read.octets)}: ${of(totals.messages, 'message')} of ${of(totals.sources, 'source')}${when}`,
  ];
  if (!knowsRelaying) lines.push(ASK_FOR_DOMAINS);
  else if (totals.relayed === 0) lines.push('Nobody relays: every recipient was of an accepted domain');
  else
    lines.push(
      `${of(totals.relayingSources, 'source relays', 'sources relay')}: ${of(totals.relayed, 'recipient')} of foreign domains`,
    );
  if (hasPolicy)
    lines.push(
      totals.lost === 0
        ? 'With this policy nobody would lose mail'
        : `With this policy ${of(totals.losingSources, 'source')} would lose ${of(totals.lost, 'message')}`,
    );
  if (others.sources > 0)
    lines.push(
      `${of(others.sources, 'source')} with the least mail have no row of their own: ${of(others.messages, 'message')} of theirs, ${formatCount(others.refused)} refused, are in the sums`,
    );
  if (read.undated > 0) lines.push(`${of(read.undated, 'message')} without a date`);
  return lines;
}

/** What was not read or understood, for standard error. */
export function complaintsOf({ problems, notes, unknown, unknownLines }: ReadReport): string[] {
  const lines = [...problems.map(plain), ...notes.map((note) => `note: ${plain(note)}`)];
  if (unknown === 0) return lines;
  lines.push(
    `${formatCount(unknown)} ${unknown === 1 ? 'line was' : 'lines were'} not understood${unknown > unknownLines.length ? ', the first of them' : ''}:`,
  );
  for (const { file, line, why, text } of unknownLines) lines.push(`  ${plain(file)}:${line}: ${why}: ${text}`);
  return lines;
}

/** Lines that were understood and of which none tells of mail: a web server's, say, whose logs look the same. Null: some do. */
export function whyNoMail({ messages, outside, lines }: ReadReport): string | null {
  if (messages + outside > 0) return null;
  return `none of the ${formatCount(lines)} lines tells of mail that a client brought: nothing can be said; is it the log of another program, or of a day without mail?`;
}

const SHOWN = 50; // rows; --csv has all

/** The table, for a terminal of this width. */
export function formatText(report: InventoryReport, width: number): string[] {
  const { rows, hasPolicy } = report;
  const losing = hasPolicy ? rows.filter(({ lost }) => (lost ?? 0) > 0) : [];
  const relaying = rows.filter((row) => (row.relayed ?? 0) > 0 && !losing.includes(row));
  const shown = new Set([...losing, ...relaying]);
  const rest = rows.filter((row) => !shown.has(row));
  return [
    ...summaryOf(report),
    ...group('Would lose mail', losing, report, width),
    ...losing
      .slice(0, SHOWN)
      .flatMap(({ source, loss }) =>
        loss === null
          ? []
          : [
              plain(
                `  ${source}: <${loss.sender ?? '?'}> to <${loss.recipient}>: ${loss.reply} (${loss.file}:${loss.line})`,
              ),
            ],
      ),
    ...group('Relay', relaying, report, width),
    ...group(shown.size === 0 ? 'Sources' : 'Others', rest, report, width),
  ];
}

function group(title: string, rows: readonly SourceRow[], report: InventoryReport, width: number): string[] {
  if (rows.length === 0) return [];
  const lines = formatTable(columnsFor(report), rows.slice(0, SHOWN), width);
  const more = rows.length - SHOWN;
  return [
    '',
    `${title} (${formatCount(rows.length)})`,
    ...lines,
    ...(more > 0 ? [`… and ${formatCount(more)} more: --csv has all`] : []),
  ];
}

function columnsFor({ knowsRelaying, hasPolicy }: InventoryReport): Column<SourceRow>[] {
  const count = (head: string, of: (row: SourceRow) => number | null, dispensable: number): Column<SourceRow> => ({
    head,
    cell: (row) => formatCount(of(row) ?? 0),
    most: 12,
    dispensable,
    right: true,
  });
  const names = (head: string, of: (row: SourceRow) => Counted, dispensable: number): Column<SourceRow> => ({
    head,
    cell: (row) => plain(firstOf(of(row))),
    most: 28,
    dispensable,
  });
  return [
    { head: 'source', cell: ({ source }) => source, most: 39, dispensable: 0 },
    names('name', (row) => row.names, 5),
    names('helo', (row) => row.helo, 4),
    names('login', (row) => row.logins, 3),
    names('senders of', (row) => row.senderDomains, 2),
    names('recipients of', (row) => ((row.relayed ?? 0) > 0 ? row.relayedDomains : row.recipientDomains), 1),
    count('messages', (row) => row.messages, 0),
    count('recipients', (row) => row.recipients, 6),
    ...(knowsRelaying ? [count('relayed', (row) => row.relayed, 0)] : []),
    count('refused', (row) => row.refused, 0),
    ...(hasPolicy ? [count('lost', (row) => row.lost, 0)] : []),
    { head: 'first', cell: ({ first }) => formatTime(first), most: 16, dispensable: 8 },
    { head: 'last', cell: ({ last }) => formatTime(last), most: 16, dispensable: 7 },
  ];
}

/** The most frequent, and how many others there are. */
function firstOf(counted: Counted): string {
  const [first, ...rest] = counted.list();
  if (first === undefined) return '';
  if (rest.length === 0) return first.name;
  return `${first.name} +${rest.length}${counted.more > 0 ? '…' : ''}`;
}

const HEAD =
  'source,names,helo,logins,connectors,sender_domains,recipient_domains,relayed_domains,messages,recipients,relayed,relayed_messages,refused,may_relay,lost,first,last';

/** A row a line; several names in a cell are separated by blanks, the most frequent first. */
export function* formatCsv({ rows }: InventoryReport): Generator<string> {
  yield HEAD;
  for (const row of rows) {
    const names = [
      row.names,
      row.helo,
      row.logins,
      row.connectors,
      row.senderDomains,
      row.recipientDomains,
      row.relayedDomains,
    ];
    const cells = [
      row.source,
      ...names.map((counted) =>
        [...counted.list().map(({ name }) => name), ...(counted.more > 0 ? ['…'] : [])].join(' '),
      ),
      row.messages,
      row.recipients,
      row.relayed ?? '',
      row.relayed === null ? '' : row.relayedMessages,
      row.refused,
      row.mayRelay ? 'yes' : '',
      row.lost ?? '',
      row.first === null ? '' : new Date(row.first).toISOString(),
      row.last === null ? '' : new Date(row.last).toISOString(),
    ];
    yield cells.map(csvCell).join(',');
  }
}

/** RFC 4180; an apostrophe before what a spreadsheet would take for a formula. */
export function csvCell(value: string | number): string {
  if (typeof value === 'number') return String(value);
  const harmless = value.replace(/[\0-\x1f\x7f]/g, '?');
  const text = /^[=+\-@]/.test(harmless) ? `'${harmless}` : harmless;
  return /[",']/.test(text) || text !== text.trim() ? `"${text.replaceAll('"', '""')}"` : text;
}

/** As pieces, since a million rows are no one string. */
export function* formatJson(report: InventoryReport): Generator<string> {
  const { rows, others, read, knowsRelaying, hasPolicy } = report;
  const { unknownLines, undated, outside, unknown, problems, notes, files, lines, octets } = read;
  const { first, last, ...totals } = totalsOf(report);
  const head = {
    ...totals,
    relayed: knowsRelaying ? totals.relayed : null,
    lost: hasPolicy ? totals.lost : null,
    first: isoOf(first),
    last: isoOf(last),
    read: { files, lines, octets, outside, undated, unknown, unknown_lines: unknownLines, problems, notes },
    others,
  };
  yield `${JSON.stringify(head, null, 2).slice(0, -2)},\n  "rows": [`;
  for (const [at, row] of rows.entries()) yield `${at === 0 ? '' : ','}\n    ${JSON.stringify(jsonOf(row))}`;
  yield '\n  ]\n}\n';
}

function jsonOf(row: SourceRow): object {
  const names = (counted: Counted): object => ({ list: counted.list(), more: counted.more });
  return {
    source: row.source,
    names: names(row.names),
    helo: names(row.helo),
    logins: names(row.logins),
    connectors: names(row.connectors),
    sender_domains: names(row.senderDomains),
    recipient_domains: names(row.recipientDomains),
    relayed_domains: names(row.relayedDomains),
    messages: row.messages,
    recipients: row.recipients,
    relayed: row.relayed,
    relayed_messages: row.relayed === null ? null : row.relayedMessages,
    refused: row.refused,
    may_relay: row.mayRelay,
    lost: row.lost,
    loss: row.loss,
    first: isoOf(row.first),
    last: isoOf(row.last),
  };
}

function isoOf(at: number | null): string | null {
  return at === null ? null : new Date(at).toISOString();
}
