// The octets in which IIS keeps a list of addresses (RelayIpList, IPSecurity), from the metabase or printed by WMI and ADSI.
//
//    0  where the four lists begin: denied addresses, granted addresses, denied names, granted names; 0x80000000 is set in each
//   16  1, and where the values begin
//   24  the lists. Of addresses: number of groups, number of addresses, and for each group five numbers: 2 (IPv4),
//       1 + addresses, 4 (octets in each), 0, where its values begin. A group is a mask and the addresses under it
//
// Numbers are four octets, little-endian. This much follows from lists that administrators have published; how names are
// kept does not, nor what an empty list means. So all must fit to the last octet, or nothing is believed.

export interface SecurityList {
  readonly denied: readonly Masked[];
  readonly granted: readonly Masked[];
  readonly hasDeniedNames: boolean;
  readonly hasGrantedNames: boolean;
}

interface Masked {
  readonly net: number;
  readonly mask: number;
}

const HEADER = 24;
const GROUP = 20;
const FLAG = 0x80000000;

/** A string says what is wrong. */
export function readSecurityOctets(octets: Uint8Array): SecurityList | string {
  if (octets.length < HEADER + 4 * 8) return `only ${octets.length} octets, and a list has 76 or more: is it cut off?`;
  const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength);
  const at = (offset: number): number => view.getUint32(offset, true);
  const starts = [0, 4, 8, 12].map(at);
  if (starts.some((start) => start < FLAG)) return 'they do not begin as a list of addresses does (24.0.0.128)';
  const offsets = starts.map((start) => start - FLAG);
  const [denied = 0, granted = 0, deniedNames = 0, grantedNames = 0] = offsets;
  const values = at(20);
  const ordered = [HEADER, ...offsets, values, octets.length];
  if (denied !== HEADER || ordered.some((offset, i) => i > 0 && offset < (ordered[i - 1] as number)))
    return 'its lists do not stand one behind the other: is it cut off?';
  if (grantedNames + 8 > values) return 'its lists do not stand one behind the other: is it cut off?';
  const used: [number, number][] = [];
  const lists: Masked[][] = [];
  for (const [from, to] of [[denied, granted] as const, [granted, deniedNames] as const]) {
    const list = readAddresses(octets, from, to, values, used);
    if (typeof list === 'string') return list;
    lists.push(list);
  }
  const hasDeniedNames = grantedNames - deniedNames !== 8 || at(deniedNames) !== 0;
  const hasGrantedNames = values - grantedNames !== 8 || at(grantedNames) !== 0;
  used.sort(([a], [b]) => a - b);
  let end = values;
  for (const [from, to] of used) {
    if (from !== end) return 'the values of its groups do not stand one behind the other';
    end = to;
  }
  if (end !== octets.length && !hasDeniedNames && !hasGrantedNames)
    return `${octets.length - end} octets are left over that belong to no entry`;
  const [first = [], second = []] = lists;
  return { denied: first, granted: second, hasDeniedNames, hasGrantedNames };
}

function readAddresses(
  octets: Uint8Array,
  from: number,
  to: number,
  values: number,
  used: [number, number][],
): Masked[] | string {
  const view = new DataView(octets.buffer, octets.byteOffset, octets.byteLength);
  const at = (offset: number): number => view.getUint32(offset, true);
  if (to - from < 8) return 'a list is shorter than its head';
  const groups = at(from);
  const count = at(from + 4);
  if (to - from !== 8 + groups * GROUP)
    return `a list says that it has ${groups} groups, and is not as long as those are`;
  const list: Masked[] = [];
  for (let i = 0; i < groups; i++) {
    const group = from + 8 + i * GROUP;
    const [family, cells, size, zero, place] = [0, 4, 8, 12, 16].map((more) => at(group + more)) as [
      number,
      number,
      number,
      number,
      number,
    ];
    const start = place - FLAG;
    if (family !== 2 || size !== 4 || zero !== 0)
      return 'a group of addresses is not of IPv4, or of a form that nobody here knows';
    if (cells < 2 || start < values || start + cells * 4 > octets.length)
      return `a group of ${cells - 1} addresses goes beyond the last octet: is the list cut off?`;
    const mask = view.getUint32(start, false);
    if ((~mask & (~mask + 1)) >>> 0 !== 0)
      return `the mask of a group is ${[0, 1, 2, 3].map((more) => octets[start + more]).join('.')}, which is none`;
    for (let j = 1; j < cells; j++) list.push({ net: view.getUint32(start + j * 4, false), mask });
    used.push([start, start + cells * 4]);
  }
  return list.length === count ? list : `it says that it has ${count} addresses, and has ${list.length}`;
}

/** Hexadecimal digits or base64, as MetaBase.xml and ldifde write octets; null where it is neither. */
export function octetsOf(text: string): Uint8Array | null {
  const bare = text.replace(/\s+/g, '');
  if (/^([0-9a-f]{2})*$/i.test(bare)) return Buffer.from(bare, 'hex');
  if (/^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(bare)) return Buffer.from(bare, 'base64');
  return null;
}
