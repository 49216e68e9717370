// Flags of `run` and their twins in the environment, as pieces of a configuration.
//
// A flag beats its twin, and both beat the file. What they say goes through the same schema as a file does; only the
// place of a finding is the flag and not a line.

import type { Path, Place } from '../policy/problem.ts';
import type { Finding } from './finding.ts';
import { policySchema } from './policy-schema.ts';
import { configSchema, listenerSchema } from './schema.ts';
import type { PlaceOf } from './shape.ts';
import type { Source } from './source.ts';
import { nearest } from './suggest.ts';

export interface FlagValues {
  readonly config?: string | undefined;
  readonly listen?: readonly string[] | undefined;
  readonly upstream?: readonly string[] | undefined;
  readonly acceptedDomain?: readonly string[] | undefined;
  readonly relayFrom?: readonly string[] | undefined;
  readonly mode?: string | undefined;
  /** An address, or `none`. */
  readonly admin?: string | undefined;
  readonly drainTimeout?: string | undefined;
  readonly logLevel?: string | undefined;
  readonly lostAddressGuard?: string | undefined;
  /** A number, or `auto`. */
  readonly workers?: string | undefined;
}

interface FlagRow {
  readonly name: keyof FlagValues;
  readonly flag: string;
  readonly variable: string;
  readonly repeatable: boolean;
}

function row(name: keyof FlagValues, repeatable = false): FlagRow {
  const words = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  const variable = `POSTERN_${words.replaceAll('-', '_').toUpperCase()}`;
  return { name, flag: `--${words}`, variable, repeatable };
}

export const FLAG_ROWS: readonly FlagRow[] = [
  row('config'),
  row('listen', true),
  row('upstream', true),
  row('acceptedDomain', true),
  row('relayFrom', true),
  row('mode'),
  row('admin'),
  row('drainTimeout'),
  row('logLevel'),
  row('lostAddressGuard'),
  row('workers'),
];

/** A flag or variable that was given, and what it said. */
export interface Given {
  readonly name: keyof FlagValues;
  readonly origin: string;
  readonly values: readonly string[];
}

export function readFlags(
  values: FlagValues,
  env: NodeJS.ProcessEnv,
): { readonly given: readonly Given[]; readonly findings: readonly Finding[] } {
  const given: Given[] = [];
  const findings = strayVariables(env);
  for (const { name, flag, variable, repeatable } of FLAG_ROWS) {
    const value = values[name];
    const fromEnv = env[variable];
    if (value === '') findings.push(errorAt(flag, 'nothing stands behind it: leave it out, or say what is meant'));
    else if (value !== undefined && value.length > 0)
      given.push({ name, origin: flag, values: typeof value === 'string' ? [value] : value });
    else if (fromEnv !== undefined && fromEnv !== '')
      given.push({ name, origin: variable, values: repeatable ? split(fromEnv) : [fromEnv] });
  }
  return { given, findings };
}

function split(list: string): string[] {
  return list
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
}

/** The file to read, if a flag or the environment names one. */
export function configFile(values: FlagValues, env: NodeJS.ProcessEnv): string | null {
  return values.config ?? (env.POSTERN_CONFIG || null);
}

function errorAt(file: string, message: string, key = ''): Finding {
  return { file, line: 0, column: 0, severity: 'error', key, message };
}

const PREFIX = 'POSTERN_';

/** What only a file can say. */
const KEYS = [configSchema, policySchema, listenerSchema]
  .flatMap(({ shape }) => Object.keys(shape))
  .filter((key) => key !== 'version');

/** What an orchestrator sets for a service whose name begins with postern. */
function isOfService(name: string, value = ''): boolean {
  return (
    /_SERVICE_(HOST|PORT)(_|$)|_PORT_[0-9]+_[A-Z]+(_(PROTO|PORT|ADDR))?$/.test(name) ||
    (name.endsWith('_PORT') && value.includes('://'))
  );
}

/** A variable that is nearly one of ours was meant as such, and so is one that says a key: who believes that it holds has less
 * of a firewall than he reads. Others are left alone. */
function strayVariables(env: NodeJS.ProcessEnv): Finding[] {
  const known = FLAG_ROWS.map(({ variable }) => variable.slice(PREFIX.length));
  return Object.entries(env).flatMap(([name, value]) => {
    const capitals = name.toUpperCase();
    const rest = capitals.slice(PREFIX.length);
    // On Windows every case is the same variable.
    if (!capitals.startsWith(PREFIX) || (known.includes(rest) && env[capitals] === value)) return [];
    if (isOfService(capitals, value)) return [];
    const meant = nearest(rest, known);
    if (meant !== null) return [errorAt(name, `unknown variable: did you mean ${PREFIX}${meant}?`)];
    const key =
      KEYS.find((one) => rest.startsWith(`${one.toUpperCase()}_`)) ??
      nearest(
        rest,
        KEYS.map((one) => one.toUpperCase()),
      )?.toLowerCase();
    if (key === undefined) return [];
    return [errorAt(name, `unknown variable: no variable says ${key}, a file does, which ${PREFIX}CONFIG names`)];
  });
}

