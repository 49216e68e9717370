// What a balancer or another proxy says to us unasked, and what to change there.
//
// It says who its client is: a PROXY header to a listener that expects none, XCLIENT or XFORWARD. We believe nobody who is not
// named, so the words are refused as commands; and then it is the balancer that is judged in the place of its clients.

export interface Hint {
  readonly sentence: string;
  readonly key: string | undefined;
}

const ADDRESS_LOST = 'until then its own address is judged in the place of its clients';

const HINTS: Readonly<Record<string, Hint>> = {
  PROXY: {
    sentence:
      'a PROXY header came where none is expected: name this balancer in listeners[].proxy_protocol.from, or let it send none ' +
      `(HAProxy: no send-proxy; nginx mail: \`proxy_protocol off\`); ${ADDRESS_LOST}`,
    key: 'listeners[].proxy_protocol.from',
  },
  XCLIENT: {
    sentence:
      'XCLIENT was said and is never taken: switch it off there (nginx mail: `xclient off`), and let a balancer send ' +
      `a PROXY header instead, if it can (nginx mail: \`proxy_protocol on\`; listeners[].proxy_protocol.from); ${ADDRESS_LOST}`,
    key: 'listeners[].proxy_protocol.from',
  },
  XFORWARD: {
    sentence:
      'XFORWARD was said and is never taken: switch it off there (Postfix: `smtp_send_xforward_command = no`), and let a ' +
      `balancer send a PROXY header instead, if it can (listeners[].proxy_protocol.from); ${ADDRESS_LOST}`,
    key: 'listeners[].proxy_protocol.from',
  },
};

/** Null where the verb is no such word. */
export function strayHeader(verb: string): Hint | null {
  return HINTS[verb] ?? null;
}
