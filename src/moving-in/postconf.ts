// `postconf -n`, main.cf and `postconf -M` as parameters and services, and what $name in a value means.
//
// What is not set has Postfix's default only where DEFAULTS names it: others are not needed here. A value that asks for a
// parameter that nobody knows is not guessed: it expands to null.

import type { Place } from '../policy/problem.ts';
import type { Report } from './imported.ts';
import type { InputFile } from './input-file.ts';

export interface Parameter {
  readonly name: string;
  readonly value: string;
  readonly where: Place;
}

/** A line of master.cf that runs smtpd for the network. */
export interface Service {
  /** `smtp`, `587`, `192.0.2.1:smtp`. */
  readonly name: string;
  readonly command: string;
  readonly overrides: readonly Parameter[];
  readonly where: Place;
}

const PARAMETER = /^([A-Za-z0-9][\w.-]*)\s*=\s*(.*)$/;

/** Most lines are parameters: of a warning or a prompt among them its line is told. */
export function isPostconf(text: string): boolean {
  const lines = logicalLines(text).map(({ text: line }) => line);
  const parameters = lines.filter((line) => PARAMETER.test(line));
  return parameters.some((line) => KNOWN.test(line)) && 2 * parameters.length > lines.length;
}

const KNOWN =
  /^(my(networks|destination|hostname|domain|origin)|relay_domains|smtpd_\w+|compatibility_level|inet_interfaces|config_directory|queue_directory)\s*=/;

export function isMasterCf(text: string): boolean {
  const lines = logicalLines(text);
  return lines.length > 0 && lines.every(({ text: line }) => SERVICE.test(line));
}

const SERVICE = /^(\S+)\s+(inet|unix|fifo|pass|unix-dgram)\s+([yn-])\s+([yn-])\s+([yn-])\s+(\S+)\s+(\S+)\s+(\S.*)$/;