/** The one variable of ours that others read, where it could be taken for the token of the admin port. */
export function tokenElsewhere(
  env: NodeJS.ProcessEnv,
  admin: { readonly token_file?: string | undefined } | null,
): Finding[] {
  const name = `${PREFIX}TOKEN_FILE`;
  if (!env[name] || admin === null || admin.token_file !== undefined) return [];
  const message = 'status and reload read it; the admin port has no token without admin.token_file in a file';
  return [{ ...errorAt(name, message, 'admin.token_file'), severity: 'warning' }];
}

/** The data of the file, if there is one, with what was given in its place, and where each value was said. */
export function flagDocument(
  given: readonly Given[],
  source: Source | null,
): { readonly data: Record<string, unknown>; readonly place: PlaceOf } {
  const data: Record<string, unknown> = { ...(source?.data as Record<string, unknown> | null) };
  const origins: { path: Path; origin: string }[] = [];
  const put = (path: readonly string[], value: unknown, origin: string): void => {
    let at = data;
    for (const step of path.slice(0, -1)) {
      const inner = at[step] ?? {};
      if (!isBlock(inner)) return; // stays as it is, for the schema to refuse
      const copy = { ...inner };
      at[step] = copy;
      at = copy as Record<string, unknown>;
    }
    at[path.at(-1) as string] = value;
    origins.push({ path, origin });
  };
  const said = (name: keyof FlagValues): Given | undefined => given.find((one) => one.name === name);

  for (const { name, origin, values } of given) {
    const [value = ''] = values;
    if (name === 'listen') {
      // What else the listener is, it stays: who must send a PROXY header to it, and its certificates. What is none stays as
      // well, for the schema to refuse.
      const { listeners = [{}] } = data;
      const [first] = Array.isArray(listeners) ? listeners : [];
      if (!isBlock(first)) continue;
      data.listeners = [{ ...first, bind: values }];
      origins.push({ path: ['listeners', 0, 'bind'], origin });
    } else if (name === 'upstream') put(['upstream', 'servers'], values, origin);
    else if (name === 'mode') put(['mode'], value, origin);
    else if (name === 'admin' && value === 'none') put(['admin'], null, origin);
    else if (name === 'admin') put(['admin', 'listen'], value, origin);
    else if (name === 'drainTimeout') put(['timeouts', 'drain'], value, origin);
    else if (name === 'logLevel') put(['log', 'level'], value, origin);
    else if (name === 'lostAddressGuard') put(['lost_address_guard'], value, origin);
    else if (name === 'workers') put(['workers'], /^[0-9]+$/.test(value) ? Number(value) : value, origin);
  }
  const domains = said('acceptedDomain');
  const ranges = said('relayFrom');
  if (domains !== undefined || ranges !== undefined) {
    put(['policy'], simplePolicy(domains?.values ?? [], ranges?.values ?? []), (domains ?? ranges)?.origin ?? '');
    if (ranges !== undefined) origins.push({ path: ['policy', 'connectors', 0, 'rules'], origin: ranges.origin });
  }
  return { data, place: placeBy(origins, source) };
}

function isBlock(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** One connector for everyone, and a rule for those who may relay: as `sources` and not as the range of a connector of
 * their own, so that a client whose address is lost still reaches the accepted domains. */
function simplePolicy(domains: readonly string[], ranges: readonly string[]): unknown {
  const rules = ranges.length === 0 ? [] : [{ name: 'relay-from', allow: { sources: ranges } }];
  return {
    version: 1,
    accepted_domains: domains,
    connectors: [{ name: 'default', remote_ip_ranges: ['any'], rules }],
  };
}

/** The flag whose value stands at a path or around it, else the file, else the command line as a whole. */
function placeBy(origins: readonly { path: Path; origin: string }[], source: Source | null): PlaceOf {
  return (path, at): Place => {
    const around = origins.filter((one) => one.path.every((step, i) => step === path[i]));
    const nearestOne = around.sort((a, b) => b.path.length - a.path.length)[0];
    if (nearestOne !== undefined) return { file: nearestOne.origin, line: 0, column: 0 };
    if (source !== null) return source.place(path, at);
    return { file: 'command line', line: 0, column: 0 };
  };
}

/** Without a file, flags must say everything; with one, they do not replace its policy, nor one of several listeners. */
export function missingFlags(given: readonly Given[], source: Source | null): Finding[] {
  const names = new Set(given.map(({ name }) => name));
  const finding = (file: string, key: string, message: string): Finding => errorAt(file, message, key);
  if (source !== null) {
    const { listeners } = (source.data ?? {}) as { readonly listeners?: unknown };
    const several = Array.isArray(listeners) && listeners.length > 1;
    return given.flatMap(({ name, origin }) => {
      if (name === 'acceptedDomain' || name === 'relayFrom')
        return [finding(origin, 'policy', `the policy of ${source.file} decides: say it there`)];
      if (name === 'listen' && several)
        return [
          finding(origin, 'listeners', `${source.file} has several listeners, each of its own kind: say it there`),
        ];
      return [];
    });
  }
  const findings: Finding[] = [];
  if (!names.has('upstream'))
    findings.push(
      finding(
        'command line',
        'upstream',
        'the mail server behind is wanted: --upstream HOST:PORT or POSTERN_UPSTREAM, or a file with --config',
      ),
    );
  if (!names.has('acceptedDomain') && !names.has('relayFrom'))
    findings.push(
      finding(
        'command line',
        'policy',
        'no mail would pass: --accepted-domain DOMAIN or POSTERN_ACCEPTED_DOMAIN is wanted, or --relay-from RANGE',
      ),
    );
  return findings;
}
