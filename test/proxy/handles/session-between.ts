// One session of the proxy between two streams of the test. The server has greeted, and the limits are out of the way.

import type { ByteStream } from '../../../src/proxy/byte-stream.ts';
import { ClientTls, NO_CREDENTIALS } from '../../../src/proxy/client-tls.ts';
import { Connection } from '../../../src/proxy/connection.ts';
import { FairQueue } from '../../../src/proxy/fair-queue.ts';
import type { Upstream } from '../../../src/proxy/upstream.ts';
import type { CloseReason, Judge, Profile } from '../../../src/smtp/types.ts';
import { DEFAULT_LIMITS, DEFAULT_PROFILE, judgeBy } from '../../helpers/harness.ts';
import { PATIENT } from '../rig.ts';

export interface SessionOptions {
  readonly queue?: FairQueue;
  readonly judge?: Judge;
  readonly profile?: Partial<Profile>;
  readonly tls?: ClientTls;
}

export interface Between {
  readonly connection: Connection;
  /** Why it ended; null while it goes on. */
  readonly reason: CloseReason | null;
  /** Errors of ours. */
  readonly defects: readonly unknown[];
}

const UNLIMITED = { errors: 1e9, junkCommands: 1e9, recipientsPerMessage: 1e9, messages: 1e9 };
const NO_TLS = new ClientTls(NO_CREDENTIALS, 1);
const JUDGE = judgeBy({ accepted: ['local.example'] });

export function sessionBetween(client: ByteStream, upstream: ByteStream, options: SessionOptions = {}): Between {
  const { queue = new FairQueue(), judge = JUDGE, profile, tls = NO_TLS } = options;
  const defects: unknown[] = [];
  let reason: CloseReason | null = null;
  const answer = { stream: upstream, greeting: Buffer.from('220 mail.example\r\n'), forwarding: null, list: null };
  const servers = {
    dial: (_caller: unknown, done: Parameters<Upstream['dial']>[1]) => {
      done({ ...answer, server: 'mail.example:25', ended: () => {} }, null);
      return () => {};
    },
  } as unknown as Upstream;
  const whole = { ...DEFAULT_PROFILE, limits: { ...DEFAULT_LIMITS, ...UNLIMITED }, ...profile };
  const connection = new Connection({
    client,
    handshake: null,
    tls,
    early: null,
    ends: { clientAddress: '192.0.2.1', clientPort: 1, localAddress: '192.0.2.2', localPort: 25 },
    profile: whole,
    admitted: { admitted: true, profile: whole, judge, release() {} },
    upstream: servers,
    identify: () => Promise.reject(new Error('nobody asks')),
    timeouts: PATIENT,
    queue,
    watcher: {
      number: 1,
      octetsFromClient: 0,
      octetsFromUpstream: 0,
      heloName: '',
      server: '',
      event: () => {},
      handshake: () => {},
      delay: () => {},
      closed: (why) => {
        reason = why;
      },
    },
    defect: (error) => void defects.push(error),
    ended: () => {},
  });
  connection.start();
  return {
    connection,
    get reason() {
      return reason;
    },
    defects,
  };
}
