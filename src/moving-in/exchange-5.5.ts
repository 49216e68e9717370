// Exchange 5.5, Internet Mail Service: Routing tab and Routing Restrictions as a policy.
//
// KB Q193922: NEVER stands before the three lists that allow, and a routing row with "Always relay" before all. Nothing
// ticked, or nothing but NEVER, relays for everyone: that is imported closed, unless it was asked for otherwise. The order
// of rules here is the order in which Exchange asks.

import { casesOf } from './exchange-5.5-cases.ts';
import { FLAGS, type RelaySettings, readRelaySettings } from './exchange-5.5-settings.ts';
import { type Given, Noted, type Report, type WrittenBlock } from './imported.ts';
import { Lists, looksLikeLists, readLists } from './lists.ts';
import { isRegistryExport } from './registry.ts';
import { type Row, readRows } from './routing-table.ts';
import { both, type SaidList, sayList } from './said-lists.ts';
import type { Kind, System } from './system.ts';
import { policyOf, sendersOf } from './written-policy.ts';

const registry: Kind = {
  name: 'reg',
  what: 'a registry export (.reg) of MSExchangeIMC\\Parameters',
  recognises: isRegistryExport,
};

/** Shared with exchange-2000.ts. */
export const lists: Kind = {
  name: 'lists',
  what: 'lists as text, under headings such as [relay: only the list below]',
  hasNoEnd: true,
  recognises: looksLikeLists,
};

const RELAYING_PROHIBITED = '550 Relaying is prohibited';

export const exchange55: System = {
  name: 'Exchange 5.5',
  kinds: [registry, lists],
  needs: registry,
  read(files, given, report) {
    const beside = new Lists();
    let settings: RelaySettings | null = null;
    for (const { kind, file } of files) {
      if (kind === lists) readLists(file, beside, null, report);
      else if (settings !== null) report.fault(file.place(), 'a second registry export: import one server at a time');
      else settings = readRelaySettings(file, report);
    }
    const nothing = { system: this.name, policy: policyOf({ accepted: [], connectors: [] }), cases: [] };
    if (settings === null) return nothing;
    const rows = readRows([...settings.routing, ...beside.routing], report);
    return report.faults.length > 0 ? nothing : new Import(settings, rows, beside, given, report).imported();
  },
};

class Import {
  readonly #settings: RelaySettings;
  readonly #rows: readonly Row[];
  readonly #beside: Lists;
  readonly #given: Given;
  readonly #report: Report;
  readonly #flags: number;
  readonly #never: SaidList;
  readonly #clients: SaidList;
  readonly #internal: SaidList;
  /** The old server relays for everyone whom NEVER does not hold. */
  readonly #isOpen: boolean;

