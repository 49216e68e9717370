// Domain names: how a pattern is written, and a table that finds the most specific pattern that holds a domain.
//
// `*.d` is d and everything below it, as Exchange means it; `d` is exact. What comes from the wire is compared octet by
// octet after folding ASCII case only (the caller has folded it and dropped one trailing dot). Nothing from the wire is
// ever mapped or decoded: it is the configured name that is spelled in every form that may legitimately arrive, its
// A-labels and its U-labels as UTF-8 octets.

import { domainToASCII, domainToUnicode } from 'node:url';
import { foldAscii } from '../smtp/bytes.ts';

export interface DomainPattern {
  /** As written, for people. */
  readonly text: string;
  readonly below: boolean;
  /** Folded; strings are latin-1, a code point is an octet. */
  readonly forms: readonly string[];
}

/** Text of a configuration file as the octets that would come from the wire. */
export function toOctets(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

const LABEL = /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/;

/** Reads `d` or `*.d`; a string says what is wrong. */
export function parseDomainPattern(text: string): DomainPattern | string {
  const below = text.startsWith('*.');
  const name = (below ? text.slice(2) : text).replace(/\.$/, '');
  if (text === '*' || text === '*.' || text === '.') return `'${text}' would hold every domain`;
  if (text.startsWith('.'))
    return `'${text}' begins with a dot: did you mean '*${text}' (the domain and everything below it)?`;
  if (text.startsWith('#')) return `'${text}': a domain alone is exact here, did you mean '${text.slice(1)}'?`;
  if (text.startsWith('@')) return `'${text}': did you mean '${text.slice(1)}'?`;
  if (name.includes('@'))
    return `'${text}' is an address, a domain is wanted: did you mean '${name.slice(name.lastIndexOf('@') + 1)}'?`;
  if (name.includes('*')) return `'${text}': a star stands only at the start, as '*.example.com'`;
  const ascii = /^[\x21-\x7e]*$/.test(name) ? foldAscii(name) : foldAscii(domainToASCII(name));
  const labels = ascii.split('.');
  if (ascii === '' || ascii.length > 253 || !labels.every((part) => LABEL.test(part)))
    return `'${text}' is not a domain name`;
  if (/^([0-9]+|0x[0-9a-f]*)$/.test(labels.at(-1) ?? ''))
    return `'${text}' ends in a number and would be read as an address; addresses of our own go under accepted_literals`;
  const unicode = ascii.includes('xn--') ? toOctets(domainToUnicode(ascii)) : ascii;
  return { text, below, forms: unicode === '' || unicode === ascii ? [ascii] : [ascii, unicode] };
}

interface Node<V> {
  exact: V | undefined;
  below: V | undefined;
}

/** A name as DNS or a client spells it, for the comparison: ASCII-folded, without the dot at its end. */
export function foldName(name: string): string {
  return foldAscii(name).replace(/\.$/, '');
}

/** Finds the value of the most specific pattern that holds a domain; the first given wins where two are equal. */
export class DomainTable<V> {
  /** Every configured name and every suffix of one, so that the walk from the right ends where nothing is known. */
  readonly #suffixes = new Map<string, Node<V>>();

  get isEmpty(): boolean {
    return this.#suffixes.size === 0;
  }

  /** The value that stood there before, if the same pattern was given already; it stays. */
  add(pattern: DomainPattern, value: V): V | undefined {
    let earlier: V | undefined;
    for (const form of pattern.forms) {
      for (let dot = form.lastIndexOf('.'); dot > 0; dot = form.lastIndexOf('.', dot - 1))
        this.#node(form.slice(dot + 1));
      const node = this.#node(form);
      const place = pattern.below ? 'below' : 'exact';
      earlier ??= node[place];
      node[place] ??= value;
    }
    return earlier;
  }

  #node(suffix: string): Node<V> {
    let node = this.#suffixes.get(suffix);
    if (node === undefined) {
      node = { exact: undefined, below: undefined };
      this.#suffixes.set(suffix, node);
    }
    return node;
  }

  /** `domain` is folded and has no trailing dot. */
  find(domain: string): V | null {
    // The common case: a domain that is listed itself costs one look-up.
    const exact = this.#suffixes.get(domain)?.exact;
    if (exact !== undefined) return exact;
    let found: V | null = null;
    let dot = domain.length;
    do {
      dot = dot === 0 ? -1 : domain.lastIndexOf('.', dot - 1);
      const node = this.#suffixes.get(dot === -1 ? domain : domain.slice(dot + 1));
      if (node === undefined) return found;
      found = node.below ?? found;
    } while (dot !== -1);
    return found;
  }
}
