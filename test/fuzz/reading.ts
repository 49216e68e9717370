// What the words of a policy and of an address mean, for the reference judge: ranges of addresses, patterns of domains, and every
// host that some server may find in a recipient. Written from the description, slow, and sharing no code with src/.

interface Span {
  readonly family: number;
  readonly low: bigint;
  readonly high: bigint;
}

function numberOf(address: string): { family: number; value: bigint } {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address;
  if (!mapped.includes(':')) {
    return { family: 4, value: mapped.split('.').reduce((sum, part) => sum * 256n + BigInt(part), 0n) };
  }
  const [front = '', back] = mapped.split('::');
  const words = (text: string): string[] => (text === '' ? [] : text.split(':'));
  const missing = 8 - words(front).length - words(back ?? '').length;
  const all = [
    ...words(front),
    ...Array.from({ length: back === undefined ? 0 : missing }, () => '0'),
    ...words(back ?? ''),
  ];
  return { family: 6, value: all.reduce((sum, word) => sum * 65536n + BigInt(`0x${word}`), 0n) };
}

function spansOf(range: string): Span[] {
  if (range === 'any') {
    return [
      { family: 4, low: 0n, high: 2n ** 32n - 1n },
      { family: 6, low: 0n, high: 2n ** 128n - 1n },
    ];
  }
  const [from = '', to] = range.split('-');
  if (to !== undefined) return [{ family: numberOf(from).family, low: numberOf(from).value, high: numberOf(to).value }];
  const [net = '', bits] = range.split('/');
  const { family, value } = numberOf(net);
  const free = 2n ** BigInt(bits === undefined ? 0 : (family === 4 ? 32 : 128) - Number(bits));
  return [{ family, low: value - (value % free), high: value - (value % free) + free - 1n }];
}

/** How many addresses the narrowest of these ranges has that holds the client; null when none does. */
export function narrowest(ranges: readonly string[], client: string): bigint | null {
  const { family, value } = numberOf(client);
  const holding = ranges
    .filter((range) => spansOf(range).some((span) => span.family === family && span.low <= value && value <= span.high))
    .map((range) =>
      range === 'any' ? 2n ** 129n : spansOf(range).reduce((sum, { low, high }) => sum + high - low + 1n, 0n),
    );
  return holding.length === 0 ? null : holding.reduce((least, size) => (size < least ? size : least));
}

/** Every host that some server may find in a mailbox; null when it is no mailbox for anybody. */
export function hostsIn(mailbox: string): string[] | null {
  if (mailbox === '' || mailbox.startsWith('@') || /[\x00-\x1f\x7f]/.test(mailbox)) return null;
  const hosts = new Set<string>();
  const readings = [mailbox.replace(/["\\]/g, '')];
  for (let reading = readings.shift(); reading !== undefined; reading = readings.shift()) {
    const parts = reading.split(/([@%!])/);
    for (let at = 1; at < parts.length; at += 2)
      hosts.add(foldAscii(parts[parts[at] === '!' ? at - 1 : at + 1] as string));
    if (/(^|[@%!"])[ ]*imcea(smtp|rfc822)-/i.test(reading)) {
      const unpacked = reading.replace(/\+([0-9a-f]{2})/gi, (_, hex: string) =>
        String.fromCharCode(Number.parseInt(hex, 16)),
      );
      if (unpacked !== reading) readings.push(unpacked);
    }
  }
  return [...hosts];
}

/** A–Z and nothing else; one dot at the end goes. */
export function foldAscii(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => String.fromCharCode(letter.charCodeAt(0) + 32)).replace(/\.$/, '');
}

/** `*.d` is d and all below it. */
function covers(pattern: string, host: string): boolean {
  if (!pattern.startsWith('*.')) return pattern === host;
  return host === pattern.slice(2) || host.endsWith(pattern.slice(1));
}

export function coversAny(patterns: readonly string[] = [], host: string): boolean {
  return patterns.some((pattern) => covers(pattern, host));
}
