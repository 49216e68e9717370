// What upstream.tls says that its shape does not show: files, keys without effect, and protection that is none.

import { isIP } from 'node:net';
import { formatPath } from '../policy/problem.ts';
import { beside } from './beside.ts';
import { whyNoAuthority } from './certificates.ts';
import type { Finding } from './finding.ts';
import type { PlaceOf } from './shape.ts';
import type { ReadText } from './source.ts';
import type { NamedUpstream } from './upstreams.ts';

export function checkUpstreamTls(
  { upstream: { tls, servers }, path: at }: NamedUpstream,
  file: string | null,
  place: PlaceOf,
  read: (path: string) => ReadText,
): Finding[] {
  const findings: Finding[] = [];
  const add = (severity: Finding['severity'], name: keyof typeof tls, message: string): void => {
    const path = [...at, 'tls', name];
    findings.push({ ...place(path), severity, key: formatPath(path), message });
  };
  const { mode, ca, verify, pin, name } = tls;
  const isGiven = (key: keyof typeof tls): boolean =>
    key === 'pin' ? pin.length > 0 : key === 'min_version' ? tls[key] !== 'TLSv1.2' : tls[key] !== undefined;
  const given = (['ca', 'verify', 'name', 'pin', 'min_version'] as const).filter(isGiven);
  if (mode === 'none') {
    for (const key of given)
      add('error', key, 'without effect, since the mode is none: opportunistic, require or implicit is meant?');
    return findings;
  }
  const problem = ca === undefined ? null : whyNoAuthority(read(beside(file, ca)), ca);
  if (problem !== null) add('error', 'ca', problem);
  if (pin.length > 0 && verify === false)
    add('error', 'verify', 'a pinned certificate is always compared: take out the pin, or this');
  else if (pin.length > 0 && ca !== undefined)
    add('warning', 'ca', 'without effect, since the certificate is pinned: take one of them out');
  const verifies = pin.length > 0 || (verify ?? mode !== 'opportunistic');
  const why = verify === false ? 'verify is false' : 'opportunistic verifies nothing without verify: true';
  for (const key of ['ca', 'name'] as const)
    if (!verifies && isGiven(key)) add('warning', key, `without effect, since ${why}`);
  if (mode === 'opportunistic' && verifies)
    add('warning', 'mode', 'where the certificate is not right, mail goes in clear text instead: require is meant?');
  if (mode !== 'opportunistic' && !verifies)
    add('warning', 'verify', 'encrypted, but to whoever answers: name the authority in ca, or pin the certificate');
  if (verifies && pin.length === 0 && name === undefined && servers.some(({ address }) => isIP(address) !== 0))
    add(
      'note',
      'mode',
      'a server that is given as an address must have that in its certificate; else say its name in name',
    );
  if (tls.min_version === 'TLSv1' || tls.min_version === 'TLSv1.1')
    add('note', 'min_version', 'lets old ciphers and short keys in, for an old server on a private leg');
  return findings;
}
