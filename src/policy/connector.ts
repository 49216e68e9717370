// One receive connector, compiled: what its sessions may do on the wire, and their judge.

import { CANNOT_TELL, CONNECT_CANNOT_TELL } from '../smtp/replies.ts';
import type { Address, Decision, Judge, Login, OwnReply, Profile, Question } from '../smtp/types.ts';
import type { UserNames } from './accounts.ts';
import type { Rule } from './condition.ts';
import type { ConnectorDocument, Limits, Mode } from './document.ts';
import { type DomainTable, foldName, patternIn } from './domains.ts';
import { type Ip, parseIp } from './ip.ts';
import type { Judgement, Resolve, Session, Steps } from './judge.ts';
import type { Client, SourceSet } from './lists.ts';
import type { Path } from './problem.ts';

/** A session's ends, as the listener sees them: addresses are normalised. */
export interface SessionEnds {
  readonly address: string;
  readonly localAddress: string;
  readonly localPort: number;
  /** The address is a balancer's, that came without its client's. */
  readonly lost?: boolean | undefined;
}

/** Whether an address is one at which clients seem to be whose own is lost. */
export type ClientReader = (ip: Ip, localIp: Ip | null) => Client;

export interface ConnectorParts {
  readonly document: ConnectorDocument;
  readonly path: Path;
  readonly profile: Profile;
  readonly mode: Mode;
  readonly limits: Limits;
  readonly replies: {
    readonly connect: OwnReply;
    readonly connections: OwnReply;
    /** As `connections`, where others have taken the places. */
    readonly full: OwnReply;
    readonly rate: OwnReply;
  };
  readonly rules: readonly Rule[];
  readonly connectAllow: AccessList;
  readonly connectDeny: AccessList;
  readonly users: UserNames;
  readonly judgement: Judgement;
  readonly clientAt: ClientReader;
  readonly resolve: Resolve | null;
}

/** Who may connect: ranges, and forward-confirmed names. */
export interface AccessList {
  readonly ranges: SourceSet;
  readonly names: DomainTable;
}

/** What of a policy kept a client out, and why. */
export interface ConnectSetting {
  readonly path: Path;
  readonly why: string;
}

export class Connector {
  readonly name: string;
  readonly document: ConnectorDocument;
  /** Where it stands in the policy. */
  readonly path: Path;
  readonly profile: Profile;
  readonly mode: Mode;
  readonly limits: Limits;
  readonly replies: ConnectorParts['replies'];
  readonly rules: readonly Rule[];
  readonly #parts: ConnectorParts;

  constructor(parts: ConnectorParts) {
    this.name = parts.document.name;
    this.document = parts.document;
    this.path = parts.path;
    this.profile = parts.profile;
    this.mode = parts.mode;
    this.limits = parts.limits;
    this.replies = parts.replies;
    this.rules = parts.rules;
    this.#parts = parts;
  }

  /** A user's name as it is compared for a yes. */
  userKey(name: string): string {
    return this.#parts.users.keyOfWritten(name);
  }

  /** The address that user_domains tells of a login; null: none. */
  addressOf(login: Login): string | null {
    return this.#parts.users.addressOf(login);
  }

  /** What the limits of a login with a name are counted under, the same for all its spellings. */
  userKeys(login: Login): string[] {
    return this.#parts.users.limitKeys(login);
  }

  /** Whether this client may talk at all: the reply that refuses it, or null. Deny is looked at first; DNS is asked only
   * where a name could change the answer, and a DNS that does not answer is a 421. */
  refusal(address: string): OwnReply | null | Promise<OwnReply | null> {
    const { connectAllow, connectDeny, replies, resolve } = this.#parts;
    const ip = parseIp(address);
    if (ip === null || connectDeny.ranges.holds(ip)) return replies.connect;
    const allowed = connectAllow.ranges.holds(ip);
    const mayDeny = !connectDeny.names.isEmpty;
    if (!mayDeny && (allowed || connectAllow.names.isEmpty)) return allowed ? null : replies.connect;
    if (resolve === null) return CONNECT_CANNOT_TELL;
    return resolve(address).then((found) => {
      if (found === null) return CONNECT_CANNOT_TELL;
      const names = found.map(foldName);
      if (names.some((name) => patternIn(connectDeny.names, name) !== null)) return replies.connect;
      return allowed || names.some((name) => connectAllow.names.holds(name)) ? null : replies.connect;
    });
  }

  /** Which entry of its connect list keeps this client out, or the list that does not hold it, for people; null where it
   * may talk. `names`: what it is called in DNS, null when that does not answer. */
  connectSetting(address: string, names: readonly string[] | null): ConnectSetting | null {
    const { connectAllow, connectDeny } = this.#parts;
    const deny = [...this.path, 'connect', 'deny'];
    const allow = [...this.path, 'connect', 'allow'];
    const ip = parseIp(address);
    if (ip === null) return { path: allow, why: `${address} is no address` };
    const denied = connectDeny.ranges.entryFor(ip);
    if (denied !== null) return { path: denied.path, why: `'${denied.text}' holds ${address}` };
    const allowed = connectAllow.ranges.holds(ip);
    const mayDeny = !connectDeny.names.isEmpty;
    const out = { path: allow, why: `${address} is in none of them` };
    if (!mayDeny && (allowed || connectAllow.names.isEmpty)) return allowed ? null : out;
    if (names === null) return { path: mayDeny ? deny : allow, why: `no answer from DNS on the names of ${address}` };
    const folded = names.map(foldName);
    const name = folded.find((one) => patternIn(connectDeny.names, one) !== null);
    if (name !== undefined) return { path: deny, why: `'${patternIn(connectDeny.names, name)}' holds ${name}` };
    if (allowed || folded.some((one) => connectAllow.names.holds(one))) return null;
    return { ...out, why: `${address}${folded.length === 0 ? '' : ` (${folded.join(', ')})`} is none of them` };
  }

  /** Which of its keys keeps this sender out, for people. */
  senderKey(client: SessionEnds, question: Question): ReturnType<Judgement['senderKey']> {
    const session = this.#session(client);
    return session === null
      ? { key: null, open: false, spelling: null }
      : this.#parts.judgement.senderKey(session, question);
  }

  /** The judge of one session; its addresses are read once, here. */
  judgeFor(client: SessionEnds): Judge {
    const { judgement, resolve } = this.#parts;
    const session = this.#session(client);
    if (session === null) return () => ({ action: 'reject', reason: 'cannot_tell', rule: null, reply: CANNOT_TELL });
    return judgement.for(session, resolve);
  }

  /** What the judge looks at for one address; null where the client's own address cannot be read. */
  stepsFor(client: SessionEnds, question: Question, address: Address, names: readonly string[] | null): Steps | null {
    const session = this.#session(client);
    return session === null ? null : this.#parts.judgement.steps(session, question, address, names);
  }

  #session(client: SessionEnds): Session | null {
    const ip = parseIp(client.address);
    if (ip === null) return null;
    const localIp = parseIp(client.localAddress);
    return {
      client: { ip, lost: client.lost === true || this.#parts.clientAt(ip, localIp).lost },
      clientAddress: client.address,
      localIp,
      localPort: client.localPort,
    };
  }

  judge(client: SessionEnds, question: Question): Decision | Promise<Decision> {
    return this.judgeFor(client)(question);
  }
}
