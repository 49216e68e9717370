// How a terminal says durations, counts and octets: short, and always the same.

import type { ServerStatus } from './shapes.ts';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** `45 s`, `12 min`, `5 h 3 min`, `3 d 4 h`. */
export function formatAge(ms: number): string {
  const age = Math.max(0, ms);
  if (age < MINUTE) return `${Math.floor(age / SECOND)} s`;
  if (age < HOUR) return `${Math.floor(age / MINUTE)} min`;
  if (age < DAY) return `${Math.floor(age / HOUR)} h ${Math.floor((age % HOUR) / MINUTE)} min`;
  return `${Math.floor(age / DAY)} d ${Math.floor((age % DAY) / HOUR)} h`;
}

/** From one ISO time to another. */
export function ageOf(since: string, now: string): string {
  return formatAge(Date.parse(now) - Date.parse(since));
}

/** `12 345`. */
export function formatCount(count: number): string {
  return String(count).replace(/\B(?=(?:\d{3})+$)/g, ' ');
}

/** `1 session`, `12 sessions`. */
export function many(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? '' : 's'}`;
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

/** `512 B`, `1.2 MiB`. */
export function formatOctets(octets: number): string {
  let left = octets;
  let unit = 0;
  while (left >= 1000 && unit < UNITS.length - 1) {
    left /= 1024;
    unit++;
  }
  return `${unit === 0 || left >= 100 ? Math.round(left) : left.toFixed(1)} ${UNITS[unit]}`;
}

/** The names of the upstreams that a server is one of. */
export function upstreamsOf({ upstreams = ['default'] }: ServerStatus): readonly string[] {
  return upstreams;
}

/** What another program said, as one line for a terminal: no control character of it is ever sent there. */
export function plain(text: string): string {
  return text.replace(/[^ -~]/g, (character) => (/[\p{L}\p{N}\p{P}\p{S}]/u.test(character) ? character : '?'));
}
