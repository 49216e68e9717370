// The whole firewall in this process, in front of the stand-in server, with clients from addresses of their own.

import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { type OpenFirewall, openFirewall } from '../helpers/postern.ts';
import { UpstreamStandIn } from '../helpers/upstream-stand-in.ts';
import { Peer } from './peer.ts';

export const GREETING = '220 mock ESMTP ready\r\n';
const LOOPBACK = '127.0.0.1:0';

export interface Open {
  readonly firewall: OpenFirewall;
  readonly upstream: UpstreamStandIn;
  /** A client of its own address, if given. */
  client(localAddress?: string): Promise<Peer>;
  /** Log lines of that message, so far. */
  logged(message: string): Record<string, unknown>[];
}

/** Parts of the config, in the place of the defaults. */
export interface Wanted {
  readonly listener?: Record<string, unknown>;
  readonly connectors?: readonly Record<string, unknown>[];
  readonly upstream?: Record<string, unknown>;
  readonly rest?: Record<string, unknown>;
}

export async function open(t: TestContext, { listener, connectors, upstream: more, rest }: Wanted = {}): Promise<Open> {
  const upstream = await UpstreamStandIn.listen({ dialect: 'lf' });
  t.after(() => upstream.close());
  const clients: Peer[] = [];
  const firewall = await openFirewall({
    listeners: [{ bind: [LOOPBACK], ...listener }],
    upstream: { servers: [`127.0.0.1:${upstream.port}`], ...more },
    policy: {
      version: 1,
      accepted_domains: ['local.example'],
      connectors: connectors ?? [{ name: 'internet', remote_ip_ranges: ['any'] }],
    },
    admin: null,
    lost_address_guard: 'warn',
    ...rest,
  });
  t.after(async () => {
    for (const { socket } of clients) socket.destroy();
    await firewall.close();
  });
  return {
    firewall,
    upstream,
    client: async (localAddress) => {
      const client = await Peer.connect(firewall.port, localAddress === undefined ? {} : { localAddress });
      clients.push(client);
      return client;
    },
    logged: (message) => firewall.logs.map((line) => JSON.parse(line)).filter(({ msg }) => msg === message),
  };
}

/** Greeted by the upstream, through the firewall. */
export async function greeted(opened: Open, localAddress?: string): Promise<Peer> {
  const client = await opened.client(localAddress);
  assert.equal(await client.hears('\r\n'), GREETING);
  return client;
}

export async function quit(client: Peer): Promise<void> {
  client.say('QUIT\r\n');
  assert.match(await client.rest(), /^221 .*\r\n$/);
  client.finish();
}
