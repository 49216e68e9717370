// Octets that came while their owner had paused the stream, in order.

const CHUNKS = 16;
const OCTETS = 8192;

export class Unheard {
  #chunks: Buffer[] = [];
  #octets = 0;

  get isEmpty(): boolean {
    return this.#chunks.length === 0;
  }

  /** No more is to be read. */
  get isFull(): boolean {
    return this.#octets >= OCTETS || this.#chunks.length >= CHUNKS;
  }

  /** The memory is its own from now on. */
  add(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#octets += chunk.length;
  }

  /** All of it; then it is empty. */
  take(): Buffer {
    const chunks = this.#chunks;
    this.#chunks = [];
    this.#octets = 0;
    return chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
  }
}
