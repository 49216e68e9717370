// Postfix: `postconf -n` (or main.cf), `postconf -M` (or master.cf) for the other ports, and the files that they name.

import { parseRange } from '../policy/ranges.ts';
import {
  type Given,
  type Imported,
  Noted,
  type Report,
  type Written,
  type WrittenBlock,
  type WrittenCase,
} from './imported.ts';
import { type InputFile, unfinished } from './input-file.ts';
import {
  isMasterCf,
  isPostconf,
  type Parameter,
  Parameters,
  parsePostconf,
  parseServices,
  type Service,
} from './postconf.ts';
import { sourcesOf, type When } from './postfix-access.ts';
import { limitsOf, loginSenders } from './postfix-limits.ts';
import { domainsOf, isWorld, Networks, type PostfixDomains } from './postfix-networks.ts';
import { Restrictions } from './postfix-restrictions.ts';
import { allOf, type Step, type Steps, tidy } from './postfix-steps.ts';
import { isTable, pathsIn, Tables } from './postfix-tables.ts';
import type { Kind, KnownFile, System } from './system.ts';

const POSTCONF: Kind = {
  name: 'postconf',
  what: 'what postconf -n prints',
  hasNoEnd: true,
  recognises: ({ text }) => isPostconf(text),
};

const MASTER_CF: Kind = {
  name: 'master.cf',
  what: 'what postconf -M prints',
  hasNoEnd: true,
  recognises: ({ text }) => isMasterCf(text),
};

const TABLE: Kind = {
  name: 'postfix-table',
  what: 'a lookup table of Postfix',
  hasNoEnd: true,
  recognises: ({ text }) => isTable(text),
};

export const POSTFIX: System = { name: 'Postfix', kinds: [POSTCONF, MASTER_CF, TABLE], needs: POSTCONF, read };

const LISTS = [
  'smtpd_client_restrictions',
  'smtpd_helo_restrictions',
  'smtpd_sender_restrictions',
  'smtpd_recipient_restrictions',
  'smtpd_relay_restrictions',
  // Said later, and refused all the same.
  'smtpd_data_restrictions',
  'smtpd_end_of_data_restrictions',
];

function read(files: readonly KnownFile[], given: Given, report: Report): Omit<Imported, 'report' | 'faults'> {
  const of = (kind: Kind): InputFile[] => files.filter((one) => one.kind === kind).map(({ file }) => file);
  const [settings, ...more] = of(POSTCONF);
  const place = (files[0] as KnownFile).file.place();
  if (settings === undefined)
    report.fault(place, 'tables, and no settings that name them: what postconf -n prints is needed first of all');
  for (const file of more)
    report.fault(file.place(), `a second output of postconf, beside ${settings?.name}: give the one of one server`);
  report.faults.push(...files.map(({ file }) => unfinished(file)).filter((one) => one !== null));
  const parameters = settings === undefined ? [] : parsePostconf(settings, report);
  const services = of(MASTER_CF).flatMap((file) => parseServices(file, report));
  const tables = new Tables(of(TABLE), pathsIn([...parameters, ...services.flatMap(({ overrides }) => overrides)]));
  const plain = new Parameters(parameters);
  const domains = domainsOf(plain, tables, given, report);
  const blocked = new Set<string>();
  const connectors = serving(services).map((service, _, all) => {
    const own = new Parameters(parameters, service?.overrides ?? []);
    return { service, made: connectorOf(service, all.length > 1, own, { tables, domains, given, report, blocked }) };
  });
  reportDefault(plain, report);
  reportRecipients(plain, domains, given, report);
  reportUnused(plain, report);
  return {
    system: POSTFIX.name,
    policy: {
      version: 1,
      accepted_domains: domains.accepted.filter((name) => !blocked.has(name) && !blocked.has(`*.${name}`)),
      relay_domains: domains.relay.length === 0 ? undefined : domains.relay,
      blocked_domains: blocked.size === 0 ? undefined : [...blocked],
      accepted_literals: domains.literals.length === 0 ? undefined : domains.literals,
      valid_recipients: given.validRecipients === null ? undefined : { file: given.validRecipients },
      connectors: connectors.map(({ made }) => made.written),
    },
    cases: connectors.map(({ made, service }) => ({ heading: service?.name ?? 'smtpd', cases: made.cases })),
  };
}

