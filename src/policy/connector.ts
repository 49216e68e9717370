// One receive connector, compiled: what its sessions may do on the wire, and their judge.

import type { Decision, Judge, OwnReply, Profile, Question } from '../smtp/types.ts';
import type { ConnectorDocument, Limits, Mode } from './document.ts';
import { type Ip, parseIp } from './ip.ts';
import type { Judgement, Resolve } from './judge.ts';
import type { Client, SourceSet } from './lists.ts';
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
  readonly profile: Profile;
  readonly mode: Mode;
  readonly limits: Limits;
  readonly replies: ConnectorParts['replies'];
  readonly rules: readonly Rule[];
  readonly #parts: ConnectorParts;

  constructor(parts: ConnectorParts) {
    this.name = parts.document.name;
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
    const { judgement, clientAt, resolve } = this.#parts;
    const ip = parseIp(client.address);
    if (ip === null) return () => ({ action: 'reject', reason: 'cannot_tell', rule: null, reply: CANNOT_TELL });
    const localIp = parseIp(client.localAddress);
    const session = {
      client: clientAt(ip, localIp),
      clientAddress: client.address,
      localIp,
      localPort: client.localPort,
    };
    return judgement.for(session, resolve);
  }

  judge(client: SessionEnds, question: Question): Decision | Promise<Decision> {
    return this.judgeFor(client)(question);
  }
}