  constructor(settings: RelaySettings, rows: readonly Row[], beside: Lists, given: Given, report: Report) {
    this.#settings = settings;
    this.#rows = rows;
    this.#beside = beside;
    this.#given = given;
    this.#report = report;
    this.#flags = settings.flags?.value ?? 0;
    const entries = (bit: number, list: RelaySettings['never']) => ((this.#flags & bit) === 0 ? [] : list);
    this.#never = sayList(
      entries(FLAGS.never, settings.never),
      'denial',
      'RelayDenyList entry',
      "rule 'never'",
      report,
    );
    this.#clients = sayList(
      entries(FLAGS.clients, settings.clients),
      'grant',
      'RelayAllowList entry',
      "rule 'client-addresses'",
      report,
      given.keepOpen,
    );
    this.#internal = sayList(
      entries(FLAGS.internal, settings.internal),
      'grant',
      'RelayLocalIPList entry',
      "rule 'internal-addresses'",
      report,
    );
    this.#isOpen = (this.#flags & (FLAGS.clients | FLAGS.internal | FLAGS.logins)) === 0;
  }

  imported() {
    const { accepted, relayed, blocked } = this.#domains();
    const connector = this.#connector();
    const policy = policyOf(
      { accepted, relayed, blocked, windowsDomains: this.#beside.windowsDomains, connectors: [connector] },
      this.#given,
    );
    const said = {
      flags: this.#flags,
      isOpen: this.#isOpen,
      never: this.#never.addresses,
      clients: this.#clients.addresses,
      internal: this.#internal.addresses,
      rows: this.#rows,
      blocked,
      connection: this.#beside.server('').connection ?? null,
    };
    return { system: exchange55.name, policy, cases: casesOf(said, [...accepted, ...relayed], this.#given) };
  }

  #domains(): { accepted: string[]; relayed: string[]; blocked: string[] } {
    const report = this.#report;
    const accepted = [...this.#given.acceptedDomains, ...this.#beside.acceptedDomains.map(({ text }) => text)];
    const relayed = this.#beside.relayDomains.map(({ text }) => text);
    const blocked: string[] = [];
    for (const { pattern, goes, written, where } of this.#rows) {
      const setting = 'routing table row';
      if (goes === 'here') {
        accepted.push(pattern);
        report.exact(where, setting, written, `accepted_domains '${pattern}'`);
      } else if (goes === 'on for everyone') {
        relayed.push(pattern);
        report.exact(where, setting, written, `relay_domains '${pattern}'`);
      } else if (
        accepted.some((one) => covers(one, pattern)) ||
        this.#rows.some((row) => row.goes !== 'on' && covers(row.pattern, pattern))
      ) {
        blocked.push(pattern);
        const why =
          'it lies within a domain that passes, and cannot be cut out of it: mail for it is refused for everyone; list the domains without it instead';
        report.loud(where, setting, written, 'stricter', `blocked_domains '${pattern}'`, why);
      } else
        report.exact(
          where,
          setting,
          written,
          'the rules',
          'a domain that goes elsewhere is reached by those who may relay',
        );
    }
    if (accepted.length === 0)
      report.loud(
        this.#settings.where,
        'the routing table',
        '',
        'cannot be said',
        '',
        'the registry does not hold it, and no domain is accepted: --accepted-domain, or a list under [routing table], says which are',
      );
    return { accepted: [...new Set(accepted)], relayed: [...new Set(relayed)], blocked };
  }

  #connector(): WrittenBlock {
    const { connection } = this.#beside.server('');
    const listed =
      connection === undefined
        ? null
        : sayList(
            connection.entries,
            connection.mode === 'only' ? 'admission' : 'denial',
            'Connections tab',
            'connect',
            this.#report,
            true,
          );
    if (connection !== undefined && listed !== null)
      this.#report.exact(
        connection.where,
        'Connections tab',
        `${connection.mode === 'only' ? 'only' : 'all except'} ${connection.entries.length} entries`,
        connection.mode === 'only' ? 'connect.allow' : 'connect.deny',
      );
    return {
      name: 'internet-mail-service',
      remote_ip_ranges: ['any'],
      starttls: new Noted('hide', 'terminate, once the listener has a certificate'),
      connect:
        listed === null ? undefined : connection?.mode === 'only' ? { allow: both(listed) } : { deny: both(listed) },
      senders: sendersOf(this.#beside),
      replies: { relay: RELAYING_PROHIBITED },
      rules: this.#rules(),
      i_know_this_is_open: this.#isOpen && this.#given.keepOpen && this.#given.inside.length === 0 ? true : undefined,
    };
  }

  #rules(): WrittenBlock[] {
    const rules: WrittenBlock[] = [];
    const report = this.#report;
    const { where } = this.#settings.flags ?? this.#settings;
    const shown = this.#settings.flags === null ? '(missing)' : `0x${this.#flags.toString(16)}`;
    const ticked = (name: string, bit: number): boolean => {
      const isTicked = (this.#flags & bit) !== 0;
      if (!isTicked) report.exact(where, name, 'not ticked', 'no rule');
      return isTicked;
    };
    if (this.#flags > 15) report.cannotBeSaid(where, 'RelayFlags', shown, 'it has bits that nobody knows');
    if (this.#flags !== 0 && ticked('hosts that can NEVER route mail (RelayDenyList)', FLAGS.never)) {
      if (this.#never.ranges.length > 0) rules.push({ name: 'never', deny: { sources: this.#never.ranges } });
      report.exact(
        where,
        'hosts that can NEVER route mail (RelayDenyList)',
        count(this.#settings.never),
        "rule 'never'",
      );
    }
    if (this.#isOpen) return [...rules, ...this.#openRule(shown)];
    if (ticked('hosts with these IP addresses (RelayAllowList)', FLAGS.clients)) {
      if (this.#clients.ranges.length > 0)
        rules.push({ name: 'client-addresses', allow: { sources: this.#clients.ranges } });
      const isAll = this.#clients.addresses.length === this.#settings.clients.length;
      if (isAll)
        report.exact(
          where,
          'hosts with these IP addresses (RelayAllowList)',
          count(this.#settings.clients),
          "rule 'client-addresses'",
        );
    }
    if (ticked('hosts connecting to these internal addresses (RelayLocalIPList)', FLAGS.internal))
      rules.push(...this.#internalRule(where));
    if (ticked('hosts that successfully authenticate', FLAGS.logins)) {
      rules.push({ name: 'logged-in', allow: { authenticated: true } });
      report.stricter(
        where,
        'hosts that successfully authenticate',
        'ticked',
        "rule 'logged-in'",
        'a login whose name cannot be seen (Kerberos, or none as with the Guest account) is none; allow_unnamed: true beside it takes those too',
      );
    }
    return rules;
  }

  /** Whoever connects to an internal address: an address of ours identifies nobody, so the network behind it is named. */
  #internalRule(where: { file: string; line: number; column: number }): WrittenBlock[] {
    const { inside } = this.#given;
    const { ranges } = this.#internal;
    const setting = 'hosts connecting to these internal addresses (RelayLocalIPList)';
    const value = count(this.#settings.internal);
    if (ranges.length === 0) return [];
    if (inside.length === 0) {
      const why =
        'left out: whoever reaches the address would relay, and which network that is nobody said; --inside RANGE says it';
      this.#report.loud(where, setting, value, 'cannot be said', '', why);
      return [];
    }
    this.#report.stricter(
      where,
      setting,
      value,
      "rule 'internal-addresses'",
      `only for clients of ${inside.join(', ')}`,
    );
    return [{ name: 'internal-addresses', allow: { local: ranges, sources: inside } }];
  }

  #openRule(shown: string): WrittenBlock[] {
    const { inside, keepOpen } = this.#given;
    const { where } = this.#settings.flags ?? this.#settings;
    const setting = this.#flags === 0 ? 'RelayFlags' : 'RelayFlags (nothing but NEVER)';
    const was =
      this.#flags === 0
        ? 'THE OLD SERVER IS AN OPEN RELAY: no restriction is ticked'
        : 'THE OLD SERVER IS AN OPEN RELAY for everyone but the NEVER list';
    if (inside.length > 0) {
      this.#report.loud(
        where,
        setting,
        shown,
        'stricter',
        "rule 'everyone-inside'",
        `${was}; here only clients of ${inside.join(', ')} (--inside) relay`,
      );
      return [{ name: 'everyone-inside', allow: { sources: inside } }];
    }
    if (keepOpen) {
      this.#report.loud(
        where,
        setting,
        shown,
        'exact',
        "rule 'everyone-else'",
        `${was}, and so is this policy, as --i-know-this-is-open says`,
      );
      return [{ name: 'everyone-else', allow: {} }];
    }
    this.#report.loud(
      where,
      setting,
      shown,
      'stricter',
      'no rule',
      `${was}. It is imported CLOSED: nobody relays until a rule says who may; --inside RANGE names a network that may`,
    );
    return [];
  }
}

function count(list: readonly unknown[]): string {
  return list.length === 1 ? '1 entry' : `${list.length} entries`;
}

function covers(wide: string, narrow: string): boolean {
  return wide.startsWith('*.') && wide !== narrow && `.${narrow.replace(/^\*\./, '')}`.endsWith(wide.slice(1));
}
