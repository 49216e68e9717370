// A Postern for whatever a test suite of somebody else connects to: it is asked for the port of a server, and answers with that of
// a firewall in front of it, which lets everything pass that a server's own client may say.
//
// It relays anywhere and hides nothing that can be shown: what is compared is the dialogue, not the policy. STARTTLS passes
// through, so that a suite sees its own certificates.

import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type OpenFirewall, openFirewall } from '../helpers/postern.ts';

export interface Between {
  /** Of the HTTP server that is asked `GET /PORT`. */
  readonly port: number;
  /** Servers that a firewall was asked for. */
  readonly asked: ReadonlySet<number>;
  close(): Promise<void>;
}

function configFor(port: number): Record<string, unknown> {
  return {
    listeners: [{ bind: ['127.0.0.1:0'] }],
    upstream: { servers: [`127.0.0.1:${port}`] },
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
  const firewalls = new Map<number, Promise<OpenFirewall>>();
  const server: Server = createServer(async (request, response) => {
    const port = Number(request.url?.slice(1));
    try {
      if (!Number.isInteger(port)) throw new Error(`${request.url} is no port`);
      const known = firewalls.get(port) ?? openFirewall(configFor(port));
      firewalls.set(port, known);
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
      for (const firewall of firewalls.values()) await (await firewall).close().catch(() => {});
    },
  };
}
