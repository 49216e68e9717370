// The status page over HTTP: GET /, its files, and GET /events, which sends what changed while it is open (server-sent events).
//
// Invariant: nothing from elsewhere is loaded, and no other page may frame it, send to it or read it. Nothing waits for a reader:
// an event goes to those who have taken the one before, so that of a slow one at most one event is kept, and of one that takes
// nothing for a minute the connection is ended. Not here: what stands in it (status/page, serve/page-report).

import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Answer, failure, isReading, notAllowed } from './admin-answers.ts';

export interface OperatorPage {
  html(): Promise<string>;
  /** By their path. */
  file(path: string): Promise<PageFile | null>;
  /** From now on `take` is given each event as JSON, the first at once; the answer ends that. */
  subscribe(take: (event: string) => void): () => void;
}

export interface PageFile {
  readonly type: 'text/css; charset=utf-8' | 'text/javascript; charset=utf-8';
  readonly body: string;
}

const READERS = 8;
const STUCK_MS = 60_000;
const AGAIN_MS = 3_000; // after which a browser asks again when the connection was lost

const HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; " +
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types page",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-frame-options': 'DENY',
};

/** Whoever opens these in a browser is asked for the token by the browser. */
export function isPage(path: string | undefined): boolean {
  return path === '/' || path === '/events' || /^\/(?:page|uplot)\.(?:css|js)$/.test(path ?? '');
}

/** Null when the question is about something else. */
export async function answerPage(request: IncomingMessage, path: string, page: OperatorPage): Promise<Answer | null> {
  if (!isPage(path) || path === '/events') return null;
  if (!isReading(request)) return notAllowed('GET, HEAD');
  if (path === '/') return { status: 200, type: 'text/html; charset=utf-8', body: await page.html(), headers: HEADERS };
  const found = await page.file(path);
  if (found === null) return failure(404, 'There is nothing here.');
  return { status: 200, ...found, headers: { 'cross-origin-resource-policy': 'same-origin' } };
}

/** Those who read GET /events. */
export class EventReaders {
  readonly #open = new Set<ServerResponse>();

  /** Answers by itself; what is wrong with the question otherwise. */
  answer(request: IncomingMessage, response: ServerResponse, page: OperatorPage): Answer | null {
    if (request.method !== 'GET') return notAllowed('GET');
    if (this.#open.size >= READERS) this.#open.values().next().value?.destroy();
    this.#open.add(response);
    response.writeHead(200, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
    });
    response.write(`retry: ${AGAIN_MS}\n\n`);
    let takenAt = performance.now();
    const end = page.subscribe((event) => {
      // What was written before has not gone out: this one is dropped, the next one says all that it said.
      if (response.writableLength === 0) {
        takenAt = performance.now();
        response.write(`data: ${event}\n\n`);
      } else if (performance.now() - takenAt > STUCK_MS) response.destroy();
    });
    response.on('close', () => {
      this.#open.delete(response);
      end();
    });
    return null;
  }
}
