// Ways to cut a stream into chunks, for a law that says that it does not matter.

/** Cuts what is said in one turn into chunks; `offset` is how much was said before, by everyone. */
export type Cut = (says: Buffer, offset: number) => Buffer[];

export const whole: Cut = (says) => [says];
export const everyOctet: Cut = (says) => Array.from(says, (_, index) => says.subarray(index, index + 1));

export function cutAt(position: number): Cut {
  return (says, offset) => {
    const at = position - offset;
    return at > 0 && at < says.length ? [says.subarray(0, at), says.subarray(at)] : [says];
  };
}

/** Chunks of 1 to `most` octets. The same seed cuts in the same way. */
export function cutAtRandom(seed: number, most: number): Cut {
  let state = seed >>> 0;
  return (says) => {
    const chunks: Buffer[] = [];
    for (let at = 0; at < says.length; ) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      const end = at + 1 + ((state >>> 8) % most);
      chunks.push(says.subarray(at, end));
      at = end;
    }
    return chunks;
  };
}
