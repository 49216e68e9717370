// A Postern for whatever a test suite of somebody else connects to: it is asked for the port of a server, and answers with that of
// a firewall in front of it, which lets everything pass that a server's own client may say.
//
// It relays anywhere and hides nothing that can be shown: what is compared is the dialogue, not the policy. STARTTLS passes
// through, so that a suite sees its own certificates.

import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type OpenFirewall, openFirewall } from '../helpers/postern.ts';

export interface Between {
  /** Of the HTTP server that is asked `GET /HOST/PORT`. */
  readonly port: number;
  /** Servers that a firewall was asked for. */
  readonly asked: ReadonlySet<string>;
  close(): Promise<void>;
}

function configFor(server: string): Record<string, unknown> {
  return {
    listeners: [{ bind: ['127.0.0.1:0'] }],
    upstream: { servers: [server] },
    lost_address_guard: 'warn',
    admin: null,
    limits: { session: { errors: 1000, junk_commands: 1000 } },
    policy: {
      version: 1,
      accepted_domains: ['local.example'],
      connectors: [
        {
          name: 'all',
          remote_ip_ranges: ['any'],
          starttls: 'passthrough',
          exchange_verbs: 'forward',
          unqualified_recipients: 'allow',
          i_know_this_is_open: true,
          rules: [{ name: 'all', allow: {} }],
        },
      ],
    },
  };
}

export async function openBetween(): Promise<Between> {
  const firewalls = new Map<string, Promise<OpenFirewall>>();
  const server: Server = createServer(async (request, response) => {
    const [, host = '', port = ''] = request.url?.split('/') ?? [];
    const at = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
    try {
      const known = firewalls.get(at) ?? openFirewall(configFor(at));
      firewalls.set(at, known);
      response.end(`${(await known).port}`);
    } catch (error) {
      response.writeHead(500).end(`${(error as Error).message}`);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    get asked() {
      return new Set(firewalls.keys());
    },
    close: async () => {
      server.close();
      server.closeAllConnections();
      const opened = await Promise.allSettled(firewalls.values());
      for (const one of opened) if (one.status === 'fulfilled') await one.value.close();
    },
  };
}
