// mynetworks, and the domains that Postfix takes mail for.
//
// Loopback is kept as its own address alone: where a client's address is lost, it seems to come from there. A network of the
// whole Internet is no network of ours: it is left out.

import { parseDomainPattern } from '../policy/domains.ts';
import type { Place } from '../policy/problem.ts';
import { hullOf, isInside, parseRange } from '../policy/ranges.ts';
import { isWide, publicPart, union } from '../policy/spans.ts';
import { atOnce } from '../policy/steps.ts';
import type { Given, Report } from './imported.ts';
import { entriesOf, logicalLines, type Parameters } from './postconf.ts';
import type { When } from './postfix-access.ts';
import type { Tables } from './postfix-tables.ts';

interface Item {
  readonly text: string;
  readonly where: Place;
}

/** Entries of a list parameter: those of the files and tables that it names stand in their place. Whom an exclusion that is not
 * known is for might be anybody behind it, so that it ends the list. */
function itemsOf(name: string, parameters: Parameters, tables: Tables, report: Report): Item[] {
  const where = parameters.written(name)?.where ?? { file: 'postconf', line: 1, column: 1 };
  const items: Item[] = [];
  for (const written of entriesOf(parameters.text(name) ?? '')) {
    const filled = parameters.filled(written);
    for (const entry of filled === null ? [written] : entriesOf(filled)) {
      const why =
        filled === null
          ? `what it stands for is not there: postconf ${written.replace(/[^\w.]/g, ' ').trim()} says it`
          : 'its file is not here: name it beside the others';
      const found = filled === null ? null : expanded(entry, where, tables);
      if (found !== null) items.push(...found);
      else if (entry.startsWith('!')) {
        report.loud(where, name, entry, 'cannot be said', '', `${why}; whatever stands behind it is left out`);
        return items;
      } else report.loud(where, name, entry, 'cannot be said', '', `${why}; left out`);
    }
  }
  return items;
}

/** Null: what stands there is not known. */
function expanded(entry: string, where: Place, tables: Tables): Item[] | null {
  const [not, path] = entry.startsWith('!') ? ['!', entry.slice(1)] : ['', entry];
  if (/^[\w-]+:[^:]*\/|^proxy:/.test(path)) {
    const isIndexed = !/^(proxy:)?cidr:/.test(path);
    return (
      tables.entries(path)?.map(({ key, isConditional, where: there }) => {
        // An indexed table is asked for the whole address or name, and never for a network.
        const holds = !isConditional && !(isIndexed && key.includes('/'));
        return { text: holds ? `${not}${key}` : `${not}${key} (${isConditional ? 'if' : 'a key'})`, where: there };
      }) ?? null
    );
  }
  if (path.startsWith('/')) {
    const file = tables.file(path);
    if (file === null) return null;
    return logicalLines(file.text).flatMap(({ text, line }) =>
      entriesOf(text).map((one) => ({ text: `${not}${one}`, where: { file: file.name, line, column: 1 } })),
    );
  }
  return /^(static|inline|mysql|pgsql|ldap|sqlite|unix|memcache|socketmap|tcp):/.test(path)
    ? null
    : [{ text: entry, where }];
}

export class Networks {
  /** permit_mynetworks, as what has to hold: one after the other. */
  readonly groups: readonly When[];

  constructor(parameters: Parameters, tables: Tables, given: Given, report: Report) {
    const written = parameters.written('mynetworks');
    if (written === null) {
      const where = { file: 'postconf', line: 1, column: 1 };
      const why =
        'not set: Postfix works it out from its own interfaces, which are not known here; postconf mynetworks says it';
      report.loud(where, 'mynetworks', '', 'cannot be said', '', why);
      this.groups = [];
      return;
    }
    const sources: string[] = [];
    const groups: When[] = [];
    let excluded: string[] = [];
    const finish = (): void => {
      if (sources.length === 0) return;
      groups.push(
        excluded.length === 0 ? { sources: [...sources] } : { sources: [...sources], not: { sources: excluded } },
      );
      sources.length = 0;
    };
    for (const { text, where } of itemsOf('mynetworks', parameters, tables, report)) {
      const isExcluded = text.startsWith('!');
      const range = rangeOf(text.replace(/^!/, ''));
      if (range === null) {
        // An exclusion that is not understood may be for anybody behind it.
        const why = isExcluded
          ? 'no network that is understood: whatever stands behind it is left out'
          : 'no network that is understood: left out';
        report.loud(where, 'mynetworks', text, 'cannot be said', '', why);
        if (isExcluded) break;
      } else if (isExcluded) {
        finish();
        excluded = [...excluded, range];
        report.exact(where, 'mynetworks', text, 'rule mynetworks: not');
      } else if (isWorld([range]) && !given.keepOpen) {
        report.loud(
          where,
          'mynetworks',
          text,
          'stricter',
          '',
          'a large part of the Internet: an open relay. Left out; name the clients that need it',
        );
      } else if (isLoopback(range) && range !== LOOPBACK.v4 && range !== LOOPBACK.v6) {
        const own = range.includes(':') ? LOOPBACK.v6 : LOOPBACK.v4;
        sources.push(own);
        report.stricter(
          where,
          'mynetworks',
          text,
          `rule mynetworks: ${own}`,
          'where a client is lost it seems to come from loopback: its address alone',
        );
      } else {
        sources.push(range);
        report.exact(where, 'mynetworks', text, 'rule mynetworks');
      }
    }
    finish();
    this.groups = groups;
  }

