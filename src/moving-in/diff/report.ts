// A comparison as text and as JSON.

import { formatIp, isIpv4, LAST_IPV4, LAST_IPV6 } from '../../policy/ip.ts';
import type { Span } from '../../policy/ranges.ts';
import type { Comparison, Row, Said } from './compare.ts';
import type { Meant } from './labels.ts';

const SHOWN = 12; // of one list

export function isDifferent({ rows, modes }: Comparison): boolean {
  return rows.length > 0 || modes.length > 0;
}

export function formatComparison(comparison: Comparison): string {
  const { rows, modes, settings, leftOut } = comparison;
  const lines: string[] = [];
  for (const row of rows) lines.push(...formatRow(row), '');
  for (const mode of modes) lines.push(mode);
  for (const sentence of settings) lines.push(`also different, and nothing that decides a recipient: ${sentence}`);
  for (const sentence of leftOut) lines.push(`not compared: ${sentence}`);
  if (!isDifferent(comparison))
    lines.push(leftOut.length === 0 ? 'no difference' : 'no difference in what was compared');
  else {
    const count = (change: Row['change']): number => rows.filter((row) => row.change === change).length;
    lines.push(`${count('gains')} gain, ${count('loses')} lose, ${count('otherwise')} are refused otherwise`);
  }
  return `${lines.join('\n')}\n`;
}

function formatRow(row: Row): string[] {
  const { change, sources, local, logins, tls, ptr, helo, senders, recipients, times, example } = row;
  const heads = { gains: '+ gains', loses: '- loses', otherwise: '~ is refused otherwise' };
  const lines = [`${heads[change]}: ${listed(sources.map(formatSpan))}`];
  const add = (name: string, meant: Meant | null): void => {
    if (meant !== null) lines.push(`  ${name.padEnd(10)} ${formatMeant(meant)}`);
  };
  add('to', recipients);
  add('from', senders);
  add('login', logins);
  add('security', tls);
  add('DNS name', ptr);
  add('HELO', helo);
  if (local !== null) lines.push(`  ${'connected'.padEnd(10)} to ${listed(local, '; ')}`);
  for (const { from, until } of times ?? [])
    lines.push(
      `  ${'when'.padEnd(10)} ${from === null ? 'now' : `from ${day(from)}`}${until === null ? ' on' : `, before ${day(until)}`}`,
    );
  lines.push(`  ${'old'.padEnd(10)} ${formatSaid(row.old)}`, `  ${'new'.padEnd(10)} ${formatSaid(row.new)}`);
  const { source, login, sender, recipient } = example;
  const words = [`--source ${source}`, ...(login === null ? [] : [`--login '${login}'`])];
  if (example.tls) words.push('--tls');
  if (sender !== '') words.push(`--sender '${sender}'`);
  if (local !== null) words.push(`--local ${formatLocal(example.local)}`);
  lines.push(`  ${'e.g.'.padEnd(10)} ${words.join(' ')} --rcpt '${recipient}'`);
  return lines;
}

function formatLocal({ address, port }: Row['example']['local']): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function formatMeant({ only, all_but }: Meant): string {
  return only === undefined ? `all but ${listed(all_but ?? [])}` : listed(only);
}

function listed(all: readonly string[], between = ', '): string {
  if (all.length <= SHOWN) return all.join(between);
  return `${all.slice(0, SHOWN).join(between)}${between}and ${all.length - SHOWN} more (--json has all)`;
}

function formatSaid({ answer, connector, reason, rule }: Said): string {
  const why = rule === null ? (reason?.replaceAll('_', ' ') ?? null) : `rule ${rule}`;
  return `${answer}${connector === null ? ': no connector answers' : ` (${connector}${why === null ? '' : `, ${why}`})`}`;
}

function day(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}

/** `192.0.2.0/24`, `192.0.2.5-192.0.2.9`, `all of IPv6`. */
export function formatSpan({ lo, hi }: Span): string {
  if (lo === hi) return formatIp(lo);
  const isFour = isIpv4(lo);
  if (BigInt(lo) === 0n && hi === (isFour ? LAST_IPV4 : LAST_IPV6)) return isFour ? 'all of IPv4' : 'all of IPv6';
  const size = BigInt(hi) - BigInt(lo) + 1n;
  const isPower = (size & (size - 1n)) === 0n && BigInt(lo) % size === 0n;
  if (isPower) return `${formatIp(lo)}/${(isFour ? 32 : 128) - (size.toString(2).length - 1)}`;
  return `${formatIp(lo)}-${formatIp(hi)}`;
}

export function comparisonJson(comparison: Comparison): object {
  const { rows, modes, settings, leftOut } = comparison;
  return {
    different: isDifferent(comparison),
    rows: rows.map((row) => ({
      ...row,
      sources: row.sources.map(formatSpan),
      times:
        row.times?.map(({ from, until }) => ({
          from: from === null ? null : new Date(from).toISOString(),
          until: until === null ? null : new Date(until).toISOString(),
        })) ?? null,
      example: { ...row.example, local: formatLocal(row.example.local) },
    })),
    modes,
    settings,
    not_compared: leftOut,
  };
}
