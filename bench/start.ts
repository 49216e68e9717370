// How long is it from start to listening?
//
//   node bench/start.ts [--rounds 9] [--quick]
//
// From the moment the process is made until Postern says on stderr that it listens: from dist/ with the code that V8 made beforehand,
// as `npm run build` leaves it, and with its options said; from dist/ without either, as npm brings it; as TypeScript from src/; and as the one file where `npm run
// package` made it. Beside it what Node itself takes to do nothing. With --main or --vs also of the other commit.

import { spawn } from 'node:child_process';
import { cpSync, globSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from './harness/processes.ts';
import { builtMain } from './harness/program.ts';
import { figure, inTurn, printMachine, printTable, readFlags } from './harness/report.ts';

const root = join(import.meta.dirname, '..');
const WITHIN_MS = 20_000;

/** Milliseconds until it says so; then it is ended. */
async function startOnce(
  [program = process.execPath, ...args]: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<number> {
  const begin = performance.now();
  const child = spawn(program, args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
  const late = setTimeout(() => child.kill('SIGKILL'), WITHIN_MS);
  let said = '';
  const time = await new Promise<number>((resolve, reject) => {
    child.stderr.on('data', (part) => {
      said += part;
      if (/listen/.test(said)) resolve(performance.now() - begin);
    });
    child.on('exit', (code) => (code === 0 ? resolve(performance.now() - begin) : reject(new Error(said))));
  });
  const gone = new Promise((resolve) => child.once('exit', resolve));
  if (child.exitCode === null && child.signalCode === null) {
    child.kill('SIGTERM');
    await gone;
  }
  clearTimeout(late);
  return time;
}

/** Its dist/main.js, without what belongs to one Node. */
function withoutCode(name: string, from: string): string {
  const copy = join(folder, name);
  cpSync(join(from, 'dist'), copy, { recursive: true, filter: (file) => !file.endsWith('.code') });
  return join(copy, 'main.js');
}

const flags = readFlags(['--rounds', '9', ...process.argv.slice(2)]);
builtMain();
const folder = mkdtempSync(join(tmpdir(), 'postern-bench-'));
const port = await freePort();
const config = join(folder, 'postern.yaml');
writeFileSync(
  config,
  `listeners: [{ bind: ["127.0.0.1:${port}"] }]
upstream: { servers: ["127.0.0.1:1"] }
lost_address_guard: warn
admin: null
policy:
  version: 1
  accepted_domains: [local.example]
  connectors: [{ name: internet, remote_ip_ranges: [any] }]
`,
);
const checkouts = [['postern', root], ...(flags.main === undefined ? [] : [['other', join(flags.main, '../..')]])];
const { NODE_COMPILE_CACHE: _, ...plain } = process.env;
const OPTIONS = '--max-semi-space-size=4'; // where they are not said the process begins twice
const run = ['run', '--config', config];
const starts = checkouts.flatMap(([name = '', from = '']) => {
  const [one] = globSync(join(from, `packages/postern-*-${process.platform}-${process.arch}`));
  const [dist, src] = [join(from, 'dist/main.js'), join(from, 'src/main.ts')];
  return [
    { proxy: name, load: 'dist/', args: [process.execPath, OPTIONS, dist, ...run], env: plain },
    { proxy: name, load: 'dist/ of npm', args: [process.execPath, withoutCode(name, from), ...run], env: plain },
    { proxy: name, load: 'src/', args: [process.execPath, src, ...run], env: plain },
    ...(one === undefined ? [] : [{ proxy: name, load: 'one file', args: [one, ...run], env: plain }]),
  ];
});
const all = [{ proxy: 'node', load: 'does nothing', args: [process.execPath, '--eval', '0'], env: plain }, ...starts];
const times = new Map<object, number[]>(all.map((one) => [one, []]));
for (const { args, env } of all) await startOnce(args, env);
for (let round = 0; round < flags.rounds; round++) {
  for (const one of inTurn(all, round)) times.get(one)?.push(await startOnce(one.args, one.env));
}
rmSync(folder, { recursive: true, force: true });
printMachine();
printTable(
  ['what', 'from', 'ms until it listens', 'fastest', 'slowest'],
  all.map((one) => {
    const rounds = times.get(one) ?? [];
    const ms = figure({ load: one.load, proxy: one.proxy, unit: 'ms', rounds });
    return [one.proxy, one.load, ms.toFixed(0), Math.min(...rounds).toFixed(0), Math.max(...rounds).toFixed(0)];
  }),
);