  /** Whether one of the ranges holds all of `text`. */
  holdsAll(ranges: readonly string[], text: string): boolean {
    const inner = parseRange(text).ranges;
    const outer = ranges.flatMap((one) => parseRange(one).ranges);
    return inner.length > 0 && inner.every((range) => outer.some((one) => isInside(range, one)));
  }
}

const LOOPBACK = { v4: '127.0.0.1', v6: '::1' };

/** `[2001:db8::]/64` is 2001:db8::/64. Bits behind the prefix are an error to Postfix. */
function rangeOf(text: string): string | null {
  const plain = text.replace(/^\[([0-9a-fA-F:.]+)\]/, '$1').replace(/^\[([0-9a-fA-F:.]+)(\/[0-9]+)\]$/, '$1$2');
  const { error, warning } = parseRange(plain);
  if (error !== undefined || warning !== undefined || /[;-]/.test(plain) || plain === 'any') return null;
  return plain.replace(/^(.*)\/(32|128)$/, (whole, address: string, bits: string) =>
    (bits === '32') === !address.includes(':') ? address : whole,
  );
}

/** Wide parts of the Internet, where nobody's address says who they are. */
export function isWorld(ranges: readonly string[]): boolean {
  const spans = union(ranges.flatMap((text) => parseRange(text).ranges.map(hullOf)));
  return ranges.some((text) => text.endsWith('/0')) || atOnce(publicPart(spans)).some(isWide);
}

function isLoopback(text: string): boolean {
  const loopback = parseRange('127.0.0.0/8').ranges;
  const [range] = parseRange(text).ranges;
  return range !== undefined && loopback.some((one) => isInside(range, one));
}

export interface PostfixDomains {
  readonly accepted: readonly string[];
  readonly relay: readonly string[];
  readonly literals: readonly string[];
}

export function domainsOf(parameters: Parameters, tables: Tables, given: Given, report: Report): PostfixDomains {
  const accepted = new Set<string>();
  const relay = new Set<string>();
  const literals = new Set<string>();
  const parents = entriesOf(parameters.value('parent_domain_matches_subdomains') ?? '').includes('relay_domains');
  for (const name of ['mydestination', 'virtual_alias_domains', 'virtual_mailbox_domains', 'relay_domains']) {
    const became = name === 'relay_domains' ? 'relay_domains' : 'accepted_domains';
    for (const { text, where } of itemsOf(name, parameters, tables, report)) {
      const literal = /^\[(?:ipv6:)?([0-9a-fA-F:.]+)\]$/i.exec(text)?.[1];
      const isOfMap = text.includes('@') || (name.startsWith('virtual') && !text.includes('.'));
      if (isOfMap) continue; // an address of the map, of which only domains matter here
      if (literal !== undefined && became === 'accepted_domains') {
        literals.add(literal);
        report.exact(where, name, text, 'accepted_literals');
        continue;
      }
      if (text.startsWith('!')) {
        const why = 'no list of domains here leaves one out: whatever stands behind it is left out';
        report.loud(where, name, text, 'stricter', '', why);
        break;
      }
      // `.d` is what is below d, where parents do not match.
      const pattern = name === 'relay_domains' && parents ? `*.${text}` : text;
      const wrong = parseDomainPattern(pattern);
      if (typeof wrong === 'string' || /^\*\.[^.]+$/.test(pattern)) {
        const why = typeof wrong === 'string' ? wrong : `'${text}' with all below it is a whole top-level domain`;
        report.cannotBeSaid(where, name, text, `${why}: left out`);
      } else {
        (became === 'relay_domains' ? relay : accepted).add(pattern.toLowerCase());
        report.exact(
          where,
          name,
          text,
          became,
          pattern === text ? '' : 'with what is below it, as parent_domain_matches_subdomains says',
        );
      }
    }
  }
  for (const name of given.acceptedDomains) accepted.add(name.toLowerCase());
  return { accepted: [...accepted], relay: [...relay], literals: [...literals] };
}
