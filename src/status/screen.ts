// What `postern status` shows: GET /status and GET /sessions as lines for a terminal of a given size.
//
// A pure function of the two answers: the time is that of the answer, so that a clock which differs makes no age wrong. What
// the firewall says of its peers is made fit for a terminal once more, since whoever answers may be somebody else.

import type { ServerStatus, SessionList, SessionRow, Status } from './shapes.ts';
import { type Column, cut, formatTable, wrap } from './table.ts';
import { ageOf, formatAge, formatCount, formatOctets, many, plain, upstreamsOf } from './words.ts';

export type Paint = (colour: 'red' | 'green' | 'yellow' | 'dim' | 'bold', text: string) => string;

export interface Size {
  readonly columns: number;
  /** Of the terminal; sessions are shown as far as there is room. Infinity where it scrolls. */
  readonly rows: number;
}

const INDENT = 10;

export function drawStatus(status: Status, list: SessionList, { columns, rows }: Size, paint: Paint): string[] {
  const fact = (name: string, text: string): string[] =>
    wrap(`${name.padEnd(INDENT - 1)} ${plain(text)}`, columns, INDENT);
  const above = [
    ...headline(status, columns, paint),
    ...status.warnings.flatMap((warning) =>
      wrap(`${'WARNING'.padEnd(INDENT - 1)} ${plain(warning)}`, columns, INDENT).map((line) => paint('yellow', line)),
    ),
    ...fact('listens', `${status.listeners.join(', ')}; admin ${status.admin ?? 'none'}`),
    ...fact('policy', `${status.policy.version}, loaded ${ageOf(status.policy.loaded, status.time)} ago`),
    ...fact('process', processOf(status)),
    ...fact('totals', totalsOf(status)),
    '',
    ...serversOf(status, columns, paint),
    '',
    ...fact('sessions', `${formatCount(status.sessions.open)}${counts(status.sessions.by_phase)}`),
    ...(status.sessions.open === 0 ? [] : fact('connector', counts(status.sessions.by_connector, ''))),
  ];
  if (list.sessions.length === 0) return above;
  return [...above, '', ...sessionsOf(status, list, columns, rows - above.length - 1, paint)];
}

function headline(status: Status, columns: number, paint: Paint): string[] {
  const { version, mode, uptime_seconds: uptime, time } = status;
  const is = status.draining ? 'ending' : status.listening ? 'up' : 'not listening for';
  const left = `postern ${plain(version)}  ${is} ${formatAge(uptime * 1000)}  mode ${plain(mode)}`;
  const clock = `${time.slice(0, 19).replace('T', ' ')} UTC`;
  const room = columns - left.length - clock.length;
  return [paint('bold', cut(room < 2 ? left : `${left}${' '.repeat(room)}${clock}`, columns))];
}

function processOf({ workers, state, bans, certificates }: Status): string {
  const threads =
    workers.open === workers.configured
      ? many(workers.open, 'worker')
      : `${workers.open} of ${many(workers.configured, 'worker')}`;
  const counters = state.kind === 'memory' ? 'counters in memory' : `Redis ${state.up ? 'up' : 'down'}`;
  const soonest = certificates.toSorted((a, b) => a.days_left - b.days_left)[0];
  const ends =
    soonest === undefined
      ? ''
      : `; certificate of ${soonest.names[0] ?? '?'} ends in ${many(soonest.days_left, 'day')}`;
  return `${threads}; ${counters}; ${many(bans, 'ban')}${ends}`;
}

function totalsOf({ totals }: Status): string {
  const parts = [
    many(totals.messages, 'message'),
    `${many(totals.recipients_passed, 'recipient')} passed`,
    `${formatCount(totals.recipients_refused)} refused`,
    ...(totals.recipients_would_be_refused > 0
      ? [`${formatCount(totals.recipients_would_be_refused)} would be refused`]
      : []),
    `${formatCount(totals.recipients_refused_by_server)} refused by the server`,
    `${many(totals.connections_refused, 'connection')} refused`,
  ];
  return parts.join(', ');
}

