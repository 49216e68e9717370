// Exchange 2000, Exchange 2003 and the SMTP service of IIS: virtual servers as connectors.
//
// A virtual server relays for who is on its list ("Only the list below") or is not ("All except the list below"), and,
// where that is ticked, for whoever has logged in, regardless of the list: so that rule stands first. "All except" for the
// whole Internet is an open relay, and is imported closed unless it was asked for otherwise.

import { isOpenFor, meet } from './addresses.ts';
import { type Given, Noted, type Report, type Written, type WrittenBlock } from './imported.ts';
import type { AccessList, Lists } from './lists.ts';
import { both, type SaidList, sayList } from './said-lists.ts';
import type { VirtualServer } from './virtual-server.ts';
import { sendersOf } from './written-policy.ts';

/** What became of a virtual server, for its cases. */
export interface SaidServer {
  readonly server: VirtualServer;
  readonly connectors: readonly WrittenBlock[];
  readonly connection: SaidList | null;
  readonly relay: SaidList | null;
  /** Whom "All except" lets relay here: everyone who may connect, those inside, or nobody. */
  readonly except: 'everyone' | 'inside' | 'nobody';
  readonly kerberos: boolean;
}

/** What connectors of one virtual server differ in. */
interface Own {
  readonly name: string;
  readonly ranges: readonly Written[];
  readonly connect: WrittenBlock | undefined;
  readonly submit: Written | undefined;
  readonly rules: readonly WrittenBlock[];
}

const REPLY = '550 5.7.1 Unable to relay for {recipient}';

export function sayServer(server: VirtualServer, lists: Lists, given: Given, report: Report): SaidServer {
  return new Said(server, lists, given, report).said();
}

class Said {
  readonly #server: VirtualServer;
  readonly #lists: Lists;
  readonly #given: Given;
  readonly #report: Report;
  readonly #globalDenied: SaidList;

  constructor(server: VirtualServer, lists: Lists, given: Given, report: Report) {
    this.#server = server;
    this.#lists = lists;
    this.#given = given;
    this.#report = report;
    this.#globalDenied = sayList(lists.globalDeny, 'denial', 'global deny list entry', 'connect.deny', report);
  }

  said(): SaidServer {
    const { name, connection } = this.#server;
    const listed = connection === null ? null : this.#list(connection, 'connection control', 'connect');
    if (connection !== null)
      this.#report.exact(
        connection.where,
        `virtual server ${name}: connection control`,
        nameOf(connection),
        connection.mode === 'only' ? 'connect.allow' : 'connect.deny',
      );
    const kerberos = this.#server.anonymous === false && this.#server.kerberos;
    const except = this.#except(listed);
    const { rules, relay } = this.#rules(except, kerberos);
    const connectors = this.#connectors(listed, rules, except === 'everyone' && !this.#isNarrow(listed));
    return { server: this.#server, connectors, connection: listed, relay, except, kerberos };
  }

