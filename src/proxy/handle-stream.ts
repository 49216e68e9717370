// A byte stream over one of Node's TCP handles (tcp-handles.ts), without a net.Socket: what Node's streams do between the two
// costs more than all that we do. Over TLS it is the same but for its ends (tls-stream.ts).
//
// Reads go into memory that is used again. Replies are copied out of it at once; of a client's commands is copied what somebody
// keeps (`kept`). In mail data a stream reads into a buffer of its own and lends it to its owner. The invariant: between two
// reads the handle never has memory that is lent, whether it is to read on or not; so no order of pause, resume and `giveBack`
// can have it written over. Mail data that comes in pieces, as TLS has it, is gathered, and lent when the pieces at hand have come.
// Writes go to the kernel at once; what it does not take is kept until it does, and the owner is told.

import { Socket } from 'node:net';
import { getSystemErrorName } from 'node:util';
import { type ByteStream, NOBODY, type SocketEnds, type StreamFault, type StreamOwner } from './byte-stream.ts';
import { common, letGo, pieces, putBack, takeBuffer } from './read-buffers.ts';
import {
  connectHandle,
  EOF,
  type HandleName,
  type HandleReader,
  readBy,
  shutDown,
  type TcpHandle,
  write,
} from './tcp-handles.ts';
import { Unheard } from './unheard.ts';

const ROOM = 65_536;
const SMALL = 16_384; // octets that are copied rather than lent, so that a few of them never keep a whole buffer

export class HandleStream implements ByteStream, HandleReader {
  owner: StreamOwner = NOBODY;
  reads: ByteStream['reads'] = 'to keep';
  isPaused = true;
  isEnded = false;
  isGone = false;
  remotePort = 0;
  readonly #handle: TcpHandle;
  readonly #isTls: boolean;
  readonly #room: number; // octets that the kernel may be owed before it counts as full
  #isReading = false;
  #stopsSoon = false; // with the next octets: to stop and to go on are two system calls, and mostly none come meanwhile
  #hasBegun = false;
  readonly #shared: Buffer; // with all that read as it does
  #into: Buffer; //            what the handle reads into: that, or a buffer of its own
  #lent: Buffer | null = null;
  #gathering: Buffer | null = null;
  #gathered = 0; // octets in it
  readonly #unheard = new Unheard();
  #endUnheard = false;
  #isWriting = false; // the handle has not taken all
  #behind: Uint8Array[] = []; // that
  #isFull = false; //    and the owner waits to hear that it has
  #endDue = false;
  #closed: (() => void)[] | null = []; // null: it is

  /** `isTls`: what it reads comes in pieces, and it says only later that it is done with a write, which it took at once. */
  constructor(handle: TcpHandle, isTls = false) {
    this.#handle = handle;
    this.#isTls = isTls;
    this.#room = isTls ? ROOM : 0;
    this.#shared = isTls ? pieces : common;
    this.#into = this.#shared;
    readBy(handle, this);
  }

  /** `connected` is called once it is; where it is not, the owner hears that it is lost. Nothing is read before `resume`. */
  static connect(address: string, port: number, connected: () => void): HandleStream {
    const handle = connectHandle(address, port, (status) => {
      if (stream.isGone) return;
      if (status < 0) {
        stream.lost(status, 'connect', `${address}:${port}`);
        return;
      }
      stream.remotePort = port;
      handle.setNoDelay(true);
      connected();
    });
    const stream = new HandleStream(handle);
    return stream;
  }

  get hasUnheard(): boolean {
    return !this.#unheard.isEmpty || this.#gathering !== null;
  }

