// postern demo --moving-in: the road from an open Exchange to a closed one behind Postern, told on the terminal.
//
// This is the glue: a folder, the very program that runs now as the commands of the road, and the probe. The road is demo/road.ts.

import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Send } from '../../demo/mail-client.ts';
import { DOMAIN } from '../../demo/office.ts';
import { exchange2003System, exchange2010System } from '../../demo/old-systems.ts';
import { Postern } from '../../demo/postern-child.ts';
import { playRoad, type RoadOptions } from '../../demo/road.ts';
import { programAgain } from '../../serve/program-files.ts';
import { toPrintable } from '../../smtp/bytes.ts';
import type { Output } from '../output.ts';
import { paintFor } from '../paint.ts';
import { examine } from '../probe/examine.ts';
import { verdictOf } from '../probe/verdict.ts';

type Year = '2003' | '2010';

const SYSTEMS: Readonly<Record<Year, RoadOptions['system']>> = { 2003: exchange2003System, 2010: exchange2010System };

export interface MovingIn {
  readonly exchange: Year;
  /** Where the files stay; null: they go when it ends. */
  readonly keep: string | null;
  readonly send?: Send;
  readonly postern?: (command: readonly string[], folder: string) => Postern;
  readonly atTheEnd?: NonNullable<RoadOptions['atTheEnd']>;
}

const INTERRUPTED = 130;
const SIGNALS = ['SIGINT', 'SIGTERM'] as const;
const NOT_AS_IT_SHOULD_BE = 1;
const USAGE_ERROR = 64;

/** Returns the exit code: 0 where all came of it that should. */
export async function playMovingIn({ exchange, keep, postern: made, ...more }: MovingIn, out: Output): Promise<number> {
  if (keep !== null && existsSync(keep) && readdirSync(keep).length > 0) {
    out.stderr(`postern demo: --keep: ${keep} is not empty: name a new folder\n`);
    return USAGE_ERROR;
  }
  const folder = keep === null ? mkdtempSync(join(tmpdir(), 'postern-road-')) : resolve(keep);
  mkdirSync(folder, { recursive: true });
  const paint = paintFor(out.isTTY);
  const say = (text: string): void => {
    const colour = /^ok: /.test(text) ? 'green' : /^NOT AS/.test(text.trim()) ? 'red' : null;
    out.stdout(`${colour === null ? text : paint(colour, text)}\n`);
  };
  say(
    `From an open server to a closed one behind Postern: ${keep === null ? 'nothing stays of it' : `all files stay in ${keep}`}. Nothing leaves this machine.`,
  );
  const ending = new AbortController();
  const end = (): void => ending.abort();
  for (const name of SIGNALS) process.on(name, end);
  const postern = made?.(programAgain(), folder) ?? new Postern(programAgain(), folder);
  const options = { system: SYSTEMS[exchange], folder, postern, now: Date.now(), signal: ending.signal };
  try {
    const ok = await playRoad({ ...options, say, probe: verdictAt, ...more });
    return ok ? 0 : NOT_AS_IT_SHOULD_BE;
  } catch (error) {
    if (!ending.signal.aborted) throw error;
    out.stderr('postern demo: interrupted\n');
    return INTERRUPTED;
  } finally {
    for (const name of SIGNALS) process.off(name, end);
    // Windows lets a folder go a moment after the end of who was in it.
    if (keep === null) rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function verdictAt(port: number): Promise<string> {
  const examination = await examine({ to: { host: '127.0.0.1', port, source: null }, domain: DOMAIN, pace: 0 });
  if (typeof examination === 'string') return toPrintable(examination);
  return verdictOf(examination.answers, examination.login).verdict;
}
