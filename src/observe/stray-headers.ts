// What a balancer or another proxy says to us unasked, and what to change there.
//
// It says who its client is: a PROXY header to a listener that expects none, XCLIENT or XFORWARD. We believe nobody who is not
// named, so the words are refused as commands; and then it is the balancer that is judged in the place of its clients.

const HINTS = {
  PROXY: 'stray_PROXY',
  XCLIENT: 'stray_XCLIENT',
  XFORWARD: 'stray_XFORWARD',
} as const;

export const KEY_OF_STRAY = 'listeners[].proxy_protocol.from';

/** The line that says so; null where the verb is no such word. */
export function strayHeader(verb: string): (typeof HINTS)[keyof typeof HINTS] | null {
  return Object.hasOwn(HINTS, verb) ? HINTS[verb as keyof typeof HINTS] : null;
}
