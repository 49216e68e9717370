// The certificates and keys that listeners name: read with the configuration, so that a faulty pair refuses it whole.
//
// What OpenSSL will be given is tried here, and what will surprise is said: a certificate that has ended or soon will,
// one without a name, one that is never chosen. What is loaded is text in memory; nothing is read again later, so that a
// half-replaced pair of files cannot be met at run time.

import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto';
import { createSecureContext } from 'node:tls';
import type { Path } from '../policy/problem.ts';
import type { Finding } from './finding.ts';
import type { Config } from './schema.ts';

type Listener = Config['listeners'][number];

/** Of one listener, as PEM text; pairs that are faulty are left out, and an error says so. */
export interface Credentials {
  readonly certificates: readonly { readonly cert: string; readonly key: string }[];
  readonly clientCa: string | null;
  readonly minVersion: Listener['tls_min_version'];
}

/** What a file holds, or a sentence that says why there is nothing. */
export type ReadFile = (name: string) => { readonly text: string } | { readonly problem: string };
export type Report = (severity: Finding['severity'], path: Path, message: string) => void;

const DAY = 86_400_000;
const SOON = 30;

export function readCredentials(
  listener: Listener,
  path: Path,
  read: ReadFile,
  now: number,
  report: Report,
): Credentials {
  const { certificates, client_ca, tls_min_version: minVersion, implicit_tls } = listener;
  const pairs: { cert: string; key: string; holder: X509Certificate }[] = [];
  for (const [i, names] of certificates.entries()) {
    const at = [...path, 'certificates', i];
    const pair = readPair(names, at, read, report);
    if (pair === null) continue;
    lintCertificate(pair.holder, names.cert, [...at, 'cert'], now, report);
    const better = pairs.find(({ holder }) => holdsAllOf(holder, pair.holder));
    if (better !== undefined)
      report('warning', [...at, 'cert'], `${names.cert} is never chosen: a certificate above it holds its names`);
    pairs.push(pair);
  }
  if (certificates.length === 0 && implicit_tls)
    report('error', [...path, 'implicit_tls'], 'TLS before all else needs a certificate: certificates are wanted');
  if (certificates.length === 0 && client_ca !== undefined)
    report('error', [...path, 'client_ca'], 'nobody shows a certificate without TLS: certificates are wanted');
  if (certificates.length === 0 && minVersion === 'TLSv1.3')
    report('warning', [...path, 'tls_min_version'], 'without effect: there is no TLS without certificates');
  if (minVersion === 'TLSv1' || minVersion === 'TLSv1.1')
    report(
      'warning',
      [...path, 'tls_min_version'],
      `${minVersion} is weak and long withdrawn (RFC 8996): for old clients only`,
    );
  return {
    certificates: pairs.map(({ cert, key }) => ({ cert, key })),
    clientCa: client_ca === undefined ? null : readAuthority(client_ca, [...path, 'client_ca'], read, report),
    minVersion,
  };
}

function readPair(
  names: { readonly cert: string; readonly key: string },
  path: Path,
  read: ReadFile,
  report: Report,
): { cert: string; key: string; holder: X509Certificate } | null {
  const cert = read(names.cert);
  const key = read(names.key);
  if ('problem' in cert) report('error', [...path, 'cert'], cert.problem);
  if ('problem' in key) report('error', [...path, 'key'], key.problem);
  if ('problem' in cert || 'problem' in key) return null;
  const holder = parseCertificate(cert.text);
  const secret = parseKey(key.text);
  if (holder === null)
    report(
      'error',
      [...path, 'cert'],
      `${names.cert} holds no certificate, or a broken one: PEM is wanted (-----BEGIN CERTIFICATE-----)`,
    );
  if (typeof secret === 'string') report('error', [...path, 'key'], `${names.key} ${secret}`);
  if (holder === null || typeof secret === 'string') return null;
  if (!holder.checkPrivateKey(secret)) {
    report('error', [...path, 'key'], `${names.key} is not the key of ${names.cert}: they belong to two pairs`);
    return null;
  }
  const problem = whyRefused({ cert: cert.text, key: key.text });
  if (problem === null) return { cert: cert.text, key: key.text, holder };
  report('error', [...path, 'cert'], `${names.cert} cannot be used: ${problem}`);
  return null;
}

