// What the client is owed, in order: replies that the upstream has yet to give, and ours standing between them.
//
// RFC 5321 §4.1.1, RFC 2920 §3.2: replies come in the order of the commands. A reply of ours to a refused command must
// therefore wait for the upstream's replies to the commands before it. Expectations are numbers, so that a pipelined
// RCPT costs no object.

/** Replies in the queue, and octets of ours among them, at which the session stops reading the client. It goes on at half. */
export const QUEUE_LIMIT = 1000;
const OCTETS_LIMIT = 32 * 1024;

export class ReplyQueue {
  #entries: (number | Buffer)[] = [];
  #head = 0;
  /** Upstream replies still to come. */
  outstanding = 0;
  #octets = 0; // of ours

  get isEmpty(): boolean {
    return this.#head === this.#entries.length;
  }

  get length(): number {
    return this.#entries.length - this.#head;
  }

  get isFull(): boolean {
    return this.length >= QUEUE_LIMIT || this.#octets >= OCTETS_LIMIT;
  }

  /** There is room again behind isFull. */
  get isHalfEmpty(): boolean {
    return this.length <= QUEUE_LIMIT / 2 && this.#octets <= OCTETS_LIMIT / 2;
  }

  /** The upstream owes a reply; what kind is the session's number to know. */
  expect(kind: number): void {
    this.#entries.push(kind);
    this.outstanding++;
  }

  /** A reply of ours takes its place. */
  say(bytes: Buffer): void {
    this.#entries.push(bytes);
    this.#octets += bytes.length;
  }

  /** The next reply that the upstream owes, without taking it; -1 when it owes none. Ours never stand first. */
  peek(): number {
    const entry = this.#entries[this.#head];
    return typeof entry === 'number' ? entry : -1;
  }

  /** Takes the reply that the upstream owed next. */
  shift(): void {
    this.outstanding--;
    this.#advance();
  }

  /** Takes our reply if it is its turn, else null. */
  takeOurs(): Buffer | null {
    const entry = this.#entries[this.#head];
    if (!(entry instanceof Buffer)) return null;
    this.#octets -= entry.length;
    this.#advance();
    return entry;
  }

  #advance(): void {
    this.#head++;
    if (this.#head === this.#entries.length) {
      this.#entries.length = 0;
      this.#head = 0;
    } else if (this.#head >= QUEUE_LIMIT) {
      this.#entries.splice(0, this.#head);
      this.#head = 0;
    }
  }
}
