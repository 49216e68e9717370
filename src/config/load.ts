// Reads a configuration: file, flags and environment in; one checked, compiled and linted whole out.
//
// Nothing is ever half loaded: with an error among the findings there is no configuration and no policy, so that a
// faulty file can be refused whole and the old one stays. Nothing throws for what stands in a file.

import { basename } from 'node:path';
import type * as z from 'zod';
import { compileInSteps } from '../policy/compile.ts';
import type { PolicyDocument } from '../policy/document.ts';
import type { Resolve } from '../policy/judge.ts';
import type { ListFile, ReadList } from '../policy/lists.ts';
import type { PolicyOptions } from '../policy/options.ts';
import type { Policy } from '../policy/policy.ts';
import { formatPath, type Path, type Place } from '../policy/problem.ts';
import { atOnce, type Steps } from '../policy/steps.ts';
import { checkAgreement } from './agreement.ts';
import { beside } from './beside.ts';
import { type Credentials, readCredentials } from './certificates.ts';
import { type Finding, hasErrors, sortFindings } from './finding.ts';
import { type FlagValues, flagDocument, missingFlags, readFlags, tokenElsewhere } from './flags.ts';
import { type Host, thisHost } from './host.ts';
import { linesOf, restoreLongLists, strayFiles, type Unfolded, unfoldLists } from './list-files.ts';
import { policySchema } from './policy-schema.ts';
import { lintClearText, lintReach } from './reach.ts';
import { type Config, configSchema } from './schema.ts';
import { checkShape, type PlaceOf } from './shape.ts';
import { inSlices } from './slices.ts';
import { type ReadOctets, type ReadText, readOctets, type Source, sourceOf, textOf } from './source.ts';
import { lintUpstreams } from './upstream-names.ts';
import { upstreamCalled, upstreamsOf } from './upstreams.ts';

/** What a configuration was made from beside flags and variables: with it another thread loads the very same. */
export interface World {
  readonly host: Host;
  /** Every file that was asked for, by its path. */
  readonly texts: ReadonlyMap<string, ReadOctets>;
}

/** What the world gives; all of it may be left out. */
export interface LoadOptions {
  /** In the place of this host, and of the files as they are now. */
  readonly host?: Host;
  readonly texts?: World['texts'];
  readonly now?: () => number;
  readonly onLostAddress?: (address: string) => void;
  /** Finds the forward-confirmed names of an address; the system's DNS when left out. */
  readonly resolve?: Resolve;
}

export interface Loaded {
  /** Null when there is an error among the findings, or when only a policy was read. */
  readonly config: Config | null;
  readonly policy: Policy | null;
  /** The policy as written, null unless `policy` is there. */
  readonly document: PolicyDocument | null;
  /** Of each listener; empty unless `config` is there. */
  readonly credentials: readonly Credentials[];
  readonly findings: readonly Finding[];
  /** Every file that was read: what to watch. */
  readonly files: readonly string[];
  /** Where a path into the policy stands. */
  readonly place: PlaceOf;
  readonly world: World;
}

/** Reads a configuration and the policy that it names or holds. */
export function loadConfig(file: string, options: LoadOptions = {}): Loaded {
  return atOnce(new Loader(options).configFile(file, {}, {}));
}

/** The same, with flags and environment variables taking the place of what the file says. */
export function loadConfigWith(
  file: string,
  values: FlagValues,
  env: NodeJS.ProcessEnv,
  options: LoadOptions = {},
): Loaded {
  return atOnce(new Loader(options).configFile(file, values, env));
}

/** A configuration of flags and environment variables alone. */
export function loadFlags(values: FlagValues, env: NodeJS.ProcessEnv, options: LoadOptions = {}): Loaded {
  return atOnce(new Loader(options).config(null, values, env));
}

/** As loadConfigWith, or as loadFlags where `file` is null, while the thread serves others as well. */
export function loadInSlices(
  file: string | null,
  values: FlagValues,
  env: NodeJS.ProcessEnv,
  options: LoadOptions = {},
): Promise<Loaded> {
  const loader = new Loader(options);
  return inSlices(file === null ? loader.config(null, values, env) : loader.configFile(file, values, env));
}

/** Reads a policy by itself, as `check`, `explain` and `test` do. */
export function loadPolicy(file: string, options: LoadOptions = {}): Loaded {
  return atOnce(new Loader(options).policyFile(file, {}));
}

/** Reads what a file turns out to be: a configuration or a policy. */
export function loadAny(file: string, options: LoadOptions = {}): Loaded {
  return atOnce(new Loader(options).anyFile(file));
}

/** By its keys: only a configuration has an upstream or names a policy. */
function kindOf(data: unknown): 'configuration' | 'policy' | null {
  if (typeof data !== 'object' || data === null) return null;
  const keys = Object.keys(data);
  const policyKeys = keys.filter((key) => key in policySchema.shape).length;
  const configKeys = keys.filter((key) => key in configSchema.shape).length;
  return policyKeys === configKeys ? null : policyKeys > configKeys ? 'policy' : 'configuration';
}

