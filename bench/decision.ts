// What does a decision cost, and does it cost more over 100 000 entries than over ten?
//
//   node bench/decision.ts [--rounds 3]
//
// Each policy has N accepted and N blocked domains, a rule with N source ranges and N recipient domains, and N ranges in
// a second connector. The questions are parsed already: the wire's grammar is bench/pipelined.ts's business. The goal:
// at most 1 µs, and no more over 100 000 entries than over ten but for the processor's cache.

import type { Policy } from '../src/policy/policy.ts';
import type { Decision, Question } from '../src/smtp/types.ts';
import { connector, rcpt, sound } from '../test/policy/build.ts';
import { median, printMachine, printTable, readFlags } from './harness/report.ts';

const SIZES = [10, 1_000, 100_000];
const QUESTIONS = 1 << 16;
const LOCAL = { localAddress: '192.0.2.25', localPort: 25 };

/** The n-th range: every second /28 below 11.0.0.0, so that ranges neither touch nor merge. */
function range(n: number): string {
  return `${addressIn(n).replace(/\d+$/, (last) => String(Number(last) - 5))}/28`;
}

function addressIn(n: number): string {
  const at = n * 32 + 5;
  return `11.${(at >> 16) & 0xff}.${(at >> 8) & 0xff}.${at & 0xff}`;
}

function policyOf(size: number): Policy {
  const each = (text: (n: number) => string) => Array.from({ length: size }, (_, n) => text(n));
  return sound({
    accepted_domains: each((n) => (n % 2 === 0 ? `d${n}.local.example` : `*.d${n}.local.example`)),
    blocked_domains: each((n) => `d${n}.blocked.example`),
    connectors: [
      connector({
        rules: [
          { name: 'never', deny: { sources: ['10.9.0.0/16'] } },
          { name: 'known', allow: { sources: each(range), recipient_domains: each((n) => `d${n}.partner.example`) } },
        ],
      }),
      connector({ name: 'branch', remote_ip_ranges: each((n) => range(n).replace(/^11/, '12')) }),
    ],
  });
}

/** Nanoseconds that `act` takes, given a different number each time. */
function time(act: (n: number) => void): number {
  const begin = performance.now();
  for (let n = 0; n < QUESTIONS; n++) act(n);
  return ((performance.now() - begin) * 1e6) / QUESTIONS;
}

/** Spread over all entries, in no order that a cache could follow. */
function pick(n: number, size: number): number {
  return (Math.imul(n, 0x9e3779b1) >>> 0) % size;
}

function measure(size: number): Map<string, number> {
  const compiledAt = performance.now();
  const policy = policyOf(size);
  const compiled = performance.now() - compiledAt;
  const questions = (name: (n: number) => string): Question[] =>
    Array.from({ length: QUESTIONS }, (_, n) => rcpt(name(pick(n, size))));
  const clients = Array.from({ length: 1024 }, (_, n) => {
    const address = addressIn(pick(n, size));
    const found = policy.connectorFor({ clientAddress: address, ...LOCAL });
    if (found === null) throw new Error(`no connector for ${address}`);
    return found.judgeFor({ address, ...LOCAL });
  });
  const ask = (asked: Question[], action: Decision['action']) => (n: number) => {
    const decision = clients[n & 1023]?.(asked[n] as Question);
    if (decision === undefined || decision instanceof Promise || decision.action !== action) throw new Error('wrong');
  };
  // What a question costs that was not looked at for 65 535 others, before anything is decided. The processor reads ahead
  // here, which it cannot do across a decision: it is the least that reading may cost.
  let sum = 0;
  const read = (asked: Question[]) => (n: number) => {
    const domain = (asked[n] as Question).addresses[0]?.domain ?? '';
    for (let i = 0; i < domain.length; i++) sum += domain.charCodeAt(i);
    if (clients[n & 1023] === undefined || sum === 0) throw new Error('wrong');
  };
  const accepted = ask(
    questions((n) => `bob@d${n}.local.example`),
    'proceed',
  );
  const allowed = ask(
    questions((n) => `bob@d${n}.partner.example`),
    'proceed',
  );
  const blocked = ask(
    questions((n) => `bob@d${n}.blocked.example`),
    'reject',
  );
  const foreign = questions((n) => `bob@d${n}.foreign.example`);
  const refused = ask(foreign, 'reject');
  const told = (n: number) => {
    const decision = clients[n & 1023]?.(foreign[n] as Question);
    if (decision === undefined || decision instanceof Promise || !decision.trace?.()) throw new Error('wrong');
  };
  const doors = Array.from({ length: QUESTIONS }, (_, n) => addressIn(pick(n, size)).replace(/^11/, '12'));
  const choose = (n: number) => {
    const found = policy.connectorFor({ clientAddress: doors[n] as string, ...LOCAL });
    if (found?.name !== 'branch') throw new Error('wrong connector');
  };
  const warm = (act: (n: number) => void) => {
    time(act);
    return time(act);
  };
  return new Map([
    ['only reading the question, ns', warm(read(questions((n) => `bob@d${n}.partner.example`)))],
    ['accepted domain, ns', warm(accepted)],
    ['allowed by a rule, ns', warm(allowed)],
    ['the same, 256 questions again and again, ns', warm((n) => allowed(n & 255))],
    ['blocked domain, ns', warm(blocked)],
    ['refused, ns', warm(refused)],
    ['refused, with the reason for the log, ns', warm(told)],
    ['which connector, ns', warm(choose)],
    ['compiling the policy, ms', compiled],
  ]);
}

const { rounds } = readFlags();
const found = SIZES.map((size) => Array.from({ length: rounds }, () => measure(size)));
const names = [...(found[0]?.[0]?.keys() ?? [])];
printMachine();
printTable(
  ['entries of each kind', ...SIZES.map(String)],
  names.map((name) => [name, ...found.map((of) => median(of.map((one) => one.get(name) ?? Number.NaN)).toFixed(0))]),
);
