// What a verified client certificate names: DNS names, and its distinguished name in two forms.
//
// Node prints a certificate's names as text. It quotes and escapes what could be taken for a second name (since
// CVE-2021-44532); what is quoted, or is no host name, names nobody here. Strings are latin-1, as all that peers choose.

import type { X509Certificate } from 'node:crypto';

export interface CertificateNames {
  /** DNS names (the common name only where there is no alternative one), `CN=…`, and the whole as `C=DE,O=…,CN=…` in the
   * certificate's own order, with RFC 4514's escapes. */
  readonly names: readonly string[];
  /** The common name, or the whole where there is none: for the log. */
  readonly subject: string | null;
}

const HOST_NAME = /^(\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*$/i;

export function certificateNames(certificate: X509Certificate | undefined): CertificateNames {
  if (certificate === undefined) return { names: [], subject: null };
  // One relative name a line; a comma and a plus within a value are escaped, those between values are not.
  const relative = toOctets(certificate.subject ?? '')
    .split('\n')
    .map((line) => line.split(' + '));
  const whole = relative.map((values) => values.join('+')).join(',');
  const common = relative.flat().find((value) => value.startsWith('CN=')) ?? '';
  const dns = certificate.subjectAltName === undefined ? [common.slice(3)] : dnsNames(certificate.subjectAltName);
  const names = [...dns.filter((name) => HOST_NAME.test(name)), common, whole];
  return {
    names: [...new Set(names)].filter((name) => name !== ''),
    subject: common.slice(3) || whole || null,
  };
}

/** `DNS:a.example, email:x@y, URI:"a\u002c DNS:no.example"`: the values of DNS that are not quoted. */
function dnsNames(text: string): string[] {
  return [...text.matchAll(/(?:^|, )([^:,"]+):("(?:[^"\\]|\\.)*"|[^,"]*)(?=, |$)/g)]
    .filter(([, kind]) => kind === 'DNS')
    .map(([, , value]) => value as string);
}

function toOctets(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}