/** Null: no master.cf was given, and one smtpd is meant. */
function serving(services: readonly Service[]): readonly (Service | null)[] {
  return services.length === 0 ? [null] : services;
}

interface Around {
  readonly tables: Tables;
  readonly domains: PostfixDomains;
  readonly given: Given;
  readonly report: Report;
  readonly blocked: Set<string>;
}

function connectorOf(
  service: Service | null,
  isOneOfMany: boolean,
  parameters: Parameters,
  around: Around,
): { written: WrittenBlock; cases: WrittenCase[] } {
  const { tables, domains, given, report } = around;
  const networks = new Networks(parameters, tables, given, report);
  const accepted = new Set([...domains.accepted, ...domains.relay].map((name) => name.replace(/^\*\./, '')));
  const restrictions = new Restrictions({ parameters, tables, networks, accepted, report });
  const all = LISTS.map((name) => restrictions.list(name)).reduce(allOf);
  const ours = new Restrictions({ parameters, tables, networks, accepted, report }, 'ours');
  const who = submitters(LISTS.map((name) => ours.list(name)).reduce(allOf), parameters, report);
  for (const domain of restrictions.blocked) around.blocked.add(domain);
  const steps = closed(all, parameters, given, report);
  const name = service?.name ?? 'smtpd';
  const binding = service !== null && isOneOfMany ? bindingOf(service, report) : null;
  // What refuses everything behind reject_unauth_destination is asked for our own domains alone.
  const { sources, names } = ours.denied;
  const denied = [...new Set([...sources, ...names])];
  if (denied.length > 0) {
    const where = parameters.written('smtpd_client_restrictions')?.where ?? { file: 'postconf', line: 1, column: 1 };
    report.stricter(
      where,
      'check_client_access',
      denied.join(', '),
      'connect.deny',
      'at once, and not at RCPT; whoever logs in from there as well',
    );
  }
  const tls = parameters.value('smtpd_tls_security_level') ?? '';
  const needsTls = tls === 'encrypt' || parameters.isYes('smtpd_enforce_tls');
  const isTls = needsTls || tls === 'may' || parameters.isYes('smtpd_use_tls');
  const auth = !parameters.isYes('smtpd_sasl_auth_enable')
    ? 'hide'
    : parameters.isYes('smtpd_tls_auth_only')
      ? 'require_tls'
      : undefined;
  const written: WrittenBlock = {
    name,
    bindings: binding === null ? undefined : [binding],
    remote_ip_ranges: ['any'],
    connect:
      denied.length === 0 && who.allow === undefined
        ? undefined
        : { allow: who.allow, deny: denied.length === 0 ? undefined : denied },
    submit: who.submit,
    senders: restrictions.tiesSenders ? sendersOf(parameters, tables, report) : undefined,
    rules: steps.length === 0 ? undefined : named(steps),
    auth,
    require_tls: needsTls ? true : undefined,
    starttls: isTls ? new Noted('terminate', 'with a certificate of the listener') : 'hide',
    ...limitsOf(parameters, report),
    replies: { relay: '554 5.7.1 <{recipient}>: Relay access denied' },
    i_know_this_is_open: steps.some(isOpen) ? true : undefined,
  };
  const isForAll = who.submit === undefined && who.allow === undefined;
  return { written, cases: isForAll ? casesOf(networks, steps, denied, domains, binding) : [] };
}

/** Who may hand in mail for our own domains, where not everybody may: `permit_sasl_authenticated, reject`. */
function submitters(
  { steps, end }: Steps,
  parameters: Parameters,
  report: Report,
): { submit?: 'authenticated'; allow?: string[] } {
  if (end === 'allow') return {};
  const where = parameters.written('smtpd_recipient_restrictions')?.where ??
    parameters.written('smtpd_relay_restrictions')?.where ?? { file: 'postconf', line: 1, column: 1 };
  const may = steps.filter(({ action }) => action === 'allow').map(({ when }) => when);
  const sources = may.flatMap(sourcesOf);
  const isOfLogins = (when: When): boolean =>
    Object.keys(when).every((key) => key === 'authenticated' || key === 'tls');
  if (may.some(isOfLogins)) {
    const others = !may.every(isOfLogins);
    const why = others ? 'others that were let through to our own domains must log in' : '';
    report.add(where, 'reject, at the end of a list', '', others ? 'stricter' : 'exact', 'submit: authenticated', why);
    return { submit: 'authenticated' };
  }
  report.exact(
    where,
    'reject, at the end of a list',
    '',
    'connect.allow',
    'only those that the list lets through may connect',
  );
  return { allow: [...new Set(sources)] };
}

