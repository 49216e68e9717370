// The lists smtpd_*_restrictions of Postfix as rules of ours, for recipients that are nobody's here, or for our own.
//
// A list is read from its start; the first permit or reject that holds ends it. A recipient is let through where every list
// does, so lists are put together one by one. What permits and cannot be said is left out. A denial of clients that cannot be
// said closes everything behind it. What looks at sender, recipient and HELO alone, the server behind goes on looking at.

import type { Place } from '../policy/problem.ts';
import type { Report } from './imported.ts';
import { entriesOf, type Parameters } from './postconf.ts';
import {
  type AccessEntry,
  accessEntries,
  both,
  deniedClients,
  isAlways,
  isDenial,
  isPermission,
  joined,
  type Subject,
  sourcesOf,
  type When,
} from './postfix-access.ts';
import type { Networks } from './postfix-networks.ts';
import type { Step, Steps } from './postfix-steps.ts';
import type { Tables } from './postfix-tables.ts';

export interface Surroundings {
  readonly parameters: Parameters;
  readonly tables: Tables;
  readonly networks: Networks;
  readonly accepted: ReadonlySet<string>;
  readonly report: Report;
}

/** Restrictions that let nobody through and are no matter of a client's rights. */
const BEHIND =
  /^(reject_(non_fqdn|unknown|invalid|unlisted|unverified|unauth_pipelining|multi_recipient|rhsbl_(sender|recipient|helo)$)|check_(sender|recipient|helo)_(mx|ns|a)_access)/;

/** They look at the client's address, which the server behind no longer sees. */
const BY_CLIENT = /^(reject_(rbl|unknown_(reverse_)?client|rhsbl_(reverse_)?client)|check_(reverse_client|client)_)/;

const WITH_ARGUMENT = /^(reject_r(bl|hsbl)_|permit_(dnswl|rhswl)_|check_|sleep$)/;

/** The right side of a table that leaves nothing open, for foreign recipients. */
const DECIDES =
  /^(ok|relay|permit|reject|discard|defer|defer_if_permit|(reject|defer)_unauth_destination|[0-9]+)(\s|$)/i;

const LOGIN_MISMATCH = new Set(['reject_sender_login_mismatch', 'reject_authenticated_sender_login_mismatch']);

export class Restrictions {
  readonly #around: Surroundings;
  /** Clients that are refused whatever they want. */
  readonly denied: { readonly sources: string[]; readonly names: string[] } = { sources: [], names: [] };
  readonly blocked: string[] = [];
  tiesSenders = false;
  readonly #recipients: 'foreign' | 'ours';

  constructor(around: Surroundings, recipients: 'foreign' | 'ours' = 'foreign') {
    this.#around = around;
    this.#recipients = recipients;
  }

  /** One of the parameters, as steps. */
  list(name: string): Steps {
    const { parameters, report } = this.#around;
    const where = parameters.written(name)?.where ?? NOWHERE;
    const value = parameters.value(name);
    if (value === null) {
      report.loud(
        where,
        name,
        parameters.text(name) ?? '',
        'cannot be said',
        '',
        'it names a parameter that is not there: nobody relays',
      );
      return { steps: [], end: 'deny' };
    }
    const walk = new Walk(this.#around, this, name, where, this.#recipients === 'ours');
    const ended = walk.words(entriesOf(value), {}, 0);
    return { steps: walk.steps, end: ended === 'deny' ? 'deny' : 'allow' };
  }
}

const NOWHERE: Place = { file: 'postconf', line: 1, column: 1 };
const MOST_DEPTH = 10;

/** One list, step by step. */
class Walk {
  readonly steps: Step[] = [];
  readonly #around: Surroundings;
  readonly #found: Restrictions;
  readonly #list: string;
  readonly #where: Place;
  /** For recipients of our own domains. */
  readonly #ours: boolean;
  /** Something before may have let through some of those that are asked about. */
  #isSkipped = false;

  constructor(around: Surroundings, found: Restrictions, list: string, where: Place, ours: boolean) {
    this.#around = around;
    this.#found = found;
    this.#list = list;
    this.#where = where;
    this.#ours = ours;
  }

