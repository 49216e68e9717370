// Which kind of log a line is of, by what stands in it.
//
// A line that could be of two kinds is of none here; a kind's own reader still says whether it understands a line.

import type { LogKind } from './logged.ts';

export const RECV_FIELDS =
  'date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context';

const EXCHANGE_LINE = /^\d{4}-\d\d-\d\dT[\d:.]+Z,("(?:[^"]|"")*"|[^",]*),[0-9A-Fa-f]{16},\d+,[^,]*,[^,]*,[-+<>*],/;
const NCSA_LINE = /^[0-9A-Fa-f.:]+ \S+ \S+ \[\d\d\/[A-Z][a-z]{2}\/\d{4}:\d\d:\d\d:\d\d ?[-+] ?\d{4}\] "/;
const EXIM_ID = '(?:[0-9A-Za-z]{6}-[0-9A-Za-z]{6}-[0-9A-Za-z]{2}|[0-9A-Za-z]{6}-[0-9A-Za-z]{11}-[0-9A-Za-z]{4})';
export const EXIM_TIME = /^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?(?: [-+]\d{4})?) (?:\[\d+\] )?/;
const EXIM_LINE = new RegExp(
  `${EXIM_TIME.source}(?:${EXIM_ID} |H=|SMTP |exim |no host name found|Start queue run|End queue run|TLS error)`,
);
const SYSLOG_TIME =
  '(?:[A-Z][a-z]{2} [ \\d]\\d \\d\\d:\\d\\d:\\d\\d|\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(?:[.,]\\d+)?(?:Z|[-+]\\d\\d:?\\d\\d)?)';
/** Time, host, program, process, message. */
export const SYSLOG_LINE = new RegExp(
  `^(?:<\\d+>\\d? ?)?(${SYSLOG_TIME}) (\\S+) ([^\\s:[\\]]+)(?:\\[(\\d+)\\])?: ?(.*)$`,
);

const MOST_BEFORE = 200;

/** Null: it tells nothing. */
export function kindOfLine(line: string): LogKind | null {
  if (line.startsWith('#')) return kindOfHeader(line);
  if (line.startsWith('{')) return kindOfJson(line);
  if (line.startsWith('__CURSOR=') || line.startsWith('__REALTIME_TIMESTAMP=')) return 'syslog';
  if (EXCHANGE_LINE.test(line)) return 'exchange';
  if (NCSA_LINE.test(line)) return 'ncsa';
  if (EXIM_LINE.test(line)) return 'exim';
  if (SYSLOG_LINE.test(line)) return 'syslog';
  return posternLineIn(line) === null ? null : 'postern';
}

/** A line of Postern's behind what a program that gathers logs puts before it: a time and `stdout F`, a pod, `postern-1 | `. */
export function posternLineIn(line: string): string | null {
  const at = line.indexOf('{"level":"');
  if (at === -1 || at > MOST_BEFORE) return null;
  const own = line.slice(at);
  return kindOfJson(own) === 'postern' ? own : null;
}

function kindOfHeader(line: string): LogKind | null {
  if (/^#Log-type: SMTP Receive Protocol Log\s*$/i.test(line)) return 'exchange';
  const fields = /^#Fields:\s*(.*)$/i.exec(line)?.[1];
  if (fields === undefined) return null;
  if (/^date-time,connector-id,session-id,/.test(fields)) return 'exchange';
  return /(^| )(c-ip|cs-method)( |$)/.test(fields) ? 'w3c' : null;
}

function kindOfJson(line: string): LogKind | null {
  if (/"(MESSAGE|__CURSOR|__REALTIME_TIMESTAMP)":/.test(line)) return 'syslog';
  if (/^\{"log": ?"\{\\"level\\":/.test(line)) return 'postern'; // as Docker keeps it
  return /"msg":/.test(line) && /"(time|level)":/.test(line) ? 'postern' : null;
}

/** Its columns may be those of the receive log, and what it tells is other mail. */
export function isOtherLogOfExchange(line: string): boolean {
  return /^#Log-type:(?! SMTP Receive Protocol Log\s*$)/i.test(line);
}

/** What such a file is, where it is one that people take for a log of received mail; null: nobody knows. */
export function whatItIs(lines: readonly string[]): string | null {
  const all = lines.join('\n');
  if (/^#Log-type: SMTP Send Protocol Log/im.test(all))
    return 'it is an SMTP Send Protocol Log (what Exchange sent): the receive log is wanted, ProtocolLog\\SmtpReceive\\RECV*.LOG';
  if (/^#Log-type: Message Tracking Log/im.test(all) || /^#Fields: *date-time,client-ip,/im.test(all))
    return 'it is a Message Tracking Log, which does not tell what was refused: the receive log is wanted, ProtocolLog\\SmtpReceive\\RECV*.LOG';
  if (/^#Log-type:/im.test(all))
    return `it is another log of Exchange (${/^#Log-type: *(.*)$/im.exec(all)?.[1]}): the receive log is wanted`;
  if (/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [0-9A-Fa-f.:]+ /m.test(all))
    return 'it looks like a W3C log of IIS without its #Fields line, so that nobody can tell its columns: take the file from its beginning';
  if (/^[0-9A-Fa-f.:]+, [^,]*, \d+[./]\d+[./]\d+, [\d:]+, SMTPSVC/m.test(all))
    return 'it is the "Microsoft IIS" format, whose dates can be read in two ways: W3C Extended or NCSA is read here';
  if (/^-+BEGIN |^<\?xml|^<Objs|^Windows Registry|^REGEDIT4/m.test(all))
    return 'it holds settings: that is for `postern import`';
  return null;
}
