// How much mail how many nodes carry: reckoned from measured slopes, nothing else. Written into docs/gateway-under-load.md.
//
// What is assumed stands here and is told in the text: the day's peak, how busy a core may be, how long a session lasts.

import { measured, type Reports } from './kept.ts';

const PEAK = 4; //          times the mean of the day
const BUSY = 0.6; //        of a core, and of the one of Redis
const SECONDS_OPEN = 10; // of a session
const CORES = 4; //         of a node, one worker each
const BASE_OF_WORKER = 45; // MB (bench/README.md, Workers)
const DAY = 86_400;
const DAYS = [10, 100, 1_000]; // million messages

export interface Slopes {
  /** µs of CPU for a session of one message, and for one more message of a kept session. */
  readonly session: number;
  readonly message: number;
  /** MB of a process without sessions, and KB for each of them. */
  readonly base: number;
  readonly idle: number;
  /** Questions to Redis for a session of one message, with rates, and without. */
  readonly questions: number;
  readonly seats: number;
  /** µs of Redis' CPU for a question. */
  readonly redis: number;
}

/** Null when something was not measured yet; what, is told. */
export function slopesOf(reports: Reports): Slopes | string {
  const missing: string[] = [];
  const need = (question: string, of: Parameters<typeof measured>[2]): number => {
    const value = measured(reports, question, of);
    if (value === null) missing.push(`${question} (${Object.values(of).join(', ')})`);
    return value ?? Number.NaN;
  };
  const proxy = 'postern';
  const slopes = {
    session: need('loads', { load: 'A', proxy, unit: 'CPU µs/session' }),
    message: need('loads', { load: 'B', proxy, unit: 'CPU µs/message' }),
    base: need('idle', { proxy, unit: 'MB at 0' }),
    idle: need('idle', { proxy, unit: 'KB/session' }),
    questions: need('redis-rate', { load: 'with rates', unit: 'questions/session' }),
    seats: need('redis-rate', { load: 'without rates', unit: 'questions/session' }),
    redis: need('redis-rate', { load: 'one Redis', at: 4, unit: 'CPU µs/question' }),
  };
  return missing.length === 0 ? slopes : `not measured yet: ${missing.join('; ')}`;
}

export interface Need {
  /** Messages a second at the peak, each in a session of its own. */
  readonly peak: number;
  readonly cores: number;
  readonly nodes: number;
  readonly sessions: number;
  /** MB of one node. */
  readonly memory: number;
  /** Questions to Redis a second. */
  readonly questions: number;
  /** Of what one Redis answers, 1 = all. */
  readonly ofRedis: number;
}

export function needFor(million: number, of: Slopes): Need {
  const peak = (million * 1e6 * PEAK) / DAY;
  const cores = Math.ceil((peak * of.session) / 1e6 / BUSY);
  const nodes = Math.ceil(cores / CORES);
  const sessions = Math.ceil(peak * SECONDS_OPEN);
  const workers = Math.min(cores, CORES);
  const memory = of.base + (workers - 1) * BASE_OF_WORKER + (sessions / nodes) * (of.idle / 1_000);
  const questions = peak * of.questions;
  return { peak, cores, nodes, sessions, memory, questions, ofRedis: (questions * of.redis) / 1e6 };
}

const whole = (value: number): string => Math.round(value).toLocaleString('en').replaceAll(',', ' ');

/** Two digits that count: a slope is no more exact than that. */
const round = (value: number): string => whole(Number(value.toPrecision(2)));

export function formatCapacity(reports: Reports): string {
  const of = slopesOf(reports);
  if (typeof of === 'string') return of;
  const rows = DAYS.map((million) => {
    const need = needFor(million, of);
    const redis = `${round(need.questions)} (${(need.ofRedis * 100).toFixed(0)} %)`;
    const numbers = [
      round(need.peak),
      `${need.cores}`,
      `${need.nodes}`,
      round(need.sessions),
      round(need.memory),
      redis,
    ];
    return `| ${whole(million)} million | ${numbers.join(' | ')} |`;
  });
  const wall = (BUSY * 1e6) / of.redis; // questions a second
  const millions = (questions: number): string => round(((wall / questions) * DAY) / PEAK / 1e6);
  const busy = Math.max(...['loads', 'idle', 'redis-rate'].map((question) => reports[question]?.busy ?? 0));
  const days = [...new Set(['loads', 'idle', 'redis-rate'].map((question) => reports[question]?.day))].join(', ');
  const beside = busy > 0.5 ? ' **Provisional**: others were at work on the machine.' : '';
  return `Measured on ${days}, ${reports.loads?.machine} ([bench/README.md](../bench/README.md#the-last-run)).${beside}

| one | has or takes |
|---|--:|
| core, sessions of one 4 kB message | ${round(1e6 / of.session)} a second (${round(of.session)} µs each) |
| core, messages of kept sessions | ${round(1e6 / of.message)} a second (${round(of.message)} µs each) |
| thousand sessions that are open | ${round(of.idle)} MB, beside ${round(of.base)} MB of the process and ${BASE_OF_WORKER} MB of each further worker |
| session of one message, with rates for messages and recipients | ${of.questions.toFixed(1)} questions to Redis |
| the same with connections limited only | ${of.seats.toFixed(1)} questions to Redis |
| Redis | ${round(1e6 / of.redis)} questions a second at most (${round(of.redis)} µs of its one thread each) |

From it, for messages that come in a session each, a peak of ${PEAK} times the day's mean, cores and Redis at most ${BUSY * 100} % busy, ${CORES} workers a
node, sessions of ${SECONDS_OPEN} s; one node more is wise, so that one may fail:

| a day | messages/s at the peak | cores | nodes | sessions open | MB of a node | questions/s to Redis (of one) |
|---|--:|--:|--:|--:|--:|--:|
${rows.join('\n')}

**The first wall that another node does not move is Redis**, where counters are shared: ${BUSY * 100} % of one is ${round(wall)} questions a second, which is
${millions(of.questions)} million messages a day with rates, and ${millions(of.seats)} million with connections limited only.`;
}
