// The next dot behind CR, LF or NUL: all that the end of mail data needs to look at.
//
// `plainSearch` is what is meant. Where this Node.js has WebAssembly with SIMD the same is found sixteen octets at a time
// (line-dots.wat), in a copy of the chunk: prose, with a dot every 38 octets, costs a tenth.

import { CR, DOT, LF, NUL } from './bytes.ts';
import { CODE } from './line-dots-code.ts';

export interface DotSearch {
  /** A scan begins; what a chunk held before says nothing of what it holds now. */
  begin(): void;
  /** The index of the first dot at `from` (1 or more) or behind it that stands behind CR, LF or NUL; the chunk's length where
   * there is none. */
  next(chunk: Buffer, from: number): number;
}

export const plainSearch: DotSearch = {
  begin() {},
  next(chunk, from) {
    for (let at = chunk.indexOf(DOT, from); at !== -1; at = chunk.indexOf(DOT, at + 1)) {
      const before = chunk[at - 1];
      if (before === LF || before === CR || before === NUL) return at;
    }
    return chunk.length;
  },
};

const SPARE = 16; // octets that are loaded behind the last

interface Made {
  readonly memory: { readonly buffer: ArrayBuffer };
  next(at: number, end: number): number;
}

interface Assembly {
  readonly Module: new (code: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: unknown };
}

class VectorSearch implements DotSearch {
  readonly #memory: Uint8Array;
  readonly #next: (at: number, end: number) => number;
  // Of `#chunk`, the octets `#from` to `#to` stand at the start of the memory.
  #chunk: Buffer | null = null;
  #from = 0;
  #to = 0;

  /** Throws where this Node.js cannot. */
  constructor() {
    const { Module, Instance } = (globalThis as unknown as { WebAssembly: Assembly }).WebAssembly;
    const { memory, next } = new Instance(new Module(Buffer.from(CODE, 'base64'))).exports as Made;
    this.#memory = new Uint8Array(memory.buffer);
    this.#next = next;
  }

  begin(): void {
    this.#chunk = null;
  }

  next(chunk: Buffer, from: number): number {
    let at = from;
    while (at < chunk.length) {
      if (chunk !== this.#chunk || at <= this.#from || at >= this.#to) {
        at = chunk.indexOf(DOT, at); // base64 has none
        if (at === -1) break;
        this.#load(chunk, at - 1);
      }
      at = this.#from + this.#next(at - this.#from, this.#to - this.#from);
      if (at < this.#to) return at;
    }
    return chunk.length;
  }

  #load(chunk: Buffer, from: number): void {
    this.#chunk = chunk;
    this.#from = from;
    this.#to = Math.min(chunk.length, from + this.#memory.length - SPARE);
    this.#memory.set(chunk.subarray(from, this.#to));
  }
}

/** Sixteen octets at a time; null where this Node.js cannot. */
export function vectorSearch(): DotSearch | null {
  try {
    return new VectorSearch();
  } catch {
    return null;
  }
}

let best: DotSearch | null = null;

/** One for all: nobody searches a chunk while another does. */
export function lineDots(): DotSearch {
  best ??= vectorSearch() ?? plainSearch;
  return best;
}
