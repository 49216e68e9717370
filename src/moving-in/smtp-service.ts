// The files of Exchange 2000, Exchange 2003 and the SMTP service of IIS, put together: virtual servers, domains, lists.
//
// The directory is the source and the metabase its copy (KB 321757), so that of a server in both the directory counts.

import { parseDomainPattern } from '../policy/domains.ts';
import type { Place } from '../policy/problem.ts';
import { lists as listsKind } from './exchange-5.5.ts';
import { sayServer } from './exchange-2000.ts';
import { casesOf } from './exchange-2000-cases.ts';
import type { Given, Report } from './imported.ts';
import { isLdif, namesOf, readLdif } from './ldif.ts';
import { Lists, readLists } from './lists.ts';
import { isMetabase, readMetabase } from './metabase-xml.ts';
import { SettingsObject } from './settings-object.ts';
import type { Kind, KnownFile, System } from './system.ts';
import { settingsWithoutMeaning, stopOf, type VirtualServer, virtualServerOf } from './virtual-server.ts';
import { isWmiText, readWmiText } from './wmi-text.ts';
import { policyOf } from './written-policy.ts';

const metabase: Kind = { name: 'metabase', what: 'MetaBase.xml of IIS', recognises: isMetabase };
const ldif: Kind = { name: 'ldif', what: 'an ldifde export of the directory', recognises: isLdif };
const octets: Kind = {
  name: 'octets',
  what: 'a virtual server as WMI or ADSI print it, or the octets of its RelayIpList',
  recognises: isWmiText,
};
const relayList: Kind = {
  name: 'relay-list',
  what: 'a list without a heading: who may relay, nobody else',
  hasNoEnd: true,
  recognises: () => false,
};

export const smtpService: System = {
  name: 'Exchange 2000, 2003 or IIS SMTP',
  kinds: [metabase, ldif, octets, listsKind, relayList],
  read(files, given, report) {
    const gathered = new Gathered(files, report);
    const nothing = { system: this.name, policy: policyOf({ accepted: [], connectors: [] }), cases: [] };
    if (report.faults.length > 0) return nothing;
    return { system: this.name, ...gathered.imported(given) };
  },
};

class Gathered {
  readonly #report: Report;
  readonly #lists = new Lists();
  readonly #servers = new Map<string, SettingsObject>();
  readonly #accepted: string[] = [];
  readonly #relayed: string[] = [];
  readonly #where: Place;

