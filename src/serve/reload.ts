// What SIGHUP and a watched file do: everything is read anew and put in force, or refused whole, and the old policy stays.
//
// Invariant: at most one reload is at work and one waits, however often it is asked for. The one that waits reads the files
// when its turn comes, so that what they said last is what is in force in the end; whoever asks meanwhile means that one. It
// is done in slices (config/slices.ts): this thread serves clients beside it, or the counts of those that do.

import { beside } from '../config/beside.ts';
import { formatFinding, hasErrors, warningsIn } from '../config/finding.ts';
import type { FlagValues } from '../config/flags.ts';
import { type Loaded, type LoadOptions, loadInSlices } from '../config/load.ts';
import { textOf } from '../config/source.ts';
import type { RunningFirewall } from './firewall.ts';
import { listenersOf, observingIn } from './listeners.ts';
import type { ReloadOutcome } from './reload-outcome.ts';
import { versionOf, watchFiles } from './watched-files.ts';

export interface ReloaderOptions {
  readonly firewall: RunningFirewall;
  /** Null: flags and variables alone. */
  readonly file: string | null;
  readonly values: FlagValues;
  readonly load: LoadOptions;
  /** What is in force, and its version. */
  readonly first: Loaded;
  readonly version: Promise<string>;
}

interface Waiting {
  always: boolean;
  readonly promise: Promise<ReloadOutcome>;
  resolve(outcome: ReloadOutcome): void;
}

export class Reloader {
  readonly #options: ReloaderOptions;
  #tried: string | Promise<string>; // also when it was refused: a watched folder may change for other reasons
  readonly #fixed: Readonly<Record<string, string>>; // as started, whatever the file has said since
  #warned: readonly string[]; // of what is in force
  #watched: readonly string[] = [];
  #lostOne = false; // of their folders: the next reload tries again
  #unwatch = (): void => {};
  #atWork = false;
  /** Whether one waits, and whether it goes on where nothing has changed. */
  #waiting: Waiting | null = null;

  constructor(options: ReloaderOptions) {
    this.#options = options;
    this.#tried = options.version;
    this.#warned = warningsIn(options.first.findings);
    this.#fixed = unchangeable(options.first, options.file);
    this.#watchAnew(options.first);
  }

  /** `always`: even if nothing changed. */
  reload(always: boolean): Promise<ReloadOutcome> {
    this.#waiting ??= { always: false, ...Promise.withResolvers<ReloadOutcome>() };
    this.#waiting.always ||= always;
    const { promise } = this.#waiting;
    if (!this.#atWork) void this.#work();
    return promise;
  }

  async #work(): Promise<void> {
    this.#atWork = true;
    while (this.#waiting !== null) {
      const { always, resolve } = this.#waiting;
      this.#waiting = null;
      // What check found sound and the listeners would not take all the same.
      resolve(await this.#once(always).catch((error: Error) => this.#refused([error.message])));
    }
    this.#atWork = false;
  }

  async #once(always: boolean): Promise<ReloadOutcome> {
    const { firewall, file, values, load } = this.#options;
    const next = await loadInSlices(file, values, process.env, load);
    const { config, policy, findings } = next;
    const version = await versionOf(next);
    if (version === (await this.#tried) && !always)
      return { reloaded: true, policy_version: version, needs_restart: [] };
    this.#tried = version;
    if (config === null || policy === null || hasErrors(findings)) {
      // Where it will be mended may be a file that is new in it.
      if (this.#watched.length > 0) this.#watchThese([...new Set([...this.#watched, ...next.files])]);
      return this.#refused(findings.filter(({ severity }) => severity === 'error').map(formatFinding));
    }
    this.#watchAnew(next);
    const inForce = { config, policy, credentials: next.credentials, findings: warningsIn(findings) };
    await firewall.putInForce(inForce, version, next.place, { file, values, world: next.world });
    firewall.observer.reloaded(this.#name, config.mode, observingIn(policy));
    for (const warning of inForce.findings)
      if (!this.#warned.includes(warning)) firewall.observer.warn('finding', {}, warning);
    this.#warned = inForce.findings;
    const now = unchangeable(next, file);
    const keys = Object.keys(now).filter((key) => now[key] !== this.#fixed[key]);
    if (keys.length > 0) firewall.observer.warn('needs_restart', { keys: keys.join(', ') });
    return { reloaded: true, policy_version: version, needs_restart: keys };
  }

  get #name(): string {
    return this.#options.file ?? 'command line';
  }

  #refused(findings: readonly string[]): ReloadOutcome {
    this.#options.firewall.observer.reloadRefused(this.#name, findings);
    return { reloaded: false, error: 'The old configuration stays.', findings: findings.slice(0, MOST_FINDINGS) };
  }

  #watchAnew({ config, files }: Loaded): void {
    if (config?.watch === true) this.#watchThese(files);
  }

  #watchThese(files: readonly string[]): void {
    if (!this.#lostOne && files.join('\0') === this.#watched.join('\0')) return;
    this.#unwatch();
    this.#watched = files;
    this.#lostOne = false;
    const lost = (folder: string, why: string): void => {
      this.#lostOne = true;
      this.#options.firewall.observer.warn('not_watched', { file: folder, why });
    };
    this.#unwatch = watchFiles(files, () => this.reload(false), lost);
  }
}

const MOST_FINDINGS = 100; // that whoever asked for it is told; the log has all

/** What only a new start can change, each as text; of a secret what its file holds as well. */
function unchangeable({ config, world }: Loaded, file: string | null): Readonly<Record<string, string>> {
  if (config === null) return {};
  const { timeouts, workers, admin, log, watch } = config;
  const listeners = listenersOf(config);
  const inFile = (name: string | undefined) => [name, name && textOf(world.texts.get(beside(file, name)) ?? NOT_READ)];
  const state_password_file = inFile(config.state_password_file);
  const state_ca = inFile(config.state_ca);
  const keys = { listeners, timeouts, state: config.state, state_password_file, state_ca, workers, admin, log, watch };
  return Object.fromEntries(Object.entries(keys).map(([key, value]) => [key, JSON.stringify(value)]));
}

const NOT_READ = { problem: '' };
