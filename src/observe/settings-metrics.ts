// The metrics of what the operator's own files say: which policy is in force and since when, whether a reload was refused,
// whether all is enforced, and when certificates end.
//
// Invariant: every label is the operator's own word: a digest of the files, an address that we listen on, a name in a
// certificate. They are gauges of the process: where there are several threads, the main one tells them.

import { Counter, Gauge, type Registry } from 'prom-client';

/** One that a listener shows to its clients. */
export interface ShownCertificate {
  /** `address:port` of the configuration. */
  readonly listener: string;
  /** Its first name. */
  readonly name: string;
  /** Milliseconds since 1970. */
  readonly until: number;
}

export class SettingsMetrics {
  readonly #loaded: Gauge<'version'>;
  readonly #taken: Gauge;
  readonly #reloads: Counter<'result'>;
  readonly #certificates: Gauge<'listener' | 'name'>;

  /** `isProtected`: all that the policy refuses is refused. */
  constructor(registers: Registry[], isProtected: () => boolean) {
    this.#loaded = new Gauge({
      name: 'postern_policy_loaded_timestamp',
      help: 'When the policy in force was loaded, in seconds since 1970; `version` is a digest of its files.',
      labelNames: ['version'],
      aggregator: 'max',
      registers,
    });
    this.#taken = new Gauge({
      name: 'postern_last_reload_successful',
      help: 'Whether what was read last is in force (1), or was refused and the configuration before it stays (0).',
      aggregator: 'first',
      registers,
    });
    this.#taken.set(1);
    this.#reloads = new Counter({
      name: 'postern_reloads_total',
      help: 'Reloads, by whether what was read is in force since, or was refused.',
      labelNames: ['result'],
      registers,
    });
    for (const result of ['ok', 'refused'] as const) this.#reloads.inc({ result }, 0);
    new Gauge({
      name: 'postern_protected',
      help: 'Whether all that the policy refuses is refused (1), or something is only observed (0).',
      aggregator: 'first',
      registers,
      collect() {
        this.set(isProtected() ? 1 : 0);
      },
    });
    this.#certificates = new Gauge({
      name: 'postern_certificate_expires_timestamp',
      help: 'When a certificate ends that is shown to clients, in seconds since 1970; of several with one name the first to end.',
      labelNames: ['listener', 'name'],
      aggregator: 'first',
      registers,
    });
  }

  /** One version at a time. */
  policyLoaded(version: string, seconds: number): void {
    this.#loaded.reset();
    this.#loaded.set({ version }, seconds);
  }

  reloaded(result: 'ok' | 'refused'): void {
    this.#reloads.inc({ result });
    this.#taken.set(result === 'ok' ? 1 : 0);
  }

  /** All that are shown from now on. */
  shows(certificates: readonly ShownCertificate[]): void {
    this.#certificates.reset();
    for (const { listener, name, until } of certificates.toSorted((a, b) => b.until - a.until))
      this.#certificates.set({ listener, name }, until / 1000);
  }
}