/** What lets everybody through is an open relay, and carried over where that was asked for. */
function closed({ steps, end }: Steps, parameters: Parameters, { keepOpen }: Given, report: Report): Step[] {
  const name = 'smtpd_relay_restrictions';
  const where = parameters.written(name)?.where ??
    parameters.written('smtpd_recipient_restrictions')?.where ?? { file: 'postconf', line: 1, column: 1 };
  const open: Step[] = end === 'allow' ? [{ action: 'allow', when: {}, name: 'open' }] : [];
  // Before anything is tidied away that stands in front of it.
  const carried = [...steps, ...open].filter((step) => {
    if (!isOpen(step)) return true;
    const who = step.name === 'open' ? 'no list ends with reject_unauth_destination' : JSON.stringify(step.when);
    const why = `an open relay: anybody might relay by it. ${keepOpen ? 'Carried over, as was asked for' : 'Left out'}`;
    report.loud(where, name, who, keepOpen ? 'exact' : 'stricter', keepOpen ? `rule ${step.name}` : '', why);
    return keepOpen;
  });
  const rules = tidy(carried);
  while (rules.at(-1)?.action === 'deny') rules.pop();
  return rules;
}

/** It lets through, and neither says who nor to which domains. */
function isOpen({ action, when }: Step): boolean {
  if (action === 'deny' || when.authenticated === true) return false;
  if (when.sources !== undefined) return isWorld(when.sources);
  const names = when.ptr ?? when.recipient_domains;
  return names === undefined || names.some((name) => !name.replace(/^\*\./, '').includes('.'));
}

function named(steps: readonly Step[]): Written[] {
  const used = new Map<string, number>();
  return steps.map(({ action, when, name }) => {
    const count = (used.get(name) ?? 0) + 1;
    used.set(name, count);
    return { name: count === 1 ? name : `${name}-${count}`, [action]: when as WrittenBlock };
  });
}

const PORTS = new Map([
  ['smtp', '25'],
  ['submission', '587'],
  ['smtps', '465'],
  ['submissions', '465'],
]);

function bindingOf({ name, where }: Service, report: Report): string {
  const [, host = '', port = name] = /^(?:(.*):)?([^:]+)$/.exec(name) ?? [];
  const number = PORTS.get(port) ?? port;
  const address =
    host === '' || host === 'localhost' ? (host === '' ? '*' : '127.0.0.1') : host.replace(/^\[(.*)\]$/, '$1');
  if (!/^[0-9]+$/.test(number) || (address !== '*' && parseRange(address).error !== undefined))
    report.fault(where, `'${name}' is no port that is known, with or without an address: write it as 192.0.2.1:587`);
  return `${address.includes(':') ? `[${address}]` : address}:${number}`;
}

function sendersOf(parameters: Parameters, tables: Tables, report: Report): WrittenBlock | undefined {
  const logins = loginSenders(parameters, tables, report);
  return logins === null ? undefined : { login_must_match: logins, others: 'deny' };
}

const ELSEWHERE = '198.51.100.77';

