// The golden dialogues under torture: each side goes at every state of each, and every call of the product fails once in each.
//
// What must hold: nothing is thrown that nobody catches, no defect; the client hears the golden dialogue as far as it goes and then
// 4yz, 5yz or the end, in time; when both are gone no socket, timer, session or place is left (there is room for one
// session alone where calls fail: a place that was lost would be missed by the next).

import { configOf, playsOverSockets } from '../helpers/dialogue-sockets.ts';
import { readTranscripts, type Transcript } from '../helpers/transcripts.ts';
import type { Arming } from './faults.ts';
import type { Host } from './host-process.ts';
import { type Heard, Stage, type Twist, wrongWith } from './player.ts';

const TIMEOUT = 700; // ms, of everything
const PATIENCE = 5_000; // ms in which what does not go on must have been ended
const AT_ONCE = 16;

export interface Failure {
  readonly dialogue: string;
  readonly what: string;
  readonly wrong: string;
}

export interface Result {
  runs: number;
  /** That ended before the state was reached. */
  early: number;
  readonly failures: Failure[];
  /** How often each call was made to fail. */
  readonly calls: Map<string, number>;
}

export function newResult(): Result {
  return { runs: 0, early: 0, failures: [], calls: new Map() };
}

export const transcripts = readTranscripts(new URL('../transcripts/', import.meta.url)).filter(playsOverSockets);

function torturedConfig(transcript: Transcript, serverPort: number, places: number): object {
  const config = configOf(transcript, serverPort) as { upstream: object; limits: object };
  const keys =
    'client_idle command data_idle tls_handshake upstream_connect upstream_greeting upstream_reply upstream_data upstream_final';
  const timeouts = Object.fromEntries(keys.split(' ').map((key) => [key, `${TIMEOUT}ms`]));
  const upstream = { ...config.upstream, max_connections: places, max_wait: '2s', identity: 'proxy-v1' };
  const limits = { ...config.limits, source: { connections: places } };
  return { ...config, upstream, limits, timeouts: { ...timeouts, min_data_rate: 0 } };
}

/** Which of `length` things are taken: all, or a few that a seed chooses. */
export type Choice = (length: number) => number[];
export const all: Choice = (length) => Array.from({ length }, (_, at) => at);

/** Each side goes at every state. */
export async function everyState(host: Host, transcript: Transcript, choice: Choice, result: Result): Promise<void> {
  await staged(host, transcript, 100, result, async (stage, golden, failed) => {
    const twists = twistsOf(transcript);
    const chosen = choice(twists.length).map((at) => twists[at] as Twist);
    const work = async (): Promise<void> => {
      for (let twist = chosen.shift(); twist !== undefined; twist = chosen.shift()) {
        const { turn, who, does, half } = twist;
        const what = `${who} ${does}${half ? ' half way' : ''} at ${transcript.turns[turn]?.where}`;
        const outcome = await stage.play(transcript, golden, twist, PATIENCE);
        result.runs++;
        if (!outcome.isOver) failed(what, 'the client hears nothing, and is not let go');
        if (outcome.turns < turn) result.early++; // the machine was too busy for the time-outs: it never came to that
        // What the server had said when it went is the client's to hear.
        const least = does === 'says and closes' ? (golden[turn]?.client ?? '') : (golden[turn - 1]?.client ?? '');
        const wrong = wrongWith(
          outcome.client,
          golden.at(-1)?.client ?? '',
          who === 'client' || outcome.turns < turn ? '' : least,
        );
        if (wrong !== null) failed(what, wrong);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  });
}

function twistsOf({ turns }: Transcript): Twist[] {
  return turns.flatMap(({ who: speaker, says, ends }, turn) =>
    (['client', 'upstream'] as const).flatMap((who): Twist[] => {
      const isItsTurn = who === speaker;
      const plain = (['closes', 'resets', 'stalls'] as const).map((does) => ({ turn, who, does, half: false }));
      if (!isItsTurn || ends) return plain;
      const halves = says.length < 2 ? [] : plain.map((twist) => ({ ...twist, half: true }));
      return [
        ...plain,
        ...halves,
        ...(who === 'upstream' ? [{ turn, who, does: 'says and closes' as const, half: false }] : []),
      ];
    }),
  );
}

/** Every call fails once. */
export async function everyCall(host: Host, transcript: Transcript, choice: Choice, result: Result): Promise<void> {
  await staged(host, transcript, 1, result, async (stage, golden, failed) => {
    const played = async (arming: Arming): Promise<readonly string[]> => {
      await host.ask({ do: 'arm', arming });
      const outcome = await stage.play(transcript, golden, null, PATIENCE);
      const { calls } = await host.ask({ do: 'disarm' });
      if (arming.nth === null) return calls;
      const name = calls[arming.nth] ?? 'nothing';
      const what = `call ${arming.nth}, ${name}${arming.timers === 'never' ? ' that never rings' : ''}`;
      result.runs++;
      result.calls.set(name, (result.calls.get(name) ?? 0) + 1);
      if (!outcome.isOver) failed(what, 'the client hears nothing, and is not let go');
      const wrong = wrongWith(outcome.client, golden.at(-1)?.client ?? '', '');
      if (wrong !== null) failed(what, wrong);
      await nothingLeft(host, what, failed);
      return calls;
    };
    const calls = await played({ nth: null });
    await nothingLeft(host, 'no call', failed);
    for (const nth of choice(calls.length)) {
      await played({ nth });
      if (calls[nth] === 'timer') await played({ nth, timers: 'never' });
    }
    const last = await stage.play(transcript, golden, null, PATIENCE);
    if (last.client !== golden.at(-1)?.client)
      failed('afterwards, without a fault', `heard ${JSON.stringify(last.client)}`);
  });
}

type Failed = (what: string, wrong: string) => void;

let rest: Readonly<Record<string, number>> = {};

async function nothingLeft(host: Host, what: string, failed: Failed): Promise<void> {
  const { seen, left } = await host.idle(rest);
  if (left !== null) failed(what, `is left behind: ${left}`);
  for (const defect of seen.defects) failed(what, defect.slice(0, 1500));
}

async function staged(
  host: Host,
  transcript: Transcript,
  places: number,
  result: Result,
  play: (stage: Stage, golden: readonly Heard[], failed: Failed) => Promise<void>,
): Promise<void> {
  const dialogue = `${transcript.file}: ${transcript.title}`;
  const failed: Failed = (what, wrong) => void result.failures.push({ dialogue, what, wrong });
  const stage = await Stage.open();
  try {
    const { port } = await host.ask({ do: 'open', config: torturedConfig(transcript, stage.serverPort, places) });
    stage.port = port;
    const golden = await stage.recordGolden(transcript);
    rest = (await host.idle(null)).seen.resources;
    await play(stage, golden, failed);
    await nothingLeft(host, 'at the end', failed);
    await host.ask({ do: 'close' });
  } catch (error) {
    failed('the dialogue itself', `${(error as Error).message}`);
    await host.ask({ do: 'close' }).catch(() => {});
  } finally {
    stage.close();
  }
}
