// A stretch of time as people give it to --since and --until: a day, a time, or how long ago. UTC, as the logs of Exchange are.

const UNITS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** Milliseconds UTC; a day given to --until is in it. A string says what is wrong. */
export function parseTime(text: string, option: '--since' | '--until', now: number): number | string {
  const [, count, unit = ''] = /^(\d{1,6})([mhdw])$/.exec(text) ?? [];
  if (count !== undefined) return now - Number(count) * (UNITS[unit] as number);
  const found = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?)(Z|[-+]\d\d:\d\d)?)?$/i.exec(text);
  const [, day = '', time, zone = 'Z'] = found ?? [];
  const at = Date.parse(time === undefined ? `${day}T00:00Z` : `${day}T${time}${zone}`);
  if (Number.isNaN(at)) return `${option}: '${text}' is no time: 2026-01-31, 2026-01-31T08:00 (UTC) or 30d, 12h (ago)`;
  return time === undefined && option === '--until' ? at + (UNITS.d as number) : at;
}
