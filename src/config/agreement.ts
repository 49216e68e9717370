// What a configuration says that its shape does not show: addresses bound twice, keys without effect, files that are not
// there or empty, limits that make no sense together.
//
// Files are read through the loader, which remembers their texts. Certificates have a file of their own (certificates.ts),
// what listeners and connectors must agree on too (reach.ts).

import { changedLimits } from '../policy/document.ts';
import { lintBlock } from '../policy/lint-limits.ts';
import { formatPath, type Path } from '../policy/problem.ts';
import { parseRange } from '../policy/ranges.ts';
import { beside } from './beside.ts';
import type { Finding } from './finding.ts';
import type { Config } from './schema.ts';
import type { PlaceOf } from './shape.ts';
import type { ReadText } from './source.ts';
import { checkUpstreamTls } from './upstream-tls.ts';

type Add = (severity: Finding['severity'], path: Path, message: string) => void;

/** `file` null: flags alone. */
export function checkAgreement(
  config: Config,
  file: string | null,
  place: PlaceOf,
  read: (path: string) => ReadText,
): Finding[] {
  const findings: Finding[] = [];
  const add: Add = (severity, path, message) => {
    findings.push({ ...place(path), severity, key: formatPath(path), message });
  };
  checkProxies(config.listeners, add);
  checkBindings(config.listeners, add);
  findings.push(...checkUpstreamTls(config.upstream, file, place, read));
  if (config.mode === 'observe')
    add('warning', ['mode'], 'observe: what policy and limits would refuse is only logged, the relay is not protected');
  lintBlock(changedLimits(config.limits), config.limits, ['limits'], {
    error: (path, message) => add('error', path, message),
    warn: (path, message) => add('warning', path, message),
  });
  const { admin, state_password_file: password, state_ca: ca } = config;
  const wanted: readonly (readonly [Path, string | undefined, string])[] = [
    [['admin', 'token_file'], admin?.token_file, 'a token'],
    [['state_password_file'], password, 'a password'],
    [['state_ca'], ca, 'a certificate in PEM'],
  ];
  for (const [path, name, what] of wanted) {
    if (name === undefined) continue;
    const content = read(beside(file, name));
    if ('problem' in content) add('error', path, content.problem);
    else if (content.text.trim() === '') add('error', path, `${name} is empty: ${what} is wanted in it`);
  }
  checkState(config, add);
  return findings;
}

/** Who may claim any address in a PROXY header. */
function checkProxies(listeners: Config['listeners'], add: Add): void {
  for (const [i, { proxy_protocol }] of listeners.entries()) {
    const path = ['listeners', i, 'proxy_protocol', 'from'];
    for (const [j, text] of (proxy_protocol?.from ?? []).entries()) {
      const { error, warning } = parseRange(text);
      if (error !== undefined) add('error', [...path, j], error);
      if (warning !== undefined) add('warning', [...path, j], warning);
      if (text === 'any') add('error', [...path, j], 'any: everyone could claim any address; name the proxies');
    }
    if (proxy_protocol?.from.length === 0) add('error', path, 'without a proxy nobody may connect: name the proxies');
  }
}

function checkBindings(listeners: Config['listeners'], add: Add): void {
  const seen = new Set<string>();
  for (const [i, { bind }] of listeners.entries()) {
    for (const [j, { address, port }] of bind.entries()) {
      const key = `${address} ${port}`;
      if (port !== 0 && seen.has(key))
        add('error', ['listeners', i, 'bind', j], `${address} port ${port} is bound already: take one of them out`);
      seen.add(key);
    }
  }
}

function checkState({ state, state_password_file: password, state_ca: ca }: Config, add: Add): void {
  if (password !== undefined && state === 'memory')
    add('warning', ['state_password_file'], 'state is memory, which asks nobody for a password');
  if (ca !== undefined && !(state !== 'memory' && state.tls))
    add('warning', ['state_ca'], 'state has no TLS, so no certificate is looked at: rediss:// is wanted for it');
}
