// One client, as the tests tell a server about it.
import type { Caller } from '../../src/proxy/call.ts';
import type { ClientIdentity } from '../../src/smtp/client-identity.ts';

export const CLIENT: ClientIdentity = {
  address: '192.0.2.1',
  port: 40000,
  name: 'client.example',
  localAddress: '203.0.113.5',
  localPort: 25,
};

export const CALLER: Caller = {
  ends: { clientAddress: '192.0.2.1', clientPort: 40000, localAddress: '203.0.113.5', localPort: 25 },
  identify: async () => CLIENT,
};