function serversOf({ servers, time }: Status, width: number, paint: Paint): string[] {
  const columns: Column<ServerStatus>[] = [
    { head: 'SERVER', cell: ({ server }) => plain(server), most: 47, dispensable: 0 },
    {
      head: 'STATE',
      cell: ({ state, up }) => (state === 'draining' && !up ? 'draining, down' : state),
      most: 14,
      dispensable: 0,
    },
    {
      head: 'FOR',
      cell: ({ since }) => (since === null ? '–' : ageOf(since, time)),
      most: 11,
      dispensable: 0,
      right: true,
    },
    { head: 'SESSIONS', cell: ({ sessions }) => formatCount(sessions), most: 9, dispensable: 0, right: true },
    { head: 'WHY', cell: whyOf, most: width, dispensable: 0 },
  ];
  if (servers.some(({ upstreams }) => upstreams !== undefined))
    columns.splice(1, 0, {
      head: 'UPSTREAM',
      cell: (one) => plain(upstreamsOf(one).join(', ')),
      most: 24,
      dispensable: 1,
    });
  const [head = '', ...lines] = formatTable(columns, servers, width);
  return [
    paint('dim', head),
    ...lines.map((line, i) => {
      const { state, up } = servers[i] as ServerStatus;
      return up ? (state === 'draining' ? paint('yellow', line) : line) : paint('red', line);
    }),
  ];
}

function whyOf({ why, state, next_probe_seconds: next }: ServerStatus): string {
  if (why === undefined) return state === 'unknown' ? 'not asked yet' : '';
  return plain(next === undefined ? why : `${why}; asked again in ${next} s`);
}

function sessionsOf(status: Status, list: SessionList, width: number, rows: number, paint: Paint): string[] {
  const columns: Column<SessionRow>[] = [
    { head: 'ID', cell: ({ id }) => plain(id), most: 12, dispensable: 0 },
    { head: 'CLIENT', cell: ({ client_address }) => plain(client_address), most: 39, dispensable: 0 },
    { head: 'PHASE', cell: ({ phase }) => plain(phase), most: 13, dispensable: 0 },
    {
      head: 'WAITS FOR',
      cell: (one) => `${plain(one.waits_for)} ${ageOf(one.waits_since, status.time)}`,
      most: 19,
      dispensable: 0,
    },
    { head: 'LAST', cell: ({ verb }) => plain(verb ?? '–'), most: 10, dispensable: 1 },
    { head: 'OCTETS', cell: (one) => formatOctets(one.octets_from_client), most: 9, dispensable: 2, right: true },
    { head: 'CONNECTOR', cell: ({ connector }) => plain(connector), most: 20, dispensable: 3 },
    { head: 'LOGIN', cell: ({ sasl_username }) => plain(sasl_username ?? '–'), most: 24, dispensable: 4 },
    { head: 'OPEN', cell: ({ opened }) => ageOf(opened, status.time), most: 11, dispensable: 5, right: true },
    { head: 'SERVER', cell: ({ server }) => plain(server ?? '–'), most: 21, dispensable: 6 },
  ];
  const fitsAll = list.sessions.length <= rows - 1 && list.sessions.length === list.open;
  const shown = list.sessions.slice(0, fitsAll ? list.open : Math.max(1, rows - 2)); // beside the head and what is left out
  const [head = '', ...lines] = formatTable(columns, shown, width);
  const others = list.open - shown.length;
  return [
    paint('dim', head),
    ...lines,
    ...(others > 0 ? [paint('dim', cut(`and ${formatCount(others)} more: GET /sessions has them`, width))] : []),
  ];
}

/** `: command 300, mail-data 12`, the most first. */
function counts(of: Readonly<Record<string, number>>, lead = ': '): string {
  const parts = Object.entries(of).toSorted(([, a], [, b]) => b - a);
  return parts.length === 0 ? '' : lead + parts.map(([name, count]) => `${name} ${formatCount(count)}`).join(', ');
}
