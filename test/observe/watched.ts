// An observer whose log lines and clock a test holds in its hand.

import { createObserver, type Observer } from '../../src/observe/events.ts';
import type { ObserverOptions } from '../../src/observe/observer-options.ts';
import type { ConnectionEnds, SessionEvent } from '../../src/smtp/types.ts';
import { assertAllKnown } from '../helpers/log-lines.ts';

export const ends: ConnectionEnds = {
  clientAddress: '10.9.1.1',
  clientPort: 40001,
  localAddress: '10.0.0.2',
  localPort: 25,
};

/** The server took the message of this transaction. */
export function taken(transaction = 1): SessionEvent {
  return {
    name: 'message',
    transaction,
    sender: 'a@sender.example',
    octets: 512,
    code: 250,
    reply: '250 2.0.0 Ok: queued',
  };
}

export interface Watched {
  readonly observer: Observer;
  /** As written, each with its line end. */
  readonly lines: string[];
  readonly clock: { ms: number };
  /** The lines parsed. */
  entries(): Record<string, unknown>[];
  /** The samples of /metrics, by `name{labels}`. */
  samples(): Promise<Map<string, number>>;
}

export function watch(options: Partial<ObserverOptions> = {}): Watched {
  const lines: string[] = [];
  const clock = { ms: 0 };
  const take = (line: string): void => {
    lines.push(line);
    if (options.pretty !== true) assertAllKnown([line]);
  };
  const observer = createObserver({
    level: 'info',
    pretty: false,
    mode: 'enforce',
    connectors: ['internet'],
    servers: ['10.0.0.10:25'],
    sink: { write: take, flush: async () => {}, lost: 0 },
    now: () => clock.ms,
    ...options,
  });
  return {
    observer,
    lines,
    clock,
    entries: () => lines.map((line) => JSON.parse(line)),
    samples: async () => parseSamples(await observer.metrics()),
  };
}

export function parseSamples(text: string): Map<string, number> {
  const samples = new Map<string, number>();
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const space = line.lastIndexOf(' ');
    samples.set(line.slice(0, space), Number(line.slice(space + 1)));
  }
  return samples;
}