  get unsent(): number {
    let octets = this.#isWriting ? this.untaken : 0;
    for (const { length } of this.#behind) octets += length;
    return octets;
  }

  /** Octets that were handed to the handle, and the kernel has not taken. */
  protected get untaken(): number {
    return this.#handle.writeQueueSize;
  }

  get localAddress(): string {
    return this.ends?.localAddress ?? '';
  }

  /** Both ends as the system names them; null when it is gone. */
  get ends(): SocketEnds | null {
    const remote: HandleName = {};
    const local: HandleName = {};
    if (this.isGone || this.#handle.getpeername(remote) !== 0 || this.#handle.getsockname(local) !== 0) return null;
    const { address: remoteAddress = '', port: remotePort = 0 } = remote;
    const { address: localAddress = '', port: localPort = 0 } = local;
    this.remotePort = remotePort;
    return { remoteAddress, remotePort, localAddress, localPort };
  }

  get isLending(): boolean {
    return this.#lent !== null;
  }

  giveBack(): void {
    const lent = this.#lent;
    this.#lent = null;
    if (lent !== null && lent !== this.#into) putBack(lent);
  }

  pause(atOnce = false): void {
    this.isPaused = true;
    if (this.#gathering !== null) this.#waitGathered(this.#gathering);
    this.#stopsSoon = atOnce;
    if (this.#readsByTheMegabyte) this.#stop();
    else if (atOnce) return;
    else if (this.#hasBegun && this.#unheard.isEmpty) this.#start();
  }

  resume(): void {
    if (!this.isPaused || this.isGone) return;
    this.isPaused = false;
    this.#stopsSoon = false;
    if (!this.#unheard.isEmpty || this.#endUnheard) process.nextTick(hearRest, this);
    else this.#start();
  }

  write(chunk: Uint8Array): boolean {
    if (this.isGone || this.#endDue) return true;
    if (!this.#isWriting) this.#write(chunk);
    else if (this.unsent + chunk.length > this.#room) this.#behind.push(chunk);
    else this.#behind.push(Buffer.from(chunk));
    if (this.#isWriting && this.unsent > this.#room) this.#isFull = true;
    return !this.#isFull;
  }

  #write(chunk: Uint8Array): void {
    const status = write(this.#handle, chunk);
    if (status < 0) process.nextTick(writeFailed, this, status);
    this.#isWriting = status > 0;
  }

  end(): void {
    if (this.isGone || this.#endDue) return;
    this.#endDue = true;
    if (!this.#isWriting) this.#finish();
  }

  /** Nothing more is written. Where the peer has ended it too, it is over: TLS ends with a word (RFC 8446 §6.1), TCP when it is closed. */
  #finish(): void {
    if (this.#isTls || !this.isEnded) this.shutDown();
    if (this.isEnded) this.isOver(null);
  }

  protected shutDown(): void {
    shutDown(this.#handle);
  }

  destroy(): void {
    if (!this.isGone) this.#close(false);
  }

  reset(): void {
    // libuv resets none whose FIN is on its way, and Node closes none that it was asked to reset.
    if (!this.isGone) this.#close(this.remotePort !== 0 && !this.isEnded && !this.#endDue);
  }

  whenClosed(then: () => void): void {
    if (this.#closed === null) then();
    else this.#closed.push(then);
  }

  toSocket(): Socket {
    this.#stop();
    if (this.#into !== this.#shared) this.#handle.useUserBuffer(this.#shared); // what it has is another stream's from now on
    this.#leave();
    this.#handle.reader = null;
    const begun = this.#hasBegun ? { pauseOnCreate: true } : { manualStart: true };
    const socket = new Socket({ handle: this.#handle, allowHalfOpen: true, ...begun } as object);
    if (!this.#unheard.isEmpty) socket.unshift(this.#unheard.take());
    if (this.isEnded || this.#endUnheard) socket.push(null);
    socket.once('close', () => this.#hasClosed());
    return socket;
  }

  // ---------------------------------------------------------------- what the handle says

  read(octets: number): Buffer | undefined {
    const into = this.#into;
    const chunk = into.subarray(0, octets);
    const isShared = into === this.#shared;
    if (this.isPaused || !this.#unheard.isEmpty) {
      // what came before it is heard before it
      this.#unheard.add(Buffer.from(chunk));
      if (this.#stopsSoon || this.#unheard.isFull) this.#stop();
    } else if (this.#gathering !== null || (this.#isTls && this.reads === 'mail data')) this.#gather(chunk);
    else if (this.reads === 'to forget' || (this.reads === 'commands' && isShared)) this.#hear(chunk, null);
    else if (isShared || octets < SMALL) this.#hear(Buffer.from(chunk), null);
    else this.#hear(chunk, into);
    if (this.isGone) return undefined;
    if (this.isPaused && this.#readsByTheMegabyte) this.#stop(); // it was paused before that was known
    return this.#nextBuffer();
  }

  /** What was lent before and not given back has its owner for good. */
  #hear(chunk: Buffer, lent: Buffer | null): void {
    this.#forgetLent();
    this.#lent = lent;
    this.owner.heard(chunk);
  }

  /** Nothing is paused, and nothing waits unheard. */
  #gather(piece: Buffer): void {
    if (this.#gathering !== null && this.#gathered + piece.length > this.#gathering.length) this.hearGathered();
    if (this.isGone) return;
    const into = this.isPaused ? null : (this.#gathering ?? takeBuffer());
    if (this.isPaused) this.#unheard.add(Buffer.from(piece));
    else if (into === null) this.#hear(Buffer.from(piece), null);
    else {
      if (this.#gathering === null) setImmediate(hearGathered, this);
      this.#gathering = into;
      piece.copy(into, this.#gathered);
      this.#gathered += piece.length;
    }
  }

  hearGathered(): void {
    const buffer = this.#gathering;
    if (buffer === null || this.isGone) return;
    const chunk = buffer.subarray(0, this.#gathered);
    this.#gathering = null;
    this.#gathered = 0;
    if (chunk.length >= SMALL) this.#hear(chunk, buffer);
    else {
      putBack(buffer);
      this.#hear(Buffer.from(chunk), null);
    }
  }

  get #readsByTheMegabyte(): boolean {
    return this.reads === 'mail data' || this.reads === 'to forget';
  }

  /** What is read into next: never what is lent. Undefined: as it was. */
  #nextBuffer(): Buffer | undefined {
    if (this.#isTls) return undefined;
    const before = this.#into;
    const isOurs = before !== this.#shared && before !== this.#lent;
    const isMailData = this.reads === 'mail data';
    if (!isMailData && isOurs) putBack(before);
    if (!isMailData) this.#into = this.#shared;
    else if (!isOurs) this.#into = takeBuffer() ?? this.#shared;
    if (!isMailData || !this.isPaused) this.#forgetLent();
    return this.#into === before ? undefined : this.#into;
  }

  /** Whoever keeps it has it for good. */
  #forgetLent(): void {
    if (this.#lent !== null) letGo();
    this.#lent = null;
  }

  /** The peer ended it, or the connection broke. */
  readFailed(status: number): void {
    this.hearGathered();
    if (this.isGone) return;
    if (status !== EOF) this.lost(status, 'read');
    else if (!this.#unheard.isEmpty) this.#endUnheard = true;
    else this.#hearEnd();
  }

  /** It is whoever's who hears it. */
  #waitGathered(buffer: Buffer): void {
    this.#unheard.add(buffer.subarray(0, this.#gathered));
    this.#gathering = null;
    this.#gathered = 0;
    letGo();
  }

  #hearEnd(): void {
    this.#endUnheard = false;
    this.isEnded = true;
    this.owner.ended();
    if (this.#endDue && !this.#isWriting) this.isOver(null);
  }

  written(status: number): void {
    this.#isWriting = false;
    if (this.isGone) return;
    if (status < 0) {
      process.nextTick(writeFailed, this, status); // we may be within the call that writes
      return;
    }
    const behind = this.#behind;
    if (behind.length > 0) {
      this.#behind = [];
      this.#write(behind.length === 1 ? (behind[0] as Uint8Array) : Buffer.concat(behind));
    }
    if (this.#isWriting && (this.#endDue || this.unsent > this.#room)) return;
    if (this.#endDue) this.#finish();
    else if (this.#isFull) this.#hasDrained();
  }

  #hasDrained(): void {
    this.#isFull = false;
    this.owner.drained();
  }

  hearRest(): void {
    if (this.isPaused || this.isGone) return;
    if (!this.#unheard.isEmpty) this.#hear(this.#unheard.take(), null);
    if (this.isPaused || this.isGone) return;
    if (this.#endUnheard) this.#hearEnd();
    else this.#start();
  }

  // ---------------------------------------------------------------- what it is told

  #start(): void {
    if (this.#isReading || this.isEnded || this.isGone) return;
    this.#isReading = true;
    if (!this.#hasBegun) this.#handle.useUserBuffer(this.#into);
    this.#hasBegun = true;
    const status = this.#handle.readStart();
    if (status < 0) process.nextTick(readFailed, this, status); // or it would be waited for until its time is over
  }

  #stop(): void {
    if (!this.#isReading) return;
    this.#isReading = false;
    this.#handle.readStop();
  }

  lost(status: number, doing: string, peer = ''): void {
    const code = getSystemErrorName(status);
    this.isOver({ code, message: `${doing} ${code}${peer === '' ? '' : ` ${peer}`}` });
  }

  isOver(fault: StreamFault | null): void {
    if (this.isGone) return;
    const { owner } = this;
    this.#close(false);
    owner.lost(fault);
  }

  #close(byReset: boolean): void {
    this.#stop();
    this.#leave();
    this.close(byReset, () => this.#hasClosed());
  }

  protected close(byReset: boolean, closed: () => void): void {
    if (!byReset || this.#handle.reset(closed) !== 0) this.#handle.close(closed);
  }

  #leave(): void {
    this.isGone = true;
    this.#behind = [];
    if (this.#into !== this.#shared && this.#into !== this.#lent) putBack(this.#into);
    if (this.#gathering !== null) putBack(this.#gathering);
    this.#gathering = null;
    this.#into = this.#shared;
    this.#forgetLent();
    this.owner = NOBODY;
  }

  #hasClosed(): void {
    const waiting = this.#closed ?? [];
    this.#closed = null;
    for (const then of waiting) then();
  }
}

function hearRest(stream: HandleStream): void {
  stream.hearRest();
}

function hearGathered(stream: HandleStream): void {
  stream.hearGathered();
}

function readFailed(stream: HandleStream, status: number): void {
  stream.readFailed(status);
}

function writeFailed(stream: HandleStream, status: number): void {
  stream.lost(status, 'write');
}
