// `npm run soak -- [--minutes N] [--sessions N] [--seed N] [--scene NAME…] [--trouble NAME…] [--out FOLDER]`
//
// Not part of npm test. Scenes, in this order: crowd, descriptors, loris, log, mixed (that for N minutes, left out: 2; with
// the troubles named, or all). Prints each thing that holds or does not, writes soak.json and soak.svg into the folder (left
// out: .cache/soak), and exits with 1 when something did not hold. What the scenes are stands at the head of each file.

import { mkdirSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { findings, samples } from './bed.ts';
import { crowd } from './crowd.ts';
import { drawCurve, growth } from './curve.ts';
import { descriptors } from './descriptors.ts';
import { log } from './log.ts';
import { loris } from './loris.ts';
import { mixed } from './mixed.ts';
import { enterOwnNetwork } from './network.ts';

enterOwnNetwork();

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '2' },
    sessions: { type: 'string', default: '10000' },
    seed: { type: 'string', default: `${Date.now() % 2 ** 31}` },
    scene: { type: 'string', multiple: true },
    trouble: { type: 'string', multiple: true, default: [] },
    out: { type: 'string', default: join(import.meta.dirname, '../../.cache/soak') },
  },
});
const numberOf = (name: 'minutes' | 'sessions' | 'seed'): number => {
  const number = Number(values[name]);
  if (Number.isFinite(number) && number >= 0) return number;
  console.error(`soak: --${name} ${values[name]}: a number is wanted`);
  return process.exit(64);
};
const [minutes, sessions, seed] = [numberOf('minutes'), numberOf('sessions'), numberOf('seed')];

const SCENES: Readonly<Record<string, () => Promise<object>>> = {
  crowd: () => crowd(sessions),
  descriptors,
  loris,
  log,
  mixed: () => mixed(minutes, seed, values.trouble),
};

const chosen = values.scene ?? Object.keys(SCENES);
const unknown = chosen.find((name) => !(name in SCENES));
if (unknown !== undefined) {
  console.error(`soak: --scene ${unknown}: there are ${Object.keys(SCENES).join(', ')}`);
  process.exit(64);
}
console.log(`POSTERN_SOAK seed ${seed}, load average ${loadavg()[0]?.toFixed(1)}`);
const told: Record<string, object> = {};
const began = new Date();
for (const name of chosen) {
  try {
    told[name] = (await SCENES[name]?.()) as object;
  } catch (error) {
    const { stack, cause } = error as Error;
    const what = `${stack}${cause === undefined ? '' : ` (${cause})`}`;
    findings.push({ scene: name, what, holds: false });
    console.log(`FAIL ${name}: ${what}`);
  }
}
const failed = findings.filter(({ holds }) => !holds);
const report = {
  began: began.toISOString(),
  ended: new Date().toISOString(),
  machine: `${availableParallelism()} × ${cpus()[0]?.model}, Node ${process.version}`,
  seed,
  growthMiBAnHour: growth(samples),
  held: findings.length - failed.length,
  failed,
  ...told,
};
mkdirSync(values.out, { recursive: true });
writeFileSync(join(values.out, 'soak.json'), `${JSON.stringify({ ...report, samples }, null, 1)}\n`);
writeFileSync(join(values.out, 'soak.svg'), `${await drawCurve([{ name: chosen.join(', '), samples }])}\n`);
console.log(
  `${report.held} held, ${failed.length} did not; MiB an hour: ${JSON.stringify(report.growthMiBAnHour)}; ${values.out}/soak.json`,
);
process.exit(failed.length === 0 ? 0 : 1);