  constructor(files: readonly KnownFile[], report: Report) {
    this.#report = report;
    this.#where = (files[0] as KnownFile).file.place();
    // The metabase before the directory, which counts where they differ.
    const order = [metabase, octets, ldif, listsKind, relayList];
    for (const { kind, file } of [...files].sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind))) {
      if (kind === metabase) {
        const { servers, domains } = readMetabase(file, report);
        for (const server of servers) this.#add(server.name, server);
        for (const { domain, object } of domains) this.#localDomain(domain, object);
      } else if (kind === octets) {
        for (const server of readWmiText(file, report)) this.#add(numberOf(server), server);
      } else if (kind === ldif) this.#directory(readLdif(file, report));
      else readLists(file, this.#lists, kind === relayList ? 'relay' : null, report);
    }
    for (const name of this.#lists.servers.keys())
      if (name !== '' && !this.#servers.has(name)) this.#servers.set(name, new SettingsObject(name, this.#where));
    const own = this.#lists.server('');
    if (Object.keys(own).length > 0 && this.#servers.size > 1)
      report.fault(
        own.relay?.where ?? own.connection?.where ?? this.#where,
        `there are virtual servers ${[...this.#servers.keys()].join(', ')}: a heading [virtual server NAME] says which one the lists are of`,
      );
    if (this.#servers.size === 0) this.#servers.set('1', new SettingsObject('1', this.#where));
  }

  #add(name: string, server: SettingsObject): void {
    const there = this.#servers.get(name);
    if (there !== undefined)
      this.#report.fault(
        server.where,
        `virtual server ${name} stands in ${there.where.file}:${there.where.line} already: import one computer at a time`,
      );
    this.#servers.set(name, server);
  }

  /** RouteAction: 16 alias, 32 deliver and 64 default are local, 4096 relays to it for everyone. */
  #localDomain(domain: string, object: SettingsObject): void {
    const action = object.number('RouteAction') ?? 0;
    const setting = `domain ${domain}, RouteAction`;
    const pattern = parseDomainPattern(domain);
    const where = object.get('RouteAction')?.where ?? object.where;
    if (typeof pattern === 'string') this.#report.cannotBeSaid(where, setting, String(action), pattern);
    else if ((action & (16 | 32 | 64)) !== 0)
      this.#take(this.#accepted, domain, where, setting, String(action), 'accepted_domains');
    else if ((action & 4096) !== 0) this.#take(this.#relayed, domain, where, setting, String(action), 'relay_domains');
    else
      this.#report.exact(
        where,
        setting,
        String(action),
        'the rules',
        'a remote domain, reached by those who may relay',
      );
    if (object.get('RelayIpList', 'RelayForAuth') !== null)
      this.#report.cannotBeSaid(
        where,
        `domain ${domain}: RelayIpList or RelayForAuth`,
        '',
        'what they mean for one domain Microsoft does not say: left out',
      );
  }

  #take(list: string[], domain: string, where: Place, setting: string, value: string, became: string): void {
    if (!list.includes(domain)) list.push(domain);
    this.#report.exact(where, setting, value, `${became} '${domain}'`);
  }

  #directory(entries: readonly SettingsObject[]): void {
    const before = this.#servers.size;
    const servers = entries.filter(({ name }) => /^CN=[^,]+,CN=SMTP,CN=Protocols,/i.test(name));
    const computers = new Set(servers.map(({ name }) => namesOf(name)[3]?.toLowerCase()));
    for (const { name: dn, where, ...object } of servers.map((entry) => ({
      ...copyOf(entry),
      where: entry.where,
      name: entry.name,
    }))) {
      const [number = '', , , computer = ''] = namesOf(dn);
      const name = computers.size > 1 ? `${computer}-${number}` : number;
      const parent = computers.size > 1 ? null : (this.#servers.get(name) ?? null);
      const server = new SettingsObject(name, where, parent);
      for (const setting of object.settings) server.set(setting);
      this.#servers.set(name, server);
    }
    for (const entry of entries) this.#policyOrConnector(entry);
    if (this.#servers.size === before && servers.length === 0 && this.#accepted.length + this.#relayed.length === 0)
      this.#report.fault(
        entries[0]?.where ?? this.#where,
        'neither a virtual server (CN=1,CN=SMTP,CN=Protocols,…) nor a recipient policy is in it',
      );
  }

  #policyOrConnector(entry: SettingsObject): void {
    const classes = (entry.get('objectClass')?.values ?? []).map((value) => String(value).toLowerCase());
    if (classes.includes('msexchrecipientpolicy')) {
      const others = domainsIn(entry, 'msExchNonAuthoritativeDomains');
      for (const { domain, where, written } of others)
        this.#take(
          this.#relayed,
          domain,
          where,
          'recipient policy, not responsible for all mail',
          written,
          'relay_domains',
        );
      for (const { domain, where, written } of domainsIn(entry, 'gatewayProxy'))
        if (!others.some((other) => other.domain === domain))
          this.#take(this.#accepted, domain, where, 'recipient policy', written, 'accepted_domains');
    } else if (classes.includes('msexchroutingsmtpconnector')) {
      const spaces = (entry.get('routingList')?.values ?? []).join(', ');
      this.#report.cannotBeSaid(
        entry.where,
        `SMTP connector ${namesOf(entry.name)[0]}: address space`,
        spaces,
        'whether "Allow messages to be relayed to these domains" is ticked is not known: if it is, list them under [relay domains] in a file of lists',
      );
    } else {
      for (const list of ['msExchSMTPGlobalIPDenyList', 'msExchSMTPGlobalIPAcceptList']) {
        const setting = entry.get(list);
        if (setting !== null && this.#lists.globalDeny.length + this.#lists.globalAccept.length === 0)
          this.#report.loud(
            setting.where,
            list,
            '',
            'cannot be said',
            '',
            'how it is kept is not known: list it under [global deny list] or [global accept list] in a file of lists',
          );
      }
    }
  }

  imported(given: Given) {
    const accepted = [
      ...new Set([...given.acceptedDomains, ...this.#lists.acceptedDomains.map(({ text }) => text), ...this.#accepted]),
    ];
    const relayed = [...new Set([...this.#lists.relayDomains.map(({ text }) => text), ...this.#relayed])].filter(
      (one) => !accepted.includes(one),
    );
    if (accepted.length === 0)
      this.#report.loud(
        this.#where,
        'recipient policies, local domains',
        '',
        'cannot be said',
        '',
        'none is in the files, and no domain is accepted: --accepted-domain, or a list under [accepted domains], says which are',
      );
    const started = [...this.#servers].filter(([name, object]) => this.#isStarted(name, object));
    const said = started.map(([name, object]) => {
      const server = this.#serverOf(name, object);
      this.#tellOthers(object, name);
      return sayServer(server, this.#lists, given, this.#report);
    });
    const policy = policyOf(
      {
        accepted,
        relayed,
        windowsDomains: this.#lists.windowsDomains,
        connectors: said.flatMap(({ connectors }) => connectors),
      },
      given,
    );
    const domains = given.validRecipients === null ? [...accepted, ...relayed] : [];
    return { policy, cases: said.flatMap((server) => casesOf(server, this.#lists, domains, given)) };
  }

  #isStarted(name: string, object: SettingsObject): boolean {
    const stop = stopOf(object);
    if (stop === null) return true;
    const why = `virtual server ${name} is stopped: left out`;
    if (this.#servers.size > 1) this.#report.exact(stop.where, stop.name, String(stop.values[0]), '', why);
    else this.#report.fault(stop.where, `${stop.name}: the only virtual server is stopped: nothing is to be imported`);
    return false;
  }

  #serverOf(name: string, object: SettingsObject): VirtualServer {
    const own = this.#lists.servers.get(name);
    const common = this.#servers.size === 1 ? this.#lists.server('') : {};
    return virtualServerOf(object, name, { ...common, ...own }, this.#report);
  }

  #tellOthers(object: SettingsObject, name: string): void {
    const others = settingsWithoutMeaning(object).map((setting) => setting.name);
    if (others.length > 0)
      this.#report.cannotBeSaid(
        object.where,
        `virtual server ${name}: other settings`,
        `${others.length}: ${others.join(', ')}`,
        'none of them grants a right here',
      );
  }
}

function copyOf(entry: SettingsObject) {
  return { settings: entry.others() };
}

/** `SmtpSvc/2` of WMI. */
function numberOf(server: SettingsObject): string {
  return /smtpsvc\/([0-9]+)/i.exec(server.text('Name', 'ADsPath', 'Location') ?? '')?.[1] ?? server.name;
}

function domainsIn(entry: SettingsObject, attribute: string): { domain: string; where: Place; written: string }[] {
  const setting = entry.get(attribute);
  return (setting?.values ?? []).flatMap((value) => {
    const match = /^smtp:.*@([^@]+)$/i.exec(String(value).trim());
    const domain = match?.[1]?.toLowerCase() ?? '';
    const isSound = domain !== '' && typeof parseDomainPattern(domain) !== 'string';
    return isSound && setting !== null ? [{ domain, where: setting.where, written: String(value) }] : [];
  });
}