  /** `when`: what has to hold for these words to be looked at. Says how the list ended, if it did for everybody. */
  words(words: readonly string[], when: When, depth: number): 'allow' | 'deny' | null {
    for (let i = 0; i < words.length; i++) {
      const word = (words[i] as string).toLowerCase();
      const takes = WITH_ARGUMENT.test(word) && !this.#isClass(words[i] as string);
      if (word === 'warn_if_reject') {
        const next = (words[i + 1] ?? '').toLowerCase();
        this.#tell(`warn_if_reject ${next}`, 'it only warned there: left out');
        i += WITH_ARGUMENT.test(next) ? 2 : 1;
        continue;
      }
      const argument = takes ? (words[++i] ?? '') : '';
      const ended = this.#word(words[i - (takes ? 1 : 0)] as string, argument, when, depth);
      if (ended !== null) return ended;
    }
    return null;
  }

  #word(written: string, argument: string, when: When, depth: number): 'allow' | 'deny' | null {
    const word = written.toLowerCase();
    const { parameters, networks } = this.#around;
    if (/^(dunno|sleep)$/.test(word)) return null;
    if (word === 'permit_auth_destination') return this.#ours ? this.#step('allow', when, {}, word) : null;
    if (/^(reject|defer)_unauth_destination$/.test(word)) return this.#ours ? null : this.#step('deny', when, {}, word);
    if (word === 'permit_mynetworks') {
      for (const group of networks.groups) this.#step('allow', when, group, 'mynetworks');
      return null;
    }
    if (word === 'permit_sasl_authenticated') {
      const login: When = parameters.isYes('smtpd_tls_auth_only')
        ? { authenticated: true, tls: true }
        : { authenticated: true };
      if (parameters.isYes('smtpd_sasl_auth_enable')) this.#step('allow', when, login, 'sasl-authenticated');
      return null;
    }
    if (word === 'reject' || word === 'defer') {
      if (this.#ours) this.#deniedByClass(when);
      return this.#step('deny', when, {}, word);
    }
    if (word === 'permit' || word === 'ok') return this.#step('allow', when, {}, word);
    if (LOGIN_MISMATCH.has(word)) {
      this.#found.tiesSenders ||= !this.steps.some(
        ({ action, when: one }) => action === 'allow' && one.authenticated === true,
      );
      return null;
    }
    const access = /^check_(client|helo|sender|recipient)_access$/.exec(word);
    if (access !== null) return this.#access(argument, access[1] as Subject, when, depth);
    if (/^[a-z]+:/.test(word)) return this.#access(written, this.#ownSubject(), when, depth);
    if (this.#isClass(written) && depth < MOST_DEPTH) {
      const value = parameters.value(written);
      if (value !== null) return this.words(entriesOf(value), when, depth + 1);
    }
    return this.#unknown(word, argument, when);
  }

  /** A word that stands for a list of its own. */
  #isClass(word: string): boolean {
    return entriesOf(this.#around.parameters.value('smtpd_restriction_classes') ?? '').includes(word);
  }

