// Does a decision cost more when the policy is large, and how long does a large policy take to load?
//
//   node bench/decision.ts [--rounds 5] [--quick]
//
// The same questions to policies of ten and of 100 000 source ranges and domains: recipients that are ours, foreign ones
// that a range lets through, and foreign ones that nothing does. Loading is from a YAML file and a list file, as `run` does.
// Not here: what a RCPT costs on the wire (pipelined.ts).

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadPolicy } from '../src/config/load.ts';
import type { Policy } from '../src/policy/policy.ts';
import type { Judge, Question } from '../src/smtp/types.ts';
import { median, printMachine, printTable, readFlags } from './harness/report.ts';

const flags = readFlags();
const QUESTIONS = flags.quick ? 20_000 : 500_000;
const SIZES = [10, 1_000, 100_000];

function write(folder: string, size: number): string {
  const ranges = Array.from({ length: size }, (_, i) => `${20 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}.0/25`);
  const domains = Array.from(
    { length: size },
    (_, i) => `  - ${i % 2 === 0 ? '' : "'*."}d${i}.example.org${i % 2 === 0 ? '' : "'"}\n`,
  );
  writeFileSync(join(folder, `${size}.txt`), ranges.join('\n'));
  const file = join(folder, `${size}.yaml`);
  writeFileSync(
    file,
    `version: 1\naccepted_domains:\n${domains.join('')}connectors:\n  - name: internet\n    remote_ip_ranges: [any]\n` +
      `    i_know_this_is_open: true\n    rules: [{ name: listed, allow: { sources: ['file:${size}.txt'] } }]\n`,
  );
  return file;
}

function question(domain: string): Question {
  const address = { local: 'user', domain, literal: null };
  return {
    protocolState: 'RCPT',
    helo: 'client.example',
    login: null,
    tls: false,
    sender: '',
    senderAddress: null,
    recipient: `user@${domain}`,
    addresses: [address],
  };
}

/** Microseconds a decision. */
function cost(policy: Policy, size: number, source: string, domainOf: (i: number) => string): number {
  const judges: Judge[] = [];
  const asked: Question[] = [];
  for (let i = 0; i < 512; i++) {
    const index = (i * 197) % size;
    const address =
      source === 'listed' ? `${20 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}.7` : `192.0.2.${i % 250}`;
    const door = { clientAddress: address, localAddress: '10.0.0.1', localPort: 25 };
    const connector = policy.connectorFor(door);
    if (connector === null) throw new Error('nobody answers');
    judges.push(connector.judgeFor({ address, localAddress: '10.0.0.1', localPort: 25 }));
    asked.push(question(domainOf(index)));
  }
  const begin = performance.now();
  for (let i = 0; i < QUESTIONS; i++) (judges[i & 511] as Judge)(asked[(i * 7) & 511] as Question);
  return ((performance.now() - begin) * 1000) / QUESTIONS;
}

const folder = mkdtempSync(join(tmpdir(), 'postern-bench-'));
const rows: string[][] = [];
for (const size of SIZES) {
  const file = write(folder, size);
  const loads: number[] = [];
  let policy: Policy | null = null;
  for (let round = 0; round < flags.rounds; round++) {
    const begin = performance.now();
    policy = loadPolicy(file).policy;
    loads.push(performance.now() - begin);
  }
  if (policy === null) throw new Error('the policy has an error');
  const loaded = policy;
  const measure = (source: string, domainOf: (i: number) => string): string => {
    cost(loaded, size, source, domainOf);
    return median(Array.from({ length: flags.rounds }, () => cost(loaded, size, source, domainOf))).toFixed(2);
  };
  rows.push([
    `${size} ranges, ${size} domains`,
    median(loads).toFixed(0),
    measure('other', (i) => `d${i}.example.org`),
    measure('listed', () => 'foreign.example'),
    measure('other', () => 'foreign.example'),
  ]);
}
rmSync(folder, { recursive: true });
printMachine();
printTable(['policy', 'load ms', 'ours µs', 'foreign, allowed µs', 'foreign, refused µs'], rows);
