// A byte stream over one of Node's TCP handles (tcp-handles.ts), without a net.Socket: what Node's streams do between the two
// costs more than all that we do. Over TLS it is the same but for its ends (tls-stream.ts).
//
// Reads go into memory that is used again. Replies are copied out of it at once; of a client's commands is copied what somebody
// keeps (`kept`). In mail data a stream reads into 64 KiB of its own and lends them to its owner. The invariant: between two
// reads the handle never has memory that is lent, whether it is to read on or not; so no order of pause, resume and `giveBack`
// can have it written over. Writes go to the kernel at once; what it does not take is kept until it does, and the owner is told.

import { Socket } from 'node:net';
import { getSystemErrorName } from 'node:util';
import { type ByteStream, NOBODY, type StreamFault, type StreamOwner } from './byte-stream.ts';
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

const COMMANDS = 8192; // octets of a read: many commands, and few where one only floods
const MAIL_DATA = 65_536;
const SMALL = 16_384; // octets that are copied rather than lent, so that a few of them never keep 64 KiB
const UNHEARD = 16; // chunks that wait for a paused owner
const BUFFERS = 256; // of MAIL_DATA octets; who gets none copies

const common = Buffer.allocUnsafeSlow(COMMANDS);
const spare: Buffer[] = [];
let inUse = 0; // buffers that a stream reads into, or lent

export class HandleStream implements ByteStream, HandleReader {
  owner: StreamOwner = NOBODY;
  reads: ByteStream['reads'] = 'to keep';
  isPaused = true;
  isEnded = false;
  isGone = false;
  remotePort = 0;
  /** Octets that a handle which takes its time with every write may owe the kernel before it counts as full. */
  protected readonly room: number = 0;
  readonly #handle: TcpHandle;
  #isReading = false;
  #stopsSoon = false; // with the next octets: to stop and to go on are two system calls, and mostly none come meanwhile
  #hasBegun = false;
  #into: Buffer = common; // what the handle reads into: that, or a buffer of its own
  #lent: Buffer | null = null;
  #unheard: Buffer[] = [];
  #unheardOctets = 0;
  #endUnheard = false;
  #isWriting = false; // the handle has not taken all
  #behind: Uint8Array[] = []; // that
  #isFull = false; //    and the owner waits to hear that it has
  #endDue = false;
  #closed: (() => void)[] | null = []; // null: it is