function policyIn(data: unknown): string {
  const { policy } = data as { policy?: unknown };
  return typeof policy === 'string' ? `: it names ${policy}` : ', in a file of its own';
}

const NOT_HANDED_OVER: ReadOctets = { problem: 'it was not there when the configuration was read' };

class Loader {
  readonly #options: LoadOptions;
  readonly #host: Host;
  readonly #findings: Finding[] = [];
  readonly #unfolded: Unfolded[] = [];
  /** Null where a policy is read by itself. */
  #listeners: Config['listeners'] | null = null;
  /** The policy before its defaults. */
  #written: unknown = null;
  readonly #files: string[] = [];
  readonly #texts = new Map<string, ReadOctets>();

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#host = options.host ?? thisHost();
  }

  *configFile(file: string, values: FlagValues, env: NodeJS.ProcessEnv): Steps<Loaded> {
    return yield* this.config(yield* this.#source(file), values, env);
  }

  *policyFile(file: string, settings: Partial<PolicyOptions>): Steps<Loaded> {
    return yield* this.#policy(yield* this.#source(file), settings);
  }

  *anyFile(file: string): Steps<Loaded> {
    const source = yield* this.#source(file);
    return yield* kindOf(source.data) === 'policy' ? this.#policy(source, {}) : this.config(source, {}, {});
  }

  /** `source` null: flags alone. */
  *config(source: Source | null, values: FlagValues, env: NodeJS.ProcessEnv): Steps<Loaded> {
    const flags = readFlags(values, env);
    this.#findings.push(...flags.findings, ...missingFlags(flags.given, source));
    if (source !== null) this.#take(source);
    if (source !== null && kindOf(source.data) === 'policy')
      return this.#isOther(
        source,
        `this is a policy, and a configuration is wanted: one that names it, as policy: ${basename(source.file)}`,
      );
    const { data: folded, place: placeFolded } = flagDocument(flags.given, source);
    if (source?.data === null) return this.#nothing(placeFolded);
    const unfolded = yield* this.#unfold(folded, placeFolded);
    const { place } = unfolded;
    const config = this.#shape(configSchema, unfolded);
    if (config === null) return this.#nothing(place);
    for (const { upstream } of upstreamsOf(config))
      if (upstream.tls.ca !== undefined) yield* this.#readListed(beside(source?.file ?? null, upstream.tls.ca));
    this.#findings.push(
      ...checkAgreement(config, source?.file ?? null, place, this.#host, (path) => this.#readText(path)),
    );
    this.#findings.push(...tokenElsewhere(env, config.admin));
    this.#listeners = config.listeners;
    this.#written = (unfolded.data as { policy?: unknown }).policy;
    const { unknown } = this.#host;
    if (unknown !== undefined && config.lost_address_guard === 'refuse') {
      const key = 'lost_address_guard';
      this.#findings.push({ ...place([key]), severity: 'warning', key, message: unknown });
    }
    const credentials = this.#readCredentials(config, place, source?.file ?? null);
    const settings: Partial<PolicyOptions> = {
      mode: config.mode,
      limits: config.limits,
      dotLines: (name) => upstreamCalled(name, config).dot_lines,
      textLine: (name) => upstreamCalled(name, config).text_line,
      lostAddressGuard: config.lost_address_guard,
    };
    yield;
    const loaded =
      typeof config.policy === 'string'
        ? yield* this.policyFile(beside(source?.file ?? null, config.policy), settings)
        : yield* this.#compile(
            config.policy,
            source?.file ?? null,
            (path, at) => place(['policy', ...path], at),
            settings,
            ['policy'],
          );
    if (loaded.document !== null) this.#checkReach(config, loaded.document, loaded.place, place);
    const findings = this.#found();
    if (hasErrors(findings)) return { ...loaded, findings, policy: null, document: null };
    return { ...loaded, findings, config, credentials };
  }

  *#policy(source: Source, settings: Partial<PolicyOptions>): Steps<Loaded> {
    this.#take(source);
    if (source.data === null) return this.#nothing(source.place);
    if (kindOf(source.data) === 'configuration')
      return this.#isOther(source, `this is a configuration, and a policy is wanted${policyIn(source.data)}`);
    const unfolded = yield* this.#unfold(source.data, source.place);
    const value = this.#shape(policySchema, unfolded);
    if (value === null) return this.#nothing(unfolded.place);
    this.#written = unfolded.data;
    yield;
    return yield* this.#compile(value, source.file, unfolded.place, settings, []);
  }

  /** With the entries of list files in their lists. */
  *#unfold(data: unknown, place: PlaceOf): Steps<Unfolded> {
    const unfolded = yield* unfoldLists(data, place, (path) => this.#readListed(path));
    this.#findings.push(...unfolded.findings);
    this.#unfolded.push(unfolded);
    return unfolded;
  }

  #shape<Schema extends z.ZodType>(schema: Schema, unfolded: Unfolded): z.infer<Schema> | null {
    const { data, longLists, place } = unfolded;
    const { value, findings } = checkShape(schema, data, place);
    if (value !== null && !restoreLongLists(value, longLists)) {
      // The schema makes something else of the entries of such a list, and must see them all.
      restoreLongLists(data, longLists);
      return this.#shape(schema, { ...unfolded, longLists: [] });
    }
    const strays = strayFiles(data, place, findings);
    // Which flag says it has been told.
    const told = ({ key, message }: Finding): boolean =>
      message.startsWith('missing') && this.#findings.some((finding) => finding.key === key);
    this.#findings.push(...findings.filter((finding) => !told(finding)), ...strays);
    return strays.length === 0 ? value : null;
  }

  /** All that was found, in the order of the files and as they count their entries. */
  #found(): Finding[] {
    return sortFindings(this.#unfolded.reduce((findings, one) => one.asWritten(findings), this.#findings));
  }

  /** Once each, so that a file that changes meanwhile is not two. */
  *#read(file: string): Steps<ReadOctets> {
    const { texts } = this.#options;
    const given = this.#texts.get(file) ?? texts?.get(file);
    const read = given ?? (texts === undefined ? yield* readOctets(file) : NOT_HANDED_OVER);
    this.#texts.set(file, read);
    return read;
  }

  #readText(file: string): ReadText {
    return textOf(atOnce(this.#read(file)));
  }

  *#source(file: string): Steps<Source> {
    return sourceOf(file, textOf(yield* this.#read(file)));
  }

  #world(): World {
    return { host: this.#host, texts: this.#texts };
  }

  /** One sentence, in the place of one for every key. */
  #isOther({ file, place }: Source, message: string): Loaded {
    this.#findings.push({ file, line: 1, column: 1, severity: 'error', key: '', message });
    return this.#nothing(place);
  }

  #take(source: Source): void {
    this.#files.push(source.file);
    this.#findings.push(...source.findings);
  }

  #nothing(place: PlaceOf): Loaded {
    const findings = this.#found();
    return {
      config: null,
      policy: null,
      document: null,
      credentials: [],
      findings,
      files: this.#files,
      place,
      world: this.#world(),
    };
  }

  *#compile(
    document: PolicyDocument,
    file: string | null,
    place: PlaceOf,
    settings: Partial<PolicyOptions>,
    prefix: Path,
  ): Steps<Loaded> {
    const { onLostAddress, resolve, now = Date.now } = this.#options;
    const { policy, problems } = yield* compileInSteps(document, {
      ...settings,
      ...this.#host,
      now,
      readList: this.#listReader(file),
      ...(onLostAddress === undefined ? {} : { onLostAddress }),
      ...(resolve === undefined ? {} : { resolve }),
    });
    for (const problem of problems) {
      const at: Place = problem.place ?? place(problem.path);
      const key = prefixed(prefix, formatPath(problem.path));
      this.#findings.push({ ...at, severity: problem.severity, key, message: problem.message });
    }
    lintClearText(this.#listeners, document, this.#written, (severity, path, message) =>
      this.#findings.push({ ...place(path), severity, key: prefixed(prefix, formatPath(path)), message }),
    );
    const sound = !hasErrors(this.#findings);
    return {
      config: null,
      policy: sound ? policy : null,
      document: sound ? document : null,
      credentials: [],
      findings: this.#found(),
      files: this.#files,
      place,
      world: this.#world(),
    };
  }

  /** Files of valid recipients stand beside the file that names them. */
  #listReader(file: string | null): ReadList {
    const read = (path: string): Steps<ReadOctets> => this.#readListed(path);
    return function* (name): Steps<ListFile | string> {
      const path = beside(file, name);
      const content = yield* read(path);
      return 'problem' in content ? content.problem : { file: path, lines: linesOf(content.octets, path) };
    };
  }

  /** Read, and among the files that are watched. */
  #readListed(path: string): Steps<ReadOctets> {
    if (!this.#files.includes(path)) this.#files.push(path);
    return this.#read(path);
  }

  #readCredentials({ listeners }: Config, place: PlaceOf, file: string | null): Credentials[] {
    const { now = Date.now } = this.#options;
    const read = (name: string) => textOf(atOnce(this.#readListed(beside(file, name))));
    return listeners.map((listener, i) =>
      readCredentials(listener, ['listeners', i], read, now(), (severity, path, message) => {
        this.#findings.push({ ...place(path), severity, key: formatPath(path), message });
      }),
    );
  }

  /** What listeners and connectors must agree on. */
  #checkReach(config: Config, document: PolicyDocument, placeInPolicy: PlaceOf, place: PlaceOf): void {
    const prefix = typeof config.policy === 'string' ? [] : ['policy'];
    const report = {
      config: (severity: Finding['severity'], path: Path, message: string): void => {
        this.#findings.push({ ...place(path), severity, key: formatPath(path), message });
      },
      connector: (severity: Finding['severity'], path: Path, message: string): void => {
        this.#findings.push({ ...placeInPolicy(path), severity, key: formatPath([...prefix, ...path]), message });
      },
    };
    lintReach(config.listeners, document, { listener: report.config, connector: report.connector });
    lintUpstreams(config, document, report);
  }
}

function prefixed(prefix: Path, key: string): string {
  const head = formatPath(prefix);
  return head === '' ? key : key === '' ? head : `${head}.${key}`;
}