/** Lines with what goes on in the next, which begins with a blank; without comments and empty ones. */
export function logicalLines(text: string): { text: string; line: number }[] {
  const lines: { text: string; line: number }[] = [];
  for (const [i, line] of text.split(/\r\n|\n|\r/).entries()) {
    if (/^\s*(#|$)/.test(line)) continue;
    const last = lines.at(-1);
    if (/^\s/.test(line) && last !== undefined) last.text += ` ${line.trim()}`;
    else lines.push({ text: line.trimEnd(), line: i + 1 });
  }
  return lines;
}

export function parsePostconf(file: InputFile, report: Report): Parameter[] {
  return logicalLines(file.text).flatMap(({ text, line }) => {
    const where = { file: file.name, line, column: 1 };
    const [, name, value] = PARAMETER.exec(text) ?? [];
    if (name !== undefined) return [{ name, value: value ?? '', where }];
    report.fault(where, `'${text.slice(0, 60)}' is no parameter: name = value is wanted, as postconf -n prints it`);
    return [];
  });
}

/** The services that take mail from the network by smtpd, or by postscreen in front of it. */
export function parseServices(file: InputFile, report: Report): Service[] {
  const services: Service[] = [];
  const lines = logicalLines(file.text).map(({ text, line }) => ({ match: SERVICE.exec(text), text, line }));
  for (const { match, text, line } of lines)
    if (match === null)
      report.fault(
        { file: file.name, line, column: 1 },
        `'${text.slice(0, 60)}' is no service: eight columns are wanted, as postconf -M prints them`,
      );
  const passed = lines.find(({ match }) => match?.[2] === 'pass' && match[1] === 'smtpd');
  for (const { match, line } of lines) {
    const [, name = '', type = '', , , , , , command = ''] = match ?? [];
    const [program = ''] = command.split(/\s/, 1);
    if (type !== 'inet' || (program !== 'smtpd' && program !== 'postscreen')) continue;
    const where = { file: file.name, line, column: 1 };
    const served = program === 'postscreen' ? (passed?.match?.[8] ?? 'smtpd') : command;
    services.push({ name, command: program, overrides: overridesIn(served, where), where });
  }
  return services;
}

/** `-o name=value`, `-o { name = value }`. */
function overridesIn(command: string, where: Place): Parameter[] {
  const options = command.matchAll(/\s-o\s*(?:\{\s*([\w.-]+)\s*=\s*((?:[^{}]|\{[^{}]*\})*)\}|([\w.-]+)=(\S*))/g);
  return [...options].map(([, braced, inBraces, name, value]) => ({
    name: (braced ?? name) as string,
    value: (inBraces ?? value ?? '').trim(),
    where,
  }));
}

/** What Postfix has where nothing is said. [doc] postconf(5), Postfix 3. */
const DEFAULTS: Readonly<Record<string, string>> = {
  mydestination: '$myhostname, localhost.$mydomain, localhost',
  myorigin: '$myhostname',
  relay_domains: '',
  virtual_alias_domains: '$virtual_alias_maps',
  virtual_alias_maps: '$virtual_maps',
  virtual_maps: '',
  virtual_mailbox_domains: '$virtual_mailbox_maps',
  virtual_mailbox_maps: '',
  parent_domain_matches_subdomains:
    'debug_peer_list,fast_flush_domains,mynetworks,permit_mx_backup_networks,qmqpd_authorized_clients,relay_domains,smtpd_access_maps',
  smtpd_client_restrictions: '',
  smtpd_helo_restrictions: '',
  smtpd_sender_restrictions: '',
  smtpd_relay_restrictions: 'permit_mynetworks, permit_sasl_authenticated, defer_unauth_destination',
  smtpd_recipient_restrictions: '',
  smtpd_data_restrictions: '',
  smtpd_end_of_data_restrictions: '',
  smtpd_restriction_classes: '',
  smtpd_sasl_auth_enable: 'no',
  smtpd_tls_auth_only: 'no',
  smtpd_tls_security_level: '',
  smtpd_use_tls: 'no',
  smtpd_enforce_tls: 'no',
  smtpd_sender_login_maps: '',
  smtpd_helo_required: 'no',
  anvil_rate_time_unit: '60s',
};

/** Any word may be asked for: `$toString` too. */
function defaultOf(name: string): string | null {
  return Object.hasOwn(DEFAULTS, name) ? (DEFAULTS[name] as string) : null;
}

const MOST_DEPTH = 50;

export class Parameters {
  readonly #values = new Map<string, Parameter>();

  constructor(...lists: readonly (readonly Parameter[])[]) {
    // The last of the same name counts.
    for (const parameter of lists.flat()) this.#values.set(parameter.name, parameter);
  }

  /** As written; null: it is not set. */
  written(name: string): Parameter | null {
    return this.#values.get(name) ?? null;
  }

  get names(): readonly string[] {
    return [...this.#values.keys()];
  }

  /** Its value with everything filled in; null where that cannot be told. */
  value(name: string): string | null {
    return this.#value(name, 0);
  }

  /** What it is where nothing is said: its value, not filled in; null: not known here. */
  text(name: string): string | null {
    return this.#values.get(name)?.value ?? defaultOf(name);
  }

  /** A piece of a value with everything filled in; null where that cannot be told. */
  filled(text: string): string | null {
    return this.#expand(text, 0);
  }

  isYes(name: string): boolean {
    return /^yes$/i.test(this.value(name) ?? '');
  }

  #value(name: string, depth: number): string | null {
    const written = this.#values.get(name)?.value ?? defaultOf(name) ?? this.#hostPart(name, depth);
    return written === null || depth > MOST_DEPTH ? null : this.#expand(written, depth);
  }

  /** mydomain is myhostname without its first label. */
  #hostPart(name: string, depth: number): string | null {
    const host = name === 'mydomain' ? this.#value('myhostname', depth + 1) : null;
    return host === null ? null : host.replace(/^[^.]*\.(?=.*\.)/, '');
  }

  #expand(text: string, depth: number): string | null {
    let known = true;
    const filled = (name: string): string => {
      const value = this.#value(name, depth + 1);
      if (value === null) known = false;
      return value ?? '';
    };
    const expanded = text.replace(
      /\$\$|\$\{(\w+)(?:([?:])([^{}]*))?\}|\$\((\w+)(?:([?:])([^()]*))?\)|\$(\w+)|\$./g,
      (whole, braced, how1, text1, inParentheses, how2, text2, bare) => {
        if (whole === '$$') return '$';
        const name = (braced ?? inParentheses ?? bare) as string | undefined;
        if (name === undefined) {
          known = false;
          return '';
        }
        const how = (how1 ?? how2) as string | undefined;
        if (how === undefined) return filled(name);
        const isSet = (this.#value(name, depth + 1) ?? '') !== '';
        return isSet === (how === '?') ? (this.#expand((text1 ?? text2 ?? '') as string, depth + 1) ?? '') : '';
      },
    );
    return known ? expanded : null;
  }
}

/** Entries between commas and blanks; what stands in braces is one. */
export function entriesOf(value: string): string[] {
  return value.match(/\{[^}]*\}|[^\s,]+/g) ?? [];
}
