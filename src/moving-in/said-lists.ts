// A list of addresses of the old server as the policy says it, with a line of the report where it is not the same.

import { type Address, type Entry, isOpenFor, sayAdmission, sayDenial, sayGrant } from './addresses.ts';
import { Noted, type Report, type Written } from './imported.ts';

export interface SaidList {
  /** Addresses and ranges. */
  readonly ranges: readonly Written[];
  /** Patterns of names in DNS. */
  readonly names: readonly Written[];
  /** What of it the policy holds. */
  readonly addresses: readonly Address[];
}

/** A grant is a right to relay, an admission one to talk. `setting` is what the old system calls the list, `became` the rule that says it now. */
export function sayList(
  entries: readonly Entry[],
  as: 'grant' | 'admission' | 'denial',
  setting: string,
  became: string,
  report: Report,
  isOpenMeant = false,
): SaidList {
  const ranges: Written[] = [];
  const names: Written[] = [];
  const addresses: Address[] = [];
  const isTooWide = as === 'grant' && isOpenFor(entries.map(({ address }) => address));
  for (const entry of entries) {
    let { texts, address, differs } =
      as === 'grant' ? sayGrant(entry) : as === 'denial' ? sayDenial(entry) : sayAdmission(entry);
    if (as === 'grant' && !isOpenMeant && address !== null && isTooWide && isOpenFor([...addresses, address]))
      ({ texts, address, differs } = { texts: [], address: null, differs: TOO_WIDE });
    if (address !== null) addresses.push(address);
    if (texts.length === 0) report.loud(entry.where, setting, entry.written, 'cannot be said', '', differs);
    else if (differs !== '') report.stricter(entry.where, setting, entry.written, became, differs);
    const list = 'name' in entry.address ? names : ranges;
    const isOther = differs !== '' || texts.length > 1;
    for (const [i, text] of texts.entries())
      list.push(
        isOther && i === 0 ? new Noted(text, `was ${entry.written}${differs === '' ? '' : `: ${differs}`}`) : text,
      );
  }
  return { ranges, names, addresses };
}

const TOO_WIDE =
  'left out: wider than a /16 of public addresses (with those before it), which is an open relay; name those that are meant';

/** Ranges and names in one list, as connect has them. */
export function both({ ranges, names }: SaidList): Written[] {
  return [...ranges, ...names];
}
