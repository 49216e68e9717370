// The proxy of src/proxy/ between a client and a mail server that are both played by the test.
//
// The judge, the profile and the time-outs are the test's own, so that a judge may throw and a time-out be short; all
// else is the product. What the proxy tells its observer is written down. Every socket is gone when the test is over.

import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { Endpoint } from '../../src/proxy/address.ts';
import type { SessionWatcher } from '../../src/proxy/connection-options.ts';
import type { Timeouts } from '../../src/proxy/phase-timers.ts';
import { Relay } from '../../src/proxy/relay.ts';
import { AllSlots } from '../../src/proxy/upstream-slots.ts';
import type { Admission, CloseReason, Judge, Profile } from '../../src/smtp/types.ts';
import { DEFAULT_PROFILE, judgeBy } from '../helpers/harness.ts';
import '../helpers/poison.ts';
import { Peer, UpstreamPeers } from './peer.ts';

/** Long enough for no test to meet one that it does not wait for, and each another. */
export const PATIENT: Timeouts = {
  client_idle: 60_000,
  command: 100_000,
  data_idle: 70_000,
  proxy_header: 60_000,
  tls_handshake: 60_000,
  no_mail: 1_800_000,
  upstream_connect: 60_000,
  upstream_greeting: 60_000,
  upstream_reply: 80_000,
  upstream_data: 90_000,
  upstream_final: 110_000,
  drain: 60_000,
  min_data_rate: 0,
};

export interface RigOptions {
  readonly timeouts?: Partial<Timeouts>;
  readonly profile?: Partial<Profile>;
  readonly judge?: Judge;
  /** Instead of the mail server of the test. */
  readonly servers?: readonly Endpoint[];
  readonly maxConnections?: number;
  readonly maxWait?: number;
  /** Everyone must send a PROXY header. */
  readonly proxied?: boolean;
  /** Resolves when the door knows who the client is; it knows at once when left out. */
  readonly known?: Promise<void>;
}

/** Both ends of one session. */
export interface Pair {
  readonly client: Peer;
  readonly upstream: Peer;
}

export interface Watched extends SessionWatcher {
  reason: CloseReason | null;
}

export class Rig {
  readonly firewall: Relay;
  readonly upstreams: UpstreamPeers;
  readonly sessions: Watched[] = [];
  readonly defects: unknown[] = [];
  readonly refusals: string[] = [];
  /** Sessions that gave back their place. */
  released = 0;
  readonly #clients: Peer[] = [];
  #wake: () => void = () => {};

  private constructor(upstreams: UpstreamPeers, options: RigOptions) {
    const {
      timeouts,
      profile,
      servers,
      known,
      maxConnections,
      maxWait = 0,
      proxied = false,
      judge = judgeBy({ accepted: ['local.example'] }),
    } = options;
    this.upstreams = upstreams;
    const release = () => {
      this.released++;
    };
    const admission: Admission = { admitted: true, profile: { ...DEFAULT_PROFILE, ...profile }, judge, release };
    this.firewall = new Relay({
      listeners: [{ bind: [{ address: '127.0.0.1', port: 0 }], proxyPeers: proxied ? () => true : null }],
      upstreams: [
        {
          name: 'default',
          servers: servers ?? [{ address: '127.0.0.1', port: upstreams.port }],
          tls: null,
          identity: 'none',
        },
      ],
      slots: new AllSlots([{ name: 'default', limit: maxConnections ?? Number.POSITIVE_INFINITY, patience: maxWait }]),
      ourName: null,
      names: async () => [],
      timeouts: { ...PATIENT, ...timeouts },
      admit: () => known?.then(() => admission) ?? admission,
      observer: {
        upstreamUp: () => {},
        upstreamConnected: () => {},
        upstreamInClear: () => {},
        upstreamUnidentified: () => {},
        shortOf: () => {},
        upstreamSilent: () => {},
        upstreamFull: () => {},
        connectionWouldBeRefused: () => {},
        connectionRefused: (_door, _connector, reason) => void this.refusals.push(reason),
        handshakeFailed: () => {},
        proxyHeader: () => {},
        defect: (error) => void this.defects.push(error),
        sessionOpened: () => this.#watch(),
      },
    });
  }

  static async open(t: TestContext, options: RigOptions = {}): Promise<Rig> {
    const rig = new Rig(await UpstreamPeers.listen(t), options);
    t.after(async () => {
      for (const { socket } of rig.#clients) socket.destroy();
      await rig.firewall.drain(0);
    });
    await rig.firewall.listen();
    return rig;
  }

  async client(): Promise<Peer> {
    const client = await Peer.connect(this.firewall.addresses[0]?.port ?? 0);
    this.#clients.push(client);
    return client;
  }

  /** A client and its connection to the mail server, which has not greeted. */
  async dialled(): Promise<Pair> {
    const client = await this.client();
    return { client, upstream: await this.upstreams.next() };
  }

  /** The same, behind this greeting. */
  async greeted(greeting: string): Promise<Pair> {
    const pair = await this.dialled();
    await asked(pair, null, greeting);
    return pair;
  }

  /** The same, behind EHLO and its reply. */
  async introduced(keywords: readonly string[] = ['PIPELINING', 'ENHANCEDSTATUSCODES', 'AUTH LOGIN']): Promise<Pair> {
    const pair = await this.greeted('220 mail.example ESMTP');
    const lines = ['mail.example', ...keywords];
    await asked(
      pair,
      'EHLO client.example',
      ...lines.map((line, at) => `250${at === lines.length - 1 ? ' ' : '-'}${line}`),
    );
    return pair;
  }

  /** The same, behind MAIL and one RCPT that the server accepted. */
  async addressed(): Promise<Pair> {
    const pair = await this.introduced();
    await asked(pair, 'MAIL FROM:<s@sender.example>', '250 2.1.0 ok');
    await asked(pair, 'RCPT TO:<user@local.example>', '250 2.1.5 ok');
    return pair;
  }

  /** The same, behind 354. */
  async inMailData(): Promise<Pair> {
    const pair = await this.addressed();
    await asked(pair, 'DATA', '354 go ahead');
    return pair;
  }

  /** Why session number `at` ended, when it has. */
  async reason(at = 0): Promise<CloseReason> {
    for (;;) {
      const reason = this.sessions[at]?.reason ?? null;
      if (reason !== null) return reason;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** All sessions so far have ended, each gave back its place, and a new client is served. */
  async servesOn(): Promise<void> {
    for (const at of this.sessions.keys()) await this.reason(at);
    assert.equal(this.firewall.sessions, 0);
    assert.equal(this.released, this.sessions.length);
    const pair = await this.addressed();
    await asked(pair, 'QUIT', '221 2.0.0 bye');
  }

  #watch(): Watched {
    const watched: Watched = {
      number: 1,
      octetsFromClient: 0,
      octetsFromUpstream: 0,
      heloName: '',
      server: '',
      reason: null,
      event: () => {},
      handshake: () => {},
      delay: () => {},
      closed: (reason) => {
        assert.equal(watched.reason, null, 'a session ends once');
        watched.reason = reason;
        this.#wake();
      },
    };
    this.sessions.push(watched);
    return watched;
  }
}

/** The client says a line, the server hears it and answers, and the client hears that. `null`: the server just speaks. */
export async function asked({ client, upstream }: Pair, line: string | null, ...reply: string[]): Promise<void> {
  if (line !== null) {
    client.say(`${line}\r\n`);
    await upstream.hears(`${line}\r\n`);
  }
  upstream.say(`${reply.join('\r\n')}\r\n`);
  await client.hears(`${reply.at(-1)}\r\n`);
}
