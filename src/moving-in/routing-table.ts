// The routing table of an Exchange 5.5 Internet Mail Service: what is delivered here, what is routed on for everyone.
//
// A row holds its domain and all below it, `#domain` only itself; the most specific row wins (KB Q169683, Q259531). A row
// that goes elsewhere without "Always relay" is relayed for those who may relay, as every other domain is.

import { parseDomainPattern } from '../policy/domains.ts';
import type { Place } from '../policy/problem.ts';
import type { Report } from './imported.ts';
import type { Line } from './lists.ts';

export interface Row {
  /** As a policy writes it. */
  readonly pattern: string;
  readonly goes: 'here' | 'on for everyone' | 'on';
  readonly written: string;
  readonly where: Place;
}

const INBOUND = /^<?(inbound|eingehend|entrant|entrante)>?$/i;
const OVERRIDE = /\s*[;,\t ]\s*(always relay|override|override relay restrictions)\.?$/i;

/** Reads `domain;<inbound>`, `domain;host` and `domain;host;always relay`; blanks and commas will do as well. */
export function readRows(lines: readonly Line[], report: Report): Row[] {
  return lines.flatMap(({ text, where }): Row[] => {
    const isOverride = OVERRIDE.test(text);
    const [domain = '', target = '', ...more] = text
      .replace(OVERRIDE, '')
      .trim()
      .split(/\s*[;,=]\s*|\s+/);
    const isExact = domain.startsWith('#');
    const name = domain.replace(/^#|^\*\./, '');
    const pattern = parseDomainPattern(isExact ? name : `*.${name}`);
    const wrong =
      more.length > 0 || target === ''
        ? `'${text}' is no row of a routing table: example.com;<inbound> or example.com;host is wanted`
        : typeof pattern === 'string'
          ? pattern
          : null;
    if (wrong !== null || typeof pattern === 'string') {
      report.fault(where, wrong ?? '');
      return [];
    }
    return [
      {
        pattern: pattern.text,
        goes: INBOUND.test(target) ? 'here' : isOverride ? 'on for everyone' : 'on',
        written: text,
        where,
      },
    ];
  });
}

/** The row that a domain falls to, as the old server finds it. */
export function rowFor(rows: readonly Row[], domain: string): Row | null {
  const exact = rows.find(({ pattern }) => pattern === domain);
  if (exact !== undefined) return exact;
  const wide = rows.filter(({ pattern }) => pattern.startsWith('*.') && `.${domain}`.endsWith(pattern.slice(1)));
  return wide.sort((a, b) => b.pattern.length - a.pattern.length)[0] ?? null;
}