/** The first certificate of a file; null where there is none, or one of them cannot be read: OpenSSL would stop there and
 * say nothing. */
function parseCertificate(text: string): X509Certificate | null {
  const blocks = text.match(/-----BEGIN (?:[A-Z0-9]+ )*CERTIFICATE-----[\s\S]*?(?:-----END [^-]*-----|$)/g) ?? [];
  try {
    const [first = null] = blocks.map((block) => new X509Certificate(block));
    return first;
  } catch {
    return null;
  }
}

/** The key, or what is wrong with it. */
function parseKey(text: string): KeyObject | string {
  try {
    return createPrivateKey(text);
  } catch {
    const locked = /ENCRYPTED/.test(text);
    return locked
      ? 'is locked with a pass phrase, and nobody will be there to say it: openssl pkey unlocks it'
      : 'holds no private key: PEM is wanted (-----BEGIN PRIVATE KEY-----)';
  }
}

/** What OpenSSL says when it is given this; null when it takes it. */
function whyRefused(options: Parameters<typeof createSecureContext>[0]): string | null {
  try {
    createSecureContext(options);
    return null;
  } catch (error) {
    return (error as { reason?: string }).reason ?? (error as Error).message;
  }
}

/** What is wrong with a file of certificates that others are to be verified by, as `name` writes it; null: nothing. */
export function whyNoAuthority(file: ReturnType<ReadFile>, name: string): string | null {
  if ('problem' in file) return file.problem;
  if (parseCertificate(file.text) === null)
    return `${name} holds no certificate, or a broken one: PEM is wanted (-----BEGIN CERTIFICATE-----)`;
  const refused = whyRefused({ ca: file.text });
  return refused === null ? null : `${name} cannot be used: ${refused}`;
}

function readAuthority(name: string, path: Path, read: ReadFile, report: Report): string | null {
  const file = read(name);
  const problem = whyNoAuthority(file, name);
  if (problem !== null) report('error', path, problem);
  return problem === null && 'text' in file ? file.text : null;
}

function lintCertificate(holder: X509Certificate, name: string, path: Path, now: number, report: Report): void {
  const from = Date.parse(holder.validFrom);
  const days = (Date.parse(holder.validTo) - now) / DAY; // whole ones are told, as /status counts them
  if (from > now) report('warning', path, `${name} is not valid before ${holder.validFrom}`);
  if (days <= 0) report('warning', path, `${name} has expired (${holder.validTo}): who verifies it goes away`);
  else if (days <= SOON)
    report(
      'warning',
      path,
      `${name} expires ${days < 2 ? `${days < 1 ? 'within' : 'in'} a day` : `in ${Math.floor(days)} days`}`,
    );
  if (dnsNames(holder).length === 0)
    report(
      'warning',
      path,
      `${name} holds no DNS name: no client can verify it, and nobody who names a server is shown it`,
    );
}

/** As the certificate has them; its common name where it has no others. A name that Node had to quote is none. */
function dnsNames({ subject, subjectAltName }: X509Certificate): string[] {
  if (subjectAltName === undefined) return [...subject.matchAll(/^CN=([\w*.-]+)$/gm)].map(([, name]) => name as string);
  return [...subjectAltName.matchAll(/(?:^|, )DNS:([\w*.-]+)/g)].map(([, name]) => name as string);
}

function holdsAllOf(one: X509Certificate, other: X509Certificate): boolean {
  const held = new Set(dnsNames(one).map((name) => name.toLowerCase()));
  const names = dnsNames(other);
  return names.length > 0 && names.every((name) => held.has(name.toLowerCase()));
}
