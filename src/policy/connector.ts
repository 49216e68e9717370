// One receive connector, compiled: what its sessions may do on the wire, and their judge.

import type { Address, Decision, Judge, OwnReply, Profile, Question } from '../smtp/types.ts';
import type { ConnectorDocument, Limits, Mode } from './document.ts';
import { type Ip, parseIp } from './ip.ts';
import type { Judgement, Resolve, Session, Steps } from './judge.ts';
import type { Client, SourceSet } from './lists.ts';
import type { Path } from './problem.ts';
import { CANNOT_TELL } from './replies.ts';
import type { Rule } from './rules.ts';

/** A session's ends, as the listener sees them: addresses are normalised. */
export interface SessionEnds {
  readonly address: string;
  readonly localAddress: string;
  readonly localPort: number;
}

/** Whether an address is one at which clients seem to be whose own is lost. */
export type ClientReader = (ip: Ip, localIp: Ip | null) => Client;

export interface ConnectorParts {
  readonly document: ConnectorDocument;
  readonly path: Path;
  readonly profile: Profile;
  readonly mode: Mode;
  readonly limits: Limits;
  readonly replies: { readonly connect: OwnReply; readonly connections: OwnReply; readonly rate: OwnReply };
  readonly rules: readonly Rule[];
  readonly connectAllow: SourceSet;
  readonly connectDeny: SourceSet;
  readonly judgement: Judgement;
  readonly clientAt: ClientReader;
  readonly resolve: Resolve | null;
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

  /** Whether this client may talk at all: the reply that refuses it, or null. Deny is looked at first. */
  refusal(address: string): OwnReply | null {
    const { connectAllow, connectDeny, replies } = this.#parts;
    const ip = parseIp(address);
    const may = ip !== null && connectDeny.find(ip) === null && connectAllow.find(ip) !== null;
    return may ? null : replies.connect;
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
      client: this.#parts.clientAt(ip, localIp),
      clientAddress: client.address,
      localIp,
      localPort: client.localPort,
    };
  }

  judge(client: SessionEnds, question: Question): Decision | Promise<Decision> {
    return this.judgeFor(client)(question);
  }
}
