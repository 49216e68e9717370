// Memory that is read into again is written over as soon as nobody may have it any more, with what must never pass: whoever kept
// a view of it would send that, and its test would fail. What starts a firewall in a test's own process imports this.

import type { StreamOwner } from '../../src/proxy/byte-stream.ts';
import { HandleStream } from '../../src/proxy/handle-stream.ts';
import { kept } from '../../src/proxy/read-buffers.ts';

const FORBIDDEN = 'RCPT TO:<victim@foreign.example>\r\n';

/** Chunks that were written over: of commands, behind the call in which they were heard, and of mail data that was given back. */
export const poisoned = { commands: 0, mailData: 0 };

const { read, hearGathered, giveBack } = HandleStream.prototype;
const lent = new WeakMap<HandleStream, Buffer>();

/** Whatever is heard meanwhile is written over as soon as it may be. */
function poisoning<T>(stream: HandleStream, hear: () => T): T {
  const { owner } = stream;
  const spy: StreamOwner = {
    heard: (chunk) => {
      lent.set(stream, chunk);
      owner.heard(chunk);
      if (kept(chunk) === chunk) return;
      poisoned.commands++;
      chunk.fill(FORBIDDEN);
    },
    ended: () => owner.ended(),
    drained: () => owner.drained(),
    lost: (error) => owner.lost(error),
  };
  stream.owner = spy;
  try {
    return hear();
  } finally {
    if (stream.owner === spy) stream.owner = owner;
  }
}

HandleStream.prototype.read = function readAndPoison(this: HandleStream, octets: number) {
  return poisoning(this, () => read.call(this, octets));
};

HandleStream.prototype.hearGathered = function hearAndPoison(this: HandleStream): void {
  poisoning(this, () => hearGathered.call(this));
};

HandleStream.prototype.giveBack = function giveBackAndPoison(this: HandleStream): void {
  if (this.isLending) {
    lent.get(this)?.fill(FORBIDDEN);
    poisoned.mailData++;
  }
  giveBack.call(this);
};
