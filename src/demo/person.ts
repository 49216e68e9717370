// The person on the road, who writes what no command writes: the configuration, and rules accepted from a suggestion.
//
// A rule is accepted for a device inside, with an owner. The devices become a connector of their own, since they go to another door
// of the old server than the world does.

export interface Rule {
  readonly name: string;
  readonly sources: readonly string[];
  readonly domains: readonly string[];
  readonly expires: string;
}

export function isInside(address: string): boolean {
  return address.startsWith('192.168.');
}

export function configText(
  mode: 'observe' | 'enforce',
  old: { readonly world: number; readonly devices: number },
): string {
  return `listeners:
  - bind: ['127.0.0.1:0'] # this machine plays all clients: a PROXY header says which
    proxy_protocol: { from: [127.0.0.1] }
  - bind: ['127.0.0.1:0'] # without one, for the probe
upstream:
  servers: ['127.0.0.1:${old.world}'] # 10.0.0.10:25
upstreams:
  relay: { servers: ['127.0.0.1:${old.devices}'] } # 10.0.0.10:2525, which relays for Postern
policy: office.yaml
mode: ${mode}
watch: true
admin: null
`;
}

/** Behind the connectors of an imported policy. */
export function devicesText(rules: readonly Rule[]): string {
  const sources = [...new Set(rules.flatMap((rule) => rule.sources))];
  return [
    '  - name: devices',
    `    remote_ip_ranges: [${sources.join(', ')}]`,
    '    upstream: relay',
    '    rules:',
    ...rules.flatMap(({ name, sources: from, domains, expires }) => [
      `      - name: ${name}`,
      `        allow: { sources: [${from.join(', ')}], recipient_domains: [${domains.join(', ')}] }`,
      '        owner: it@example.com',
      `        expires: ${expires}`,
    ]),
    '',
  ].join('\n');
}

/** The same policy, with a connector of that name going to the other door. */
export function throughUpstream(policy: string, connector: string): string {
  return policy.replace(`  - name: ${connector}\n`, `  - name: ${connector}\n    upstream: relay\n`);
}
