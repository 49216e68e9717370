// The receiving end of a SASL security layer (RFC 4422 §3.7) without its cipher.
//
// A wrapped token is four octets of length and so many of content. The server that uses this is lenient: what does not
// begin with a NUL is taken for a plain line, so that it executes both what a client wraps and what it forgot to wrap.

const LF = 0x0a;

// What the next octet belongs to
const BOUNDARY = 0;
const LENGTH = 1;
const TOKEN = 2;
const PLAIN = 3;

export class SecurityLayer {
  #state = BOUNDARY;
  #left = 0;
  #length = 0;

  /** The plain text of these octets. */
  unwrap(octets: Buffer): Buffer {
    const plain: number[] = [];
    for (const octet of octets) {
      if (this.#state === BOUNDARY) this.#begin(octet);
      if (this.#state === LENGTH) this.#readLength(octet);
      else plain.push(octet);
      if (this.#state === TOKEN && this.#left-- === 0) this.#state = BOUNDARY;
      if (this.#state === PLAIN && octet === LF) this.#state = BOUNDARY;
    }
    return Buffer.from(plain);
  }

  #begin(octet: number): void {
    this.#state = octet === 0 ? LENGTH : PLAIN;
    this.#left = 4;
    this.#length = 0;
  }

  #readLength(octet: number): void {
    this.#length = this.#length * 256 + octet;
    if (--this.#left > 0) return;
    this.#left = this.#length;
    this.#state = TOKEN;
  }
}
