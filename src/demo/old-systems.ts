// The two old systems of the road: what is open about each, what its administrator copies from it, how it is closed in the end.
//
// One shape for both, so that the road is told once. The stages: `open` as it stood; `second door`, where Postern has got a way in of
// its own for devices; `closed`, where nobody but Postern's devices relays.

import * as exchange2003 from './exchange-2003.ts';
import * as exchange2010 from './exchange-2010.ts';
import type { House, Journal } from './house.ts';
import { ACCOUNTS, DOMAIN, POSTERN } from './office.ts';
import { ReceiveLog } from './receive-log.ts';
import { SmtpsvcLog } from './smtpsvc-log.ts';

export type Stage = 'open' | 'second door' | 'closed';

export interface OldSystem {
  readonly name: string;
  /** Why everybody relays. */
  readonly fault: string;
  /** By name, what is copied from the server, and what each is. */
  readonly exports: ReadonlyMap<string, string>;
  /** The folder of its logs, and what they do not tell. */
  readonly logFolder: string;
  readonly logsTellLogins: boolean;
  logFiles(): ReadonlyMap<string, string>;
  house(stage: Stage): House;
  /** What was done on the server to come to a stage. */
  done(stage: Stage): string;
  /** Where who logs in comes to. */
  readonly clientPort: number;
  /** Connectors that the import makes, and that relay without a login. */
  readonly relaying: readonly string[];
}

const DOMAINS = [DOMAIN];

export function exchange2003System(now: () => Date, changedAt: number): OldSystem {
  const { OPEN, CLOSED, devicesOf, houseOf, metabaseOf, serverFor } = exchange2003;
  const devices = devicesOf(POSTERN);
  const log = new SmtpsvcLog(now, changedAt, (caller) =>
    serverFor(caller, [OPEN, devices]) === devices ? 'SMTPSVC2' : 'SMTPSVC1',
  );
  const servers = { open: [OPEN], 'second door': [OPEN, devices], closed: [CLOSED, devices] };
  const journal: Journal = log;
  return {
    name: 'Exchange 2003',
    fault: 'Relay Restrictions: "All except the list below", and nobody is on the list',
    exports: new Map([['MetaBase.xml', metabaseOf([OPEN], DOMAINS)]]),
    logFolder: 'SMTPSVC1',
    logsTellLogins: false,
    logFiles: () => log.files,
    house: (stage) => houseOf(servers[stage], DOMAINS, ACCOUNTS, journal),
    done: (stage) =>
      stage === 'second door'
        ? `A second virtual server at port 2525: Relay, "Only the list below": ${POSTERN}, which is Postern; Connection, the same`
        : 'Default SMTP Virtual Server, Relay: "Only the list below", nobody on it, with the tick for who logs in',
    clientPort: 25,
    relaying: [],
  };
}

export function exchange2010System(now: () => Date, restartAt: number): OldSystem {
  const { OPEN, closedFor, connectorsOf, doorsFor, domainsOf, factsIn, houseOf, mailboxesOf, rightsIn } = exchange2010;
  const [, devices] = doorsFor(POSTERN);
  const connectors = {
    open: OPEN,
    'second door': devices === undefined ? OPEN : [...OPEN, devices],
    closed: closedFor(POSTERN),
  };
  let current: readonly exchange2010.ReceiveConnector[] = OPEN;
  const log = new ReceiveLog(now, (caller) => factsIn(current)(caller), restartAt);
  return {
    name: 'Exchange 2010',
    fault: `connector 'Default EX10', for the whole world: ms-Exch-SMTP-Accept-Any-Recipient for ANONYMOUS LOGON`,
    exports: new Map([
      ['connectors.xml', connectorsOf(OPEN)],
      ['rights.xml', rightsIn(OPEN)],
      ['domains.xml', domainsOf(DOMAINS)],
      ['mailboxes.xml', mailboxesOf([...ACCOUNTS.keys()])],
    ]),
    logFolder: 'SmtpReceive',
    logsTellLogins: true,
    logFiles: () => log.files,
    house: (stage) => {
      current = connectors[stage];
      return houseOf(current, DOMAINS, ACCOUNTS, log);
    },
    done: (stage) =>
      stage === 'second door'
        ? `New-ReceiveConnector 'Devices through Postern' -Bindings 0.0.0.0:2525 -RemoteIPRanges ${POSTERN}, with the right to relay`
        : `New-ReceiveConnector 'From Postern' -RemoteIPRanges ${POSTERN}, which relays for nobody; Remove-ADPermission of the right that 'Default EX10' had`,
    clientPort: 587,
    relaying: ['Scanner Relay'],
  };
}
