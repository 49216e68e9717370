// Memory that is read into again is written over as soon as nobody may have it any more, with what must never pass: whoever kept
// a view of it would send that, and its test would fail. `npm test` imports this before every test file.

import type { StreamOwner } from '../../src/proxy/byte-stream.ts';
import { HandleStream, kept } from '../../src/proxy/handle-stream.ts';

const FORBIDDEN = 'RCPT TO:<victim@foreign.example>\r\n';

/** Chunks that were written over: of commands, behind the call in which they were heard, and of mail data that was given back. */
export const poisoned = { commands: 0, mailData: 0 };

const { read, giveBack } = HandleStream.prototype;
const lent = new WeakMap<HandleStream, Buffer>();

HandleStream.prototype.read = function readAndPoison(this: HandleStream, octets: number) {
  const { owner } = this;
  const spy: StreamOwner = {
    heard: (chunk) => {
      lent.set(this, chunk);
      owner.heard(chunk);
      if (kept(chunk) === chunk) return;
      poisoned.commands++;
      chunk.fill(FORBIDDEN);
    },
    ended: () => owner.ended(),
    drained: () => owner.drained(),
    lost: (error) => owner.lost(error),
  };
  this.owner = spy;
  try {
    return read.call(this, octets);
  } finally {
    if (this.owner === spy) this.owner = owner;
  }
};

HandleStream.prototype.giveBack = function giveBackAndPoison(this: HandleStream): void {
  if (this.isLending) {
    lent.get(this)?.fill(FORBIDDEN);
    poisoned.mailData++;
  }
  giveBack.call(this);
};