  /** Nobody relays by what stands behind; mail to our own domains goes on. */
  #closed(when: When): 'allow' | 'deny' | null {
    return this.#ours ? null : this.#step('deny', when, {}, 'not-known');
  }

  #ownSubject(): Subject {
    return (/^smtpd_(client|helo|sender)_/.exec(this.#list)?.[1] ?? 'recipient') as Subject;
  }

  #unknown(word: string, argument: string, when: When): 'allow' | 'deny' | null {
    const setting = argument === '' ? word : `${word} ${argument}`;
    if (BY_CLIENT.test(word))
      this.#tell(
        setting,
        'it looks at the client, whom the server behind no longer sees: with identity: xclient it goes on doing so',
      );
    else if (BEHIND.test(word)) this.#tell(setting, 'the server behind goes on doing it');
    else if (word.startsWith('permit_')) {
      this.#isSkipped = true;
      this.#tell(setting, 'it lets through, and nothing here says whom: left out');
    } else if (word === 'check_policy_service')
      this.#tell(setting, 'a program of its own answers: what it lets through is left out');
    else {
      this.#tell(setting, 'not known here: nobody relays by what stands behind it');
      return this.#closed(when);
    }
    return null;
  }

  #tell(setting: string, why: string, where = this.#where): void {
    this.#around.report.cannotBeSaid(where, this.#list, setting, why);
  }

  /** Says how the list ended, where it did for everybody that `when` holds. */
  #step(action: 'allow' | 'deny', outer: When, inner: When, name: string): 'allow' | 'deny' | null {
    const when = both(outer, inner);
    if (when === null) {
      // A denial may hold for more, a permission may not.
      if (action === 'deny') this.steps.push({ action, when: outer, name });
      else this.#tell(name, 'too many conditions for one rule: left out');
      return null;
    }
    if (isAlways(when)) return action;
    this.steps.push({ action, when, name });
    return null;
  }

  #access(table: string, subject: Subject, when: When, depth: number): 'allow' | 'deny' | null {
    const { tables, parameters } = this.#around;
    const [type = '', rest = ''] = table.replace(/^proxy:/, '').split(/:(.*)/s);
    if (type === 'static') return this.#result(rest, subject, when, {}, depth, this.#where);
    // Whom of ours it denies the server behind goes on denying.
    if (this.#ours && subject === 'recipient') {
      this.#isSkipped = true;
      return null;
    }
    if (subject === 'recipient' && /_data_/.test(this.#list)) {
      this.#tell(table, 'looked at where a message has one recipient alone: what it lets through is left out');
      return null;
    }
    const entries = tables.entries(table);
    if (entries === null) {
      if (subject === 'client') {
        const lost = this.#ours ? 'to our own domains they may write' : 'nobody relays by what stands behind it';
        this.#loud(table, `whom it denies is not known: ${lost}; name the file of this table beside the others`);
        return this.#closed(when);
      }
      this.#tell(
        `check_${subject}_access ${table}`,
        'its file is not here: what it lets through is left out, and what it denies the server behind goes on denying',
      );
      return null;
    }
    const parents = entriesOf(parameters.value('parent_domain_matches_subdomains') ?? '').includes('smtpd_access_maps');
    // Whom an entry holds, no wider one behind it is asked about.
    let spared: When | null = null;
    let isSparedTold = true;
    const spare = (when: When): void => {
      const more = spared === null ? when : joined(spared, when);
      isSparedTold &&= more !== null;
      spared = more ?? spared;
    };
    for (const one of accessEntries(entries, type, subject, parents)) {
      const isDunno = /^(dunno|warn|hold|filter|prepend|redirect|bcc|info|defer_if_reject)\b/i.test(one.entry.value);
      if (one.when === 'never')
        this.#tell(
          `${one.entry.key} ${one.entry.value}`,
          `no key that Postfix asks a table of type ${type} for: it held nobody there`,
          one.entry.where,
        );
      else if (one.when === null) {
        const ended = this.#unsaid(one, subject, when, isDunno);
        if (ended !== null) return ended;
        // An entry before these that denies or spares somebody may be for some of them.
        isSparedTold &&= !isDunno && isPermission(one.entry.value);
      } else if (isDunno) spare(one.when);
      else {
        // What a more particular entry spares is not denied by a wider one, nor allowed.
        const shielded = spared === null ? one.when : both(one.when, { not: spared });
        if (!isDenial(one.entry.value) && (shielded === null || !isSparedTold)) {
          this.#tell(
            `${one.entry.key} ${one.entry.value}`,
            'an entry before it holds for some of these: left out',
            one.entry.where,
          );
          const ended = isPermission(one.entry.value) ? null : this.#closed(both(when, one.when) ?? when);
          if (ended !== null) return ended;
          continue;
        }
        const ended = this.#result(one.entry.value, subject, when, shielded ?? one.when, depth, one.entry.where);
        if (ended !== null) return ended;
        if (!DECIDES.test(one.entry.value) || (this.#ours && /_unauth_dest/i.test(one.entry.value))) spare(one.when);
      }
    }
    return null;
  }

  #loud(value: string, why: string): void {
    this.#around.report.loud(this.#where, this.#list, value, 'cannot be said', '', why);
  }

  #unsaid({ entry }: AccessEntry, subject: Subject, when: When, isDunno: boolean): 'allow' | 'deny' | null {
    const said = `${entry.key} ${entry.value}`;
    const denies = !isDunno && !isPermission(entry.value);
    if (!denies || subject !== 'client') {
      this.#tell(
        said,
        denies ? 'the server behind goes on denying it' : 'no condition of ours says this: left out',
        entry.where,
      );
      return null;
    }
    const lost = this.#ours ? 'to our own domains they may write' : 'nobody relays by what stands behind it';
    const why = `no condition of ours says whom it denies: ${lost}`;
    this.#around.report.loud(entry.where, this.#list, said, 'cannot be said', '', why);
    return this.#closed(when);
  }

  /** The right side of a table: an action, or restrictions. */
  #result(
    value: string,
    subject: Subject,
    outer: When,
    when: When,
    depth: number,
    where: Place,
  ): 'allow' | 'deny' | null {
    const word = (/^\S+/.exec(value)?.[0] ?? '').toLowerCase();
    if (/^(reject|defer|discard|defer_if_permit|[45][0-9]{2})$/.test(word))
      return this.#denied(subject, outer, when, where);
    const isPermission = word === 'ok' || word === 'relay' || /^[0-9]+$/.test(word);
    if (isPermission && (subject === 'sender' || subject === 'helo')) {
      const why = 'anybody may say so: whoever did might relay anywhere; left out';
      this.#around.report.loud(where, this.#list, `${JSON.stringify(when)} ${value}`, 'stricter', '', why);
      this.#isSkipped = true;
      return null;
    }
    if (isPermission) return this.#step('allow', outer, when, `${subject}-access`);
    const inner = both(outer, when);
    if (inner === null) {
      // It may deny some of them.
      this.#tell(
        value,
        'too many conditions for one rule: nobody of whom it may be relays by what stands behind it',
        where,
      );
      return this.#closed(outer);
    }
    const ended = this.words(entriesOf(value), inner, depth + 1);
    return ended;
  }

  #denied(subject: Subject, outer: When, when: When, where: Place): 'allow' | 'deny' | null {
    const { accepted, report } = this.#around;
    if (subject === 'client' && isAlways(outer)) this.#denyEverything(when);
    else if (subject === 'recipient' && isAlways(outer) && !this.steps.some(({ action }) => action === 'allow')) {
      for (const domain of when.not === undefined ? (when.recipient_domains ?? []) : [])
        if (accepted.has(domain.replace(/^\*\./, ''))) this.#found.blocked.push(domain);
    } else if (subject !== 'client')
      report.add(
        where,
        this.#list,
        JSON.stringify(when),
        'exact',
        'a rule, for mail that is not ours',
        'for our own domains the server behind goes on denying it',
      );
    return this.#step('deny', outer, when, `${subject}-access`);
  }

  /** `reject` in a list of its own that an access table names for some clients, where mail is for our own domains. */
  #deniedByClass(when: When): void {
    const { sources = [], ptr = [], not, ...others } = when;
    if (sources.length + ptr.length === 0) return;
    const isLogin = this.steps.some(({ action, when: one }) => action === 'allow' && one.authenticated === true);
    if (isLogin || this.#isSkipped || Object.keys(others).length > 0)
      this.#loud(
        JSON.stringify(when),
        'some of these are refused whomever they write to; here they may write to our own domains. A connector of their own, with submit: authenticated, says more',
      );
    else this.#denyEverything(when);
  }

  /** A denial of clients holds for mail to our own domains too, but for those whom a permit before it let through. */
  #denyEverything(when: When): void {
    const permitted = this.steps.flatMap((step) => (step.action === 'allow' ? sourcesOf(step.when) : []));
    const { sources, names } = deniedClients(when);
    const holdsAll = (one: string): boolean => this.#around.networks.holdsAll(permitted, one);
    this.#found.denied.sources.push(...sources.filter((one) => !holdsAll(one)));
    this.#found.denied.names.push(...names);
  }
}
