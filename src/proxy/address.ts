// Addresses as sockets give them and as policies know them. One normal form, before anything looks at one.

/** IPv4-mapped IPv6 becomes IPv4, a zone id is dropped (`fe80::1%eth0`; net.isIP takes it, no policy means it). */
export function normaliseAddress(address: string): string {
  const zone = address.indexOf('%');
  const plain = zone === -1 ? address : address.slice(0, zone);
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(plain);
  return mapped === null ? plain.toLowerCase() : (mapped[1] as string);
}

/** An address and a port; the address may be a name where one is dialled. */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** `host:port`, with brackets where the host is an IPv6 address. */
export function formatEndpoint(endpoint: Endpoint): string {
  const { address, port } = endpoint;
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
