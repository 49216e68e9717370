// A replay as text for a terminal, as CSV and as JSON.

import { type Column, formatTable } from '../status/table.ts';
import { formatCount, formatOctets, plain } from '../status/words.ts';
import { csvCell, formatTime } from './inventory-report.ts';
import type { ReadReport } from './logged.ts';
import { type Group, KINDS, type Replay, type Totals } from './replay.ts';

const SHOWN = 50; // groups of a kind; --csv and --json have all

export const NOT_REPLAYED = 'Limits and bans are not replayed: they depend on what comes at the same time.';

export function isDifferent({ stricter, looser }: Totals): boolean {
  return stricter > 0 || looser > 0;
}

export function* formatReplay(replay: Replay, read: ReadReport, width: number): Generator<string> {
  const { totals, groups } = replay;
  const { messages, recipients, same, ownNo, stricter, looser, cannotTell, untold, lost, perhapsLost, beyond } = totals;
  const of = (count: number, one: string): string => `${formatCount(count)} ${one}${count === 1 ? '' : 's'}`;
  const when = totals.first === null ? '' : `, from ${formatTime(totals.first)} to ${formatTime(totals.last)} UTC`;
  yield `${of(read.files, 'file')}, ${of(read.lines, 'line')}, ${formatOctets(read.octets)}: ${of(recipients, 'recipient')} of ${of(messages, 'message')}${when}`;
  yield `same ${formatCount(same)}, stricter ${formatCount(stricter)}, looser ${formatCount(looser)}, cannot tell ${formatCount(cannotTell)}, not compared ${formatCount(untold)}`;
  if (stricter > 0 || cannotTell > 0)
    yield `${of(lost, 'message')} that the old server took would be refused, wholly or in part${perhapsLost === 0 ? '' : `; of ${formatCount(perhapsLost)} more that cannot be told`}`;
  if (ownNo > 0)
    yield `${formatCount(ownNo)} of the same were refused by the old server for a reason of its own, and would be again`;
  if (beyond > 0) yield `${of(beyond, 'recipient')} more than can be grouped: counted above only`;
  yield NOT_REPLAYED;
  for (const kind of KINDS) {
    const all = groups.filter((group) => group.kind === kind);
    if (all.length === 0) continue;
    yield '';
    yield `${TITLES[kind]} (${formatCount(all.length)})`;
    yield* formatTable(COLUMNS, all.slice(0, SHOWN), width);
    for (const { source, examples } of all.slice(0, SHOWN)) {
      const [first] = examples;
      if (first === undefined) continue;
      const { file, line, sender, recipient, reply } = first;
      yield plain(
        `  ${source}: <${sender ?? '?'}> to <${recipient}>${reply === '' ? '' : `: ${reply}`} (${file}:${line})`,
      );
    }
    if (all.length > SHOWN) yield `… and ${formatCount(all.length - SHOWN)} more: --csv has all`;
  }
}

const TITLES = {
  stricter: 'Stricter: the old server accepted, this policy refuses',
  looser: 'Looser: the old server refused, this policy lets pass',
  'cannot tell': 'Cannot tell: the log does not say what the policy asks for (login, TLS, name in DNS …)',
} as const;

const COLUMNS: readonly Column<Group>[] = [
  { head: 'source', cell: ({ source }: Group) => plain(source), most: 39, dispensable: 0 },
  { head: 'senders of', cell: ({ senderDomain }: Group) => plain(senderDomain), most: 28, dispensable: 1 },
  { head: 'recipients of', cell: ({ recipientDomain }: Group) => plain(recipientDomain), most: 28, dispensable: 0 },
  {
    head: 'recipients',
    cell: ({ recipients }: Group) => formatCount(recipients),
    most: 12,
    dispensable: 0,
    right: true,
  },
  { head: 'messages', cell: ({ messages }: Group) => formatCount(messages), most: 12, dispensable: 3, right: true },
  { head: 'this policy', cell: (group: Group) => plain(whyOf(group)), most: 44, dispensable: 0 },
  { head: 'last', cell: ({ last }: Group) => formatTime(last), most: 16, dispensable: 4 },
];

function whyOf({ said: { saying, connector, reason, rule } }: Group): string {
  const why = rule === null ? reason.replaceAll('_', ' ') : `rule ${rule}`;
  return `${saying}: ${connector === null ? 'no connector' : `${connector}, ${why}`}`;
}

const HEAD =
  'kind,source,sender_domain,recipient_domain,recipients,messages,saying,connector,reason,rule,first,last,example,sender,recipient,old_reply,reply';

export function* formatReplayCsv({ groups }: Replay): Generator<string> {
  yield HEAD;
  for (const {
    kind,
    source,
    senderDomain,
    recipientDomain,
    recipients,
    messages,
    said,
    first,
    last,
    examples,
  } of groups) {
    const [example] = examples;
    const cells = [kind, source, senderDomain, recipientDomain, recipients, messages, said.saying];
    cells.push(said.connector ?? '', said.reason, said.rule ?? '', isoOf(first) ?? '', isoOf(last) ?? '');
    cells.push(example === undefined ? '' : `${example.file}:${example.line}`, example?.sender ?? '');
    cells.push(example?.recipient ?? '', example?.reply ?? '', said.reply ?? '');
    yield cells.map(csvCell).join(',');
  }
}

function isoOf(at: number | null): string | null {
  return at === null ? null : new Date(at).toISOString();
}

/** As pieces. */
export function* formatReplayJson({ totals, groups }: Replay, read: ReadReport): Generator<string> {
  const { files, lines, octets, outside, undated, unknown, unknownLines, problems, notes } = read;
  const { ownNo, cannotTell, untold, perhapsLost, first, last, ...counts } = totals;
  const head = {
    different: isDifferent(totals),
    ...counts,
    own_no: ownNo,
    cannot_tell: cannotTell,
    not_compared: untold,
    perhaps_lost: perhapsLost,
    first: isoOf(first),
    last: isoOf(last),
    not_replayed: NOT_REPLAYED,
    read: { files, lines, octets, outside, undated, unknown, unknown_lines: unknownLines, problems, notes },
  };
  yield `${JSON.stringify(head, null, 2).slice(0, -2)},\n  "groups": [`;
  for (const [at, { first: from, last: to, ...group }] of groups.entries()) {
    const row = { ...group, first: isoOf(from), last: isoOf(to) };
    yield `${at === 0 ? '' : ','}\n    ${JSON.stringify(row)}`;
  }
  yield '\n  ]\n}\n';
}