  #list({ mode, entries }: AccessList, what: 'connection control' | 'relay list', became: string): SaidList {
    const as = mode === 'except' ? 'denial' : what === 'relay list' ? 'grant' : 'admission';
    return sayList(
      entries,
      as,
      `virtual server ${this.#server.name}: ${what} entry`,
      became,
      this.#report,
      this.#given.keepOpen,
    );
  }

  /** Only named, narrow networks may connect: who may relay from there is not the Internet. */
  #isNarrow(listed: SaidList | null): boolean {
    const { connection } = this.#server;
    return connection?.mode === 'only' && listed !== null && listed.names.length === 0 && !isOpenFor(listed.addresses);
  }

  #except(listed: SaidList | null): SaidServer['except'] {
    const { relay, relayWhere, name } = this.#server;
    if (relay !== 'open' && (relay === null || relay === 'unknown' || relay.mode === 'only')) return 'nobody';
    const { inside, keepOpen } = this.#given;
    const setting = `virtual server ${name}: relay restrictions`;
    const value = relay === 'open' ? 'all except the list below, which is empty' : nameOf(relay);
    if (this.#isNarrow(listed)) {
      this.#report.loud(
        relayWhere,
        setting,
        value,
        'exact',
        "rule 'all-except'",
        'everyone who may connect relays, but those on the list; who may connect is named',
      );
      return 'everyone';
    }
    const open = 'THE OLD SERVER IS AN OPEN RELAY';
    if (inside.length > 0) {
      this.#report.loud(
        relayWhere,
        setting,
        value,
        'stricter',
        "rule 'all-except'",
        `${open}; here only clients of ${inside.join(', ')} (--inside) relay`,
      );
      return 'inside';
    }
    if (keepOpen) {
      this.#report.loud(
        relayWhere,
        setting,
        value,
        'exact',
        "rule 'all-except'",
        `${open}, and so is this policy, as --i-know-this-is-open says`,
      );
      return 'everyone';
    }
    this.#report.loud(
      relayWhere,
      setting,
      value,
      'stricter',
      'no rule',
      `${open}. It is imported CLOSED: nobody relays without a login until a rule says who may; --inside RANGE names a network that may`,
    );
    return 'nobody';
  }

  #rules(except: SaidServer['except'], kerberos: boolean): { rules: WrittenBlock[]; relay: SaidList | null } {
    const { relay, relayUsers } = this.#server;
    const rules: WrittenBlock[] = [];
    this.#loginRule(rules, kerberos);
    if (relayUsers !== null) {
      rules.push({ name: 'relay-permission', allow: { users: relayUsers.map(({ text }) => text) } });
      this.#report.exact(
        relayUsers[0]?.where ?? this.#server.where,
        `virtual server ${this.#server.name}: relay permission`,
        `${relayUsers.length} users`,
        "rule 'relay-permission'",
      );
    }
    const listed =
      relay === null || relay === 'unknown' || relay === 'open'
        ? null
        : this.#list(relay, 'relay list', relay.mode === 'only' ? "rule 'list'" : "rule 'all-except'");
    this.#listRules(rules, listed, except);
    return { rules, relay: listed };
  }

  #loginRule(rules: WrittenBlock[], kerberos: boolean): void {
    const { relayForLogins, relayForLoginsWhere: where, name } = this.#server;
    const setting = `virtual server ${name}: allow all computers which successfully authenticate to relay`;
    if (relayForLogins === null)
      this.#report.loud(
        where,
        setting,
        'not in the file',
        'cannot be said',
        '',
        'taken as not ticked: who logs in does not relay; [relay for logins: on] in a file of lists says otherwise',
      );
    else if (!relayForLogins) this.#report.exact(where, setting, 'not ticked', 'no rule');
    else {
      rules.push({ name: 'logged-in', allow: { authenticated: true, allow_unnamed: kerberos || undefined } });
      if (kerberos)
        this.#report.exact(
          where,
          setting,
          'ticked',
          "rule 'logged-in'",
          'Kerberos is offered and anonymous is not, so that logins whose name cannot be seen count',
        );
      else
        this.#report.stricter(
          where,
          setting,
          'ticked',
          "rule 'logged-in'",
          'a login whose name cannot be seen (Kerberos) does not count; allow_unnamed: true beside it takes those too',
        );
    }
  }

  #listRules(rules: WrittenBlock[], listed: SaidList | null, except: SaidServer['except']): void {
    const { relay, relayWhere: where, name } = this.#server;
    const setting = `virtual server ${name}: relay restrictions`;
    if (relay === 'unknown') {
      this.#report.loud(
        where,
        setting,
        '',
        'cannot be said',
        '',
        'who is on the list is not known: nobody relays by it',
      );
    } else if (relay === null) {
      this.#report.exact(where, setting, 'only the list below, which is empty', 'no rule');
    } else if (relay !== 'open' && relay.mode === 'only' && listed !== null) {
      if (listed.ranges.length > 0) rules.push({ name: 'list', allow: { sources: listed.ranges } });
      if (listed.names.length > 0) rules.push({ name: 'domain', allow: { ptr: listed.names } });
      this.#report.exact(
        where,
        setting,
        nameOf(relay),
        listed.names.length > 0 ? "rules 'list' and 'domain'" : "rule 'list'",
        listed.names.length > 0 ? 'a name in DNS must lead back to the address here' : '',
      );
    } else if (except !== 'nobody') {
      const sources = except === 'inside' ? this.#given.inside : undefined;
      if (listed !== null && listed.names.length > 0) rules.push({ name: 'except-names', deny: { ptr: listed.names } });
      const not = listed === null || listed.ranges.length === 0 ? undefined : { sources: listed.ranges };
      rules.push({ name: 'all-except', allow: { sources, not } });
    }
  }

  #connectors(connection: SaidList | null, rules: readonly WrittenBlock[], isOpen: boolean): WrittenBlock[] {
    const { name, bindings, restricted, anonymous, submitUsers } = this.#server;
    const denied = both(this.#globalDenied);
    const connect = denied.length === 0 ? undefined : { deny: denied };
    const control = this.#server.connection;
    const base = (own: Own): WrittenBlock => ({
      name: own.name,
      bindings: bindings.length === 0 ? undefined : bindings,
      remote_ip_ranges: own.ranges,
      starttls: this.#server.requireTls
        ? 'terminate'
        : new Noted('hide', 'terminate, once the listener has a certificate'),
      require_tls: this.#server.requireTls || undefined,
      connect: own.connect,
      submit: own.submit,
      senders: sendersOf(this.#lists),
      replies: { relay: REPLY },
      ...this.#limits(),
      rules: own.rules.length === 0 ? undefined : own.rules,
      i_know_this_is_open: isOpen || undefined,
    });
    if (this.#server.requireTls)
      this.#report.exact(
        this.#server.where,
        `virtual server ${name}: require secure channel`,
        'ticked',
        'require_tls',
        'the listener needs a certificate for that',
      );
    const submit = this.#submit();
    const called = connectorName(name);
    if (
      restricted &&
      anonymous !== false &&
      submitUsers === null &&
      control?.mode === 'only' &&
      connection !== null &&
      connection.names.length === 0
    ) {
      this.#report.exact(
        control.where,
        `virtual server ${name}: SmtpIpRestrictionFlag`,
        '1',
        `connectors '${called}' and '${called}-list'`,
        'without a login only from the list, with one from anywhere',
      );
      return [
        base({ name: called, ranges: ['any'], connect, submit: 'authenticated', rules }),
        base({ name: `${called}-list`, ranges: connection.ranges, connect, submit, rules }),
        ...this.#accepted(base, undefined, 'authenticated'),
      ];
    }
    if (restricted)
      this.#report.stricter(
        this.#server.where,
        `virtual server ${name}: SmtpIpRestrictionFlag`,
        '1',
        'connect',
        'here connection control is for those who log in as well',
      );
    return [
      base({
        name: called,
        ranges: ['any'],
        connect: this.#connect(connection, denied),
        submit,
        rules,
      }),
      ...this.#accepted(base, this.#connect(connection, []), submit),
    ];
  }

  #connect(listed: SaidList | null, globally: readonly Written[]): WrittenBlock | undefined {
    const { connection } = this.#server;
    const allow = connection?.mode === 'only' && listed !== null ? both(listed) : undefined;
    const deny = [...(connection?.mode === 'except' && listed !== null ? both(listed) : []), ...globally];
    return allow === undefined && deny.length === 0 ? undefined : { allow, deny: deny.length === 0 ? undefined : deny };
  }

  /** Global accept list: those of it that are denied otherwise have a connector of their own, which is more specific. */
  #accepted(
    base: (own: Own) => WrittenBlock,
    connect: WrittenBlock | undefined,
    submit: Written | undefined,
  ): WrittenBlock[] {
    const denied = this.#globalDenied.addresses;
    const name = `${connectorName(this.#server.name)}-accepted`;
    const ranges: Written[] = [];
    for (const entry of this.#lists.globalAccept) {
      const { where, written } = entry;
      if (!meet([entry.address], denied)) {
        this.#report.exact(where, 'global accept list entry', written, 'nothing', 'nobody denies it here');
        continue;
      }
      ranges.push(...sayList([entry], 'admission', 'global accept list entry', 'connector', this.#report).ranges);
      const why = 'it may connect and hand in mail for the accepted domains, and relays nothing';
      this.#report.stricter(where, 'global accept list entry', written, `connector '${name}'`, why);
    }
    return ranges.length === 0 ? [] : [base({ name, ranges, connect, submit, rules: [] })];
  }

  #submit(): Written | undefined {
    const { anonymous, authWhere: where, name, submitUsers } = this.#server;
    const setting = `virtual server ${name}: anonymous access`;
    if (submitUsers !== null) {
      this.#report.exact(
        submitUsers[0]?.where ?? where,
        `virtual server ${name}: submit permission`,
        `${submitUsers.length} users`,
        'submit.users',
      );
      return { users: submitUsers.map(({ text }) => text) };
    }
    if (anonymous === false) {
      this.#report.exact(where, setting, 'not ticked', 'submit: authenticated');
      return 'authenticated';
    }
    if (anonymous === null)
      this.#report.add(
        where,
        setting,
        'not in the file',
        'cannot be said',
        'submit: anyone',
        'mail for the accepted domains is taken from everyone who may connect',
      );
    return undefined;
  }

  #limits(): WrittenBlock {
    const { recipients, connections, size } = this.#server.limits;
    const { where, name } = this.#server;
    if (recipients !== null)
      this.#report.exact(
        where,
        `virtual server ${name}: limit of recipients per message`,
        String(recipients),
        'limits.session.recipients_per_message',
      );
    if (connections !== null)
      this.#report.exact(
        where,
        `virtual server ${name}: limit of connections`,
        String(connections),
        'limits.connector.connections',
      );
    if (size !== null)
      this.#report.exact(where, `virtual server ${name}: limit of message size`, `${size} octets`, 'max_message_size');
    const session = recipients === null ? undefined : { recipients_per_message: recipients };
    const connector = connections === null ? undefined : { connections };
    return {
      max_message_size: size === null ? undefined : size % 1024 === 0 ? `${size / 1024}KiB` : `${size}B`,
      limits: session === undefined && connector === undefined ? undefined : { session, connector },
    };
  }
}

export function connectorName(server: string): string {
  return /^[0-9]+$/.test(server) ? `virtual-server-${server}` : server.replace(/\s+/g, '-').toLowerCase();
}

function nameOf({ mode, entries }: AccessList): string {
  return `${mode === 'only' ? 'only the list below' : 'all except the list below'}, ${entries.length === 1 ? '1 entry' : `${entries.length} entries`}`;
}
