// What the model prints: a line for each scenario, and a violation as a dialogue that can be replayed.

import { readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SCENARIOS, type Scenario } from './scenarios.ts';
import { type Result, Search } from './search.ts';
import { show } from './server.ts';

interface Options {
  readonly seconds: number;
  readonly proof: number;
  readonly scenario?: string;
  readonly depth?: number;
}

/** Searches all scenarios, each in its share of the time; true when every invariant held. */
export function explore({ seconds, proof, scenario: wanted, depth }: Options): boolean {
  const scenarios = SCENARIOS.filter(({ name }) => wanted === undefined || name === wanted);
  if (scenarios.length === 0)
    throw new Error(`no scenario ${wanted}; there are: ${SCENARIOS.map(({ name }) => name).join(', ')}`);
  console.log('| scenario | events | depth | states | transitions | seconds | proofs |');
  console.log('|---|---|---|---|---|---|---|');
  const till = performance.now() + seconds * 1000;
  const totals = { states: 0, transitions: 0 };
  let isSound = true;
  let shares = scenarios.reduce((sum, { share }) => sum + share, 0);
  for (const scenario of scenarios) {
    const left = (till - performance.now()) / 1000;
    const inTime = { seconds: (left * scenario.share) / shares, proof };
    shares -= scenario.share;
    const result = new Search(scenario).run({ ...inTime, ...(depth === undefined ? {} : { depth }) });
    console.log(row(scenario, result));
    totals.states += result.states;
    totals.transitions += result.transitions;
    if (result.found !== null) {
      const file = join(tmpdir(), `model-${scenario.name.replaceAll(' ', '-')}.txt`);
      writeFileSync(file, asText(scenario, result.found.way));
      console.log(
        `\n${tell(scenario, result.found.way)}\n\n${result.found.violation.stack}\n\nnpm run model -- --replay ${file}`,
      );
      isSound = false;
    }
  }
  if (isSound)
    console.log(`\n${totals.states} states, ${totals.transitions} transitions: every invariant holds in each of them`);
  return isSound;
}

function row({ name, events }: Scenario, { depth, isWhole, states, transitions, seconds, proofs }: Result): string {
  return `| ${name} | ${events.length} | ${depth}${isWhole ? ', all' : ''} | ${states} | ${transitions} | ${Math.round(seconds)} | ${proofs} |`;
}

function asText(scenario: Scenario, way: readonly number[]): string {
  return [scenario.name, ...way.map((number) => JSON.stringify(scenario.events[number])), ''].join('\n');
}

/** The dialogue of a way, step by step, up to where it breaks. */
export function tell(scenario: Scenario, way: readonly number[]): string {
  const search = new Search(scenario);
  const lines = [`scenario: ${scenario.name}, behind ${scenario.opening.map(({ says }) => show(says)).join(' ')}`];
  for (const number of way) {
    const { who, says } = scenario.events[number] as Scenario['events'][number];
    lines.push(`${who}: ${who === 'client' ? (says === '' ? 'FIN' : show(says)) : says}`);
    try {
      search.world.step(scenario.events[number] as Scenario['events'][number]);
    } catch (error) {
      lines.push(...told(search), `    !! ${(error as Error).message}`);
      return lines.join('\n');
    }
    lines.push(...told(search));
  }
  return lines.join('\n');
}

function told({ world }: Search): string[] {
  const lines = world.told.map((done) => `    → ${done}`);
  return world.closed === null ? lines : [...lines, `    closed: ${world.closed}`];
}

/** Tells a dialogue that was written to a file; true when nothing breaks. */
export function replay(file: string): boolean {
  const [name, ...lines] = readFileSync(file, 'utf8').trim().split('\n');
  const scenario = SCENARIOS.find((other) => other.name === name);
  if (scenario === undefined) throw new Error(`${file}: its first line names no scenario: ${name}`);
  const way = lines.map((line) => scenario.events.findIndex((event) => JSON.stringify(event) === line));
  const unknown = way.indexOf(-1);
  if (unknown !== -1) throw new Error(`${file}:${unknown + 2}: no event of this scenario: ${lines[unknown]}`);
  const text = tell(scenario, way);
  console.log(text);
  return !text.includes('    !! ');
}
