// What the status page shows, kept while the admin port is open: the last hour, and who reads along.
//
// Every two seconds the threads are asked what they counted and whom they refused: that costs the same whatever happens and
// whoever looks. A page is drawn only for those who look, once for all of them. Not here: HTTP (observe/admin-page) and how it
// looks (status/page).

import type { OperatorPage, PageFile } from '../observe/admin-page.ts';
import { History } from '../status/history.ts';
import { drawPage, drawSections, type PageSnapshot } from '../status/page.ts';
import type { LimitsView, Status } from '../status/shapes.ts';
import { type ProgramFile, readProgramFile } from './program-files.ts';
import type { Listeners } from './threads.ts';

export interface PageOptions {
  readonly status: () => Promise<Status>;
  readonly limits: () => Promise<LimitsView>;
  readonly listeners: Pick<Listeners, 'refusals'>;
  readonly hasToken: boolean;
  readonly now?: () => number;
}

const TICK_MS = 2_000;
const MOST_FINDINGS = 20;

const FILES: Readonly<Record<string, readonly [PageFile['type'], ProgramFile]>> = {
  '/page.css': ['text/css; charset=utf-8', 'browser.css'],
  '/page.js': ['text/javascript; charset=utf-8', 'browser.js'],
  '/uplot.css': ['text/css; charset=utf-8', 'uplot.css'],
  '/uplot.js': ['text/javascript; charset=utf-8', 'uplot.js'],
};

export class PageReport implements OperatorPage {
  readonly #options: PageOptions;
  readonly #history = new History();
  readonly #readers = new Set<(event: string) => void>();
  readonly #files = new Map<string, Promise<string>>();
  readonly #now: () => number;
  #timer: NodeJS.Timeout | null = null;
  /** What `check` says of what is in force. */
  findings: readonly string[] = [];

  constructor(options: PageOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  start(): void {
    const again = (): void => {
      if (this.#timer !== null) this.#timer = setTimeout(turn, TICK_MS).unref();
    };
    // One that fails is not told: the next is soon, and a page that no longer changes says so.
    const turn = (): void => void this.tick().then(again, again);
    this.#timer = setTimeout(turn, 0).unref();
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  /** Takes what was counted, and tells those who read along. */
  async tick(): Promise<void> {
    const status = await this.#take();
    if (this.#readers.size === 0) return;
    const event = eventOf(await this.#snapshot(status));
    for (const take of this.#readers) take(event);
  }

  async html(): Promise<string> {
    return drawPage(await this.#snapshot(await this.#take()));
  }

  async file(path: string): Promise<PageFile | null> {
    const [type, name] = FILES[path] ?? [];
    if (type === undefined || name === undefined) return null;
    const body = this.#files.get(path) ?? readProgramFile(name);
    this.#files.set(path, body);
    return { type, body: await body };
  }

  subscribe(take: (event: string) => void): () => void {
    this.#readers.add(take);
    this.#take()
      .then((status) => this.#snapshot(status))
      .then(
        (snapshot) => this.#readers.has(take) && take(eventOf(snapshot)),
        () => {},
      );
    return () => void this.#readers.delete(take);
  }

  async #take(): Promise<Status> {
    const [status, refusals] = await Promise.all([this.#options.status(), this.#options.listeners.refusals()]);
    this.#history.feed(this.#now(), status, refusals);
    return status;
  }

  async #snapshot(status: Status): Promise<PageSnapshot> {
    const limits = await this.#options.limits();
    const { findings, hasToken } = { findings: this.findings.slice(0, MOST_FINDINGS), ...this.#options };
    return { status, recent: this.#history.recent(this.#now()), limits, findings, hasToken };
  }
}

function eventOf(snapshot: PageSnapshot): string {
  const { status, recent } = snapshot;
  return JSON.stringify({
    time: status.time,
    warnings: status.warnings.length + snapshot.findings.length,
    sections: drawSections(snapshot),
    minutes: recent.minutes,
  });
}
