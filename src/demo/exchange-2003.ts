// Exchange 2003, as far as relaying goes: SMTP virtual servers with a relay list and the tick for those who log in, what the
// administrator copies of them (MetaBase.xml), and their log.
//
// A virtual server takes mail for its own domains from everybody, and relays for who is on its list ("Only the list below"), for who
// is not ("All except the list below"), and for who has logged in where that is ticked. It does not look at what hides in a local part.

import type { Caller, House, Journal } from './house.ts';
import { EXCHANGE_2003 } from './tongues.ts';

export interface VirtualServer {
  readonly port: number;
  readonly relay: { readonly mode: 'only' | 'except'; readonly addresses: readonly string[] };
  readonly relayForAuth: boolean;
}

/** As it stood open: all may relay but those on a list on which nobody is. */
export const OPEN: VirtualServer = { port: 25, relay: { mode: 'except', addresses: [] }, relayForAuth: true };

/** The dialog as it should have been: only who is on a list on which nobody is, and who logs in. */
export const CLOSED: VirtualServer = { ...OPEN, relay: { mode: 'only', addresses: [] } };

/** Another one, at a port of its own, that relays for Postern's machine alone. */
export function devicesOf(postern: string): VirtualServer {
  return { port: 2525, relay: { mode: 'only', addresses: [postern] }, relayForAuth: false };
}

/** The virtual server at whose port a session comes; the first has all others. */
export function serverFor<Server extends { readonly port: number }>(
  { localPort }: Caller,
  servers: readonly Server[],
): Server | undefined {
  return servers.find(({ port }) => port === localPort) ?? servers[0];
}

export function houseOf(
  servers: readonly VirtualServer[],
  domains: readonly string[],
  accounts: ReadonlyMap<string, string>,
  journal: Journal,
): House {
  const mayRelay = (caller: Caller): boolean => {
    const { relay, relayForAuth } = serverFor(caller, servers) ?? CLOSED;
    if (relayForAuth && caller.login !== null) return true;
    return relay.addresses.includes(caller.address) === (relay.mode === 'only');
  };
  return {
    tongue: EXCHANGE_2003,
    journal,
    hasAccount: (name, password) => accounts.get(name.toLowerCase()) === password,
    whyNotFrom: () => null,
    whyNotTo: (caller, recipient) => {
      const domain = recipient.slice(recipient.lastIndexOf('@') + 1).toLowerCase();
      return domains.includes(domain) || mayRelay(caller) ? null : `550 5.7.1 Unable to relay for ${recipient}`;
    },
  };
}

/** %windir%\System32\inetsrv\MetaBase.xml, the part that is about SMTP. */
export function metabaseOf(servers: readonly VirtualServer[], domains: readonly string[]): string {
  const element = (name: string, location: string, values: Readonly<Record<string, string>>): string[] => [
    `<${name}\tLocation ="${location}"`,
    ...Object.entries(values).map(([key, value]) => `\t\t${key}="${value}"`),
    '\t>',
    `</${name}>`,
  ];
  const lines = [
    '<?xml version ="1.0"?>',
    '<configuration xmlns="urn:microsoft-catalog:XML_Metabase_V64_0">',
    '<MBProperty>',
    ...element('IIsSmtpService', '/LM/SmtpSvc', { MaxRecipients: '64000' }),
    ...servers.flatMap(({ port, relay, relayForAuth }, i) =>
      element('IIsSmtpServer', `/LM/SmtpSvc/${i + 1}`, {
        ServerBindings: `:${port}:`,
        AuthFlags: 'AuthAnonymous | AuthBasic | AuthNTLM',
        NTAuthenticationProviders: 'GSSAPI,NTLM',
        RelayForAuth: relayForAuth ? '-1' : '0',
        RelayIpList: addressList(relay).toString('hex'),
        FullyQualifiedDomainName: EXCHANGE_2003.name,
      }),
    ),
    ...domains.flatMap((domain) => element('IIsSmtpDomain', `/LM/SmtpSvc/1/Domain/${domain}`, { RouteAction: '16' })),
    '</MBProperty>',
    '</configuration>',
  ];
  return `${lines.join('\r\n')}\r\n`;
}

/** RelayIpList as IIS keeps it: denied addresses, granted addresses, and names of either; one group of single addresses at most. */
function addressList({ mode, addresses }: VirtualServer['relay']): Buffer {
  const counts = mode === 'except' ? [addresses.length, 0, 0, 0] : [0, addresses.length, 0, 0];
  const lists = counts.map((count) => (count === 0 ? [0, 0] : [1, count, 2, count + 1, 4, 0, 0]));
  const starts: number[] = [24];
  for (const list of lists) starts.push((starts.at(-1) as number) + list.length * 4);
  const values = starts.pop() as number;
  for (const list of lists) if (list.length > 2) list[6] = values + FLAG;
  const head = [...starts.map((start) => start + FLAG), 1, values, ...lists.flat()];
  const octets = Buffer.alloc(values);
  for (const [i, number] of head.entries()) octets.writeUInt32LE(number, i * 4);
  const group = addresses.length === 0 ? [] : ['255.255.255.255', ...addresses];
  return Buffer.concat([octets, Buffer.from(group.flatMap((one) => one.split('.').map(Number)))]);
}

const FLAG = 0x80000000;