  constructor(handle: TcpHandle) {
    this.#handle = handle;
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
    return this.#unheard.length > 0;
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
    this.#stopsSoon = atOnce;
    if (this.#readsByTheMegabyte) this.#stop();
    else if (atOnce) return;
    else if (this.#hasBegun && this.#unheard.length === 0) this.#start();
  }

  resume(): void {
    if (!this.isPaused || this.isGone) return;
    this.isPaused = false;
    this.#stopsSoon = false;
    if (this.#unheard.length > 0 || this.#endUnheard) process.nextTick(hearRest, this);
    else this.#start();
  }

  write(chunk: Uint8Array): boolean {
    if (this.isGone || this.#endDue) return true;
    if (!this.#isWriting) this.#write(chunk);
    else if (this.unsent + chunk.length > this.room) this.#behind.push(chunk);
    else this.#behind.push(Buffer.from(chunk));
    this.#isFull = this.#isWriting && this.unsent > this.room;
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

  /** Nothing more is written. Where the peer has ended it too, it is over. */
  #finish(): void {
    if (this.isEnded) this.isOver(null);
    else this.shutDown();
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
    if (this.#into !== common) this.#handle.useUserBuffer(common); // what it has is another stream's from now on
    this.#leave();
    this.#handle.reader = null;
    const begun = this.#hasBegun ? { pauseOnCreate: true } : { manualStart: true };
    const socket = new Socket({ handle: this.#handle, allowHalfOpen: true, ...begun } as object);
    if (this.#unheard.length > 0) socket.unshift(Buffer.concat(this.#unheard));
    if (this.isEnded || this.#endUnheard) socket.push(null);
    socket.once('close', () => this.#hasClosed());
    return socket;
  }

  // ---------------------------------------------------------------- what the handle says

  read(octets: number): Buffer | undefined {
    const into = this.#into;
    const chunk = into.subarray(0, octets);
    if (this.isPaused || this.#unheard.length > 0) {
      // what came before it is heard before it
      this.#unheard.push(Buffer.from(chunk));
      this.#unheardOctets += octets;
      if (this.#stopsSoon || this.#unheardOctets >= COMMANDS || this.#unheard.length >= UNHEARD) this.#stop();
    } else if (this.reads === 'to forget' || (this.reads === 'commands' && into === common)) this.#hear(chunk, null);
    else if (into === common || octets < SMALL) this.#hear(Buffer.from(chunk), null);
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

  get #readsByTheMegabyte(): boolean {
    return this.reads === 'mail data' || this.reads === 'to forget';
  }

  /** What is read into next: never what is lent. Undefined: as it was. */
  #nextBuffer(): Buffer | undefined {
    const before = this.#into;
    const isOurs = before !== common && before !== this.#lent;
    const isMailData = this.reads === 'mail data';
    if (!isMailData && isOurs) putBack(before);
    if (!isMailData) this.#into = common;
    else if (!isOurs) this.#into = takeBuffer();
    if (!isMailData || !this.isPaused) this.#forgetLent();
    return this.#into === before ? undefined : this.#into;
  }

  /** Whoever keeps it has it for good. */
  #forgetLent(): void {
    if (this.#lent !== null) inUse--;
    this.#lent = null;
  }

  /** The peer ended it, or the connection broke. */
  readFailed(status: number): void {
    if (status !== EOF) this.lost(status, 'read');
    else if (this.#unheard.length > 0) this.#endUnheard = true;
    else this.#hearEnd();
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
      this.lost(status, 'write');
      return;
    }
    const behind = this.#behind;
    if (behind.length > 0) {
      this.#behind = [];
      this.#write(behind.length === 1 ? (behind[0] as Uint8Array) : Buffer.concat(behind));
    }
    if (this.#isWriting && (this.#endDue || this.unsent > this.room)) return;
    if (this.#endDue) this.#finish();
    else if (this.#isFull) this.#hasDrained();
  }

  #hasDrained(): void {
    this.#isFull = false;
    this.owner.drained();
  }

  hearRest(): void {
    if (this.isPaused || this.isGone) return;
    const chunks = this.#unheard;
    this.#unheard = [];
    this.#unheardOctets = 0;
    if (chunks.length > 0) this.#hear(chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks), null);
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
    if (this.#into !== common && this.#into !== this.#lent) putBack(this.#into);
    this.#into = common;
    this.#forgetLent();
    this.owner = NOBODY;
  }

  #hasClosed(): void {
    const waiting = this.#closed ?? [];
    this.#closed = null;
    for (const then of waiting) then();
  }
}

/** `common` where there is none. */
function takeBuffer(): Buffer {
  if (inUse >= BUFFERS) return common;
  inUse++;
  return spare.pop() ?? Buffer.allocUnsafeSlow(MAIL_DATA);
}

function putBack(buffer: Buffer): void {
  inUse--;
  spare.push(buffer);
}

/** These octets for longer than the call in which a client's commands were heard: a copy, where they stand in memory that all read into. */
export function kept(octets: Buffer): Buffer {
  return octets.buffer === common.buffer ? Buffer.from(octets) : octets;
}

/** Both ends of a connection, as the system names them. */
export interface SocketEnds {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
}

function hearRest(stream: HandleStream): void {
  stream.hearRest();
}

function readFailed(stream: HandleStream, status: number): void {
  stream.readFailed(status);
}

function writeFailed(stream: HandleStream, status: number): void {
  stream.lost(status, 'write');
}
