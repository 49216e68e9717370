// Whom a client is counted as, wherever sources are told apart: its address, or the /64 that an IPv6 customer has.

export function sourceOf(address: string): string {
  if (!address.includes(':')) return address;
  const [head = '', tail = ''] = address.split('::');
  const left = groupsOf(head);
  const right = groupsOf(tail);
  while (left.length + right.length < 8) left.push('0');
  return `${[...left, ...right].slice(0, 4).join(':')}::/64`;
}

function groupsOf(text: string): string[] {
  return text === '' ? [] : text.split(':');
}
