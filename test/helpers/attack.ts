// An attacker's conversation with a lenient server behind the firewall, in memory: lines go in, what the server executed
// comes out. Whole, octet by octet and in chunks of three, for a hole may be open at one split only.

import assert from 'node:assert/strict';
import type { Backend } from './backend.ts';
import { converse } from './conversation.ts';
import { type Cut, cutAtRandom, everyOctet, whole } from './cuts.ts';
import type { Dialect } from './dialects.ts';
import type { HarnessOptions } from './harness.ts';
import { LenientServer } from './lenient-server.ts';

export interface Attack {
  /** What the client says; the server answers behind each of these. */
  readonly bursts: readonly string[];
  readonly dialect?: Dialect;
  readonly backend?: Backend;
  readonly options?: HarnessOptions;
}

export interface Damage {
  readonly recipients: readonly string[];
  readonly commands: readonly string[];
  readonly messages: number;
  /** What the client heard behind the EHLO reply. */
  readonly replies: string;
  readonly closed: boolean;
}

export const OPENING = ['EHLO client.example\r\n'];
export const TRANSACTION = [...OPENING, 'MAIL FROM:<s@sender.example>\r\n', 'RCPT TO:<user@local.example>\r\n'];

/** What the same server does with nobody before it: the proof that the attack is one. */
export function unprotected({ bursts, dialect = 'lf', backend = {} }: Attack): readonly string[] {
  const server = new LenientServer({ dialect, backend });
  for (const burst of bursts) server.receive(Buffer.from(burst, 'latin1'));
  return server.recipients;
}

/** One for each way to cut the stream; they must be equal. */
export function attack({ bursts, dialect = 'lf', backend = {}, options = {} }: Attack): Damage[] {
  const cuts: Cut[] = [whole, everyOctet, cutAtRandom(7, 3)];
  const damages = cuts.map((clientCut): Damage => {
    const server = new LenientServer({ dialect, backend });
    const atoms = bursts.map((octets) => [{ octets, payload: false }]);
    const { clientHeard, harness } = converse(atoms, server, { ...options, clientCut });
    return {
      recipients: server.recipients,
      commands: server.commands,
      messages: server.messages.length,
      replies: clientHeard.replace(/^220 .*\r\n(?:250-.*\r\n)*250 .*\r\n/, ''),
      closed: harness.closed !== null,
    };
  });
  for (const damage of damages) assert.deepEqual(damage, damages[0]);
  return damages;
}