function casesOf(
  networks: Networks,
  steps: readonly Step[],
  denied: readonly string[],
  { accepted, relay }: PostfixDomains,
  binding: string | null,
): WrittenCase[] {
  const local = binding === null ? '' : ` local=${binding.replace(/^\*/, '192.0.2.25')}`;
  const cases: WrittenCase[] = [];
  const ask = (expected: string, source: string, recipient: string): void => {
    cases.push({ expected, asked: `${source}${local} -> ${recipient}` });
  };
  // A rule that asks for a name in DNS may make it a question of that.
  if (denied.length > 0 || steps.some(({ when }) => when.ptr !== undefined)) return cases;
  for (const domain of accepted.slice(0, 3)) ask('proceed', ELSEWHERE, `user@${domain.replace(/^\*\./, '')}`);
  for (const domain of relay.slice(0, 3)) ask('proceed', ELSEWHERE, `user@${domain.replace(/^\*\./, '')}`);
  const may = ({ action, when: { authenticated, sources } }: Step): boolean =>
    action === 'allow' &&
    authenticated === undefined &&
    (sources === undefined || networks.holdsAll(sources, ELSEWHERE));
  if (!steps.some(may)) ask('reject', ELSEWHERE, 'someone@not-accepted.example');
  const [first] = steps;
  const [group] = networks.groups;
  if (group !== undefined && first?.action === 'allow' && first.when === group) {
    for (const source of (group.sources ?? []).slice(0, 5))
      ask('proceed', source.replace(/\/.*/, ''), 'someone@not-accepted.example');
  }
  return cases;
}

/** What smtpd_relay_restrictions are by default hangs on the version, and that is not in the file. */
function reportDefault(parameters: Parameters, report: Report): void {
  const recipient = parameters.written('smtpd_recipient_restrictions');
  const isKnown = /^([1-9]|\$)/.test(parameters.text('compatibility_level') ?? '');
  const others = recipient?.value.replace(/\b(permit_(mynetworks|sasl_authenticated|auth_destination)|reject\w*)/g, '');
  const mayPermit = /permit|access|:/.test(others ?? '');
  if (recipient === null || !mayPermit || parameters.written('smtpd_relay_restrictions') !== null || isKnown) return;
  const why =
    'not set, and no compatibility_level says which default it has (before Postfix 2.10, and from 3.0 on at level 0, none): the narrower one is taken, by which only mynetworks and logins relay; write down what postconf smtpd_relay_restrictions says';
  report.loud(
    recipient.where,
    'smtpd_relay_restrictions',
    '',
    'stricter',
    'permit_mynetworks, permit_sasl_authenticated',
    why,
  );
}

/** Recipients that Postfix takes for another one, and which are refused here. */
function reportRecipients(parameters: Parameters, { accepted }: PostfixDomains, given: Given, report: Report): void {
  const delimiter = parameters.written('recipient_delimiter');
  if (given.validRecipients !== null && delimiter !== null && delimiter.value !== '')
    report.stricter(
      delimiter.where,
      delimiter.name,
      delimiter.value,
      'valid_recipients',
      `bob${delimiter.value[0]}news is refused where the file has bob alone, and so are the bounces of a mailing list that bear such a word`,
    );
  const origin = parameters.value('myorigin') ?? '';
  const mayBeOurs = origin === '' || origin.startsWith('/') || accepted.includes(origin); // a file: nobody knows what it says
  const isAsked = LISTS.some((name) => /\breject_non_fqdn_recipient\b/.test(parameters.text(name) ?? ''));
  const { where } = parameters.written('myorigin') ?? parameters.written('mydestination') ?? {};
  if (where !== undefined && mayBeOurs && !isAsked)
    report.stricter(
      where,
      'myorigin',
      origin,
      'unqualified_recipients: reject',
      'root and the like without a domain, as devices write them, are refused; allow leaves them to the server behind',
    );
}

/** Settings of smtpd that nobody looked at. */
function reportUnused(parameters: Parameters, report: Report): void {
  const said = new Set(report.equivalences.map(({ setting }) => setting));
  for (const name of parameters.names) {
    const isOurs =
      /^smtpd_.*(restrictions|limit|access|clients|exceptions|relay)$|^postscreen_|^smtpd_(proxy|milters|delay_reject|reject_footer|discard)/.test(
        name,
      );
    if (!isOurs || said.has(name) || READ.has(name)) continue;
    const { where, value } = parameters.written(name) as Parameter;
    report.cannotBeSaid(
      where,
      name,
      value,
      'nothing here says it: the server behind goes on doing it, for the address of Postern',
    );
  }
}

const READ = new Set([...LISTS, 'smtpd_restriction_classes', 'smtpd_client_event_limit_exceptions']);
