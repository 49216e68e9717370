// A TCP handle in the hand of a test: what comes in, and how many octets the kernel takes, is said by the test.
//
// It does what Node's does (stream_base.cc, stream_wrap.cc): reads go into the buffer of the listener that came last, and what
// `onread` returns is the next buffer of the listener that heard it. What the kernel has not taken is not copied: it is looked at
// again when there is room, in the very memory that was written, as libuv would. Two rules are asserted over all handles: memory
// that is still on its way is never read into, and no two have the same memory to read into but that which all have.
// One that speaks TLS encrypts what is written at once, into memory of its own, and says at the next turn at the earliest that it is done;
// but that a write failed it says within the call (tls_wrap.cc).

import assert from 'node:assert/strict';
import { kept } from '../../../src/proxy/read-buffers.ts';
import type { HandleReader, TcpHandle } from '../../../src/proxy/tcp-handles.ts';

type Request = Parameters<TcpHandle['writeBuffer']>[0];

interface State {
  readonly streamBaseState: Int32Array;
  readonly kReadBytesOrError: number;
  readonly kLastWriteWasAsync: number;
}

const { binding } = process as unknown as { binding(name: string): unknown };
const { streamBaseState: state, kReadBytesOrError, kLastWriteWasAsync } = binding.call(process, 'stream_wrap') as State;

const EOF = -4095;
const EINVAL = -22;
export const ECONNRESET = -104;
const ECANCELED = -125;

/** Whose writes go on. */
const onTheirWay = new Set<FakeHandle>();
/** A view of the memory that all read into: it is copied where it is kept. */
const isCommon = (octets: Uint8Array): boolean => kept(octets as Buffer) !== octets;
/** Whose memory it is to read into. */
const owners = new Map<ArrayBufferLike, FakeHandle>();

export class FakeHandle implements TcpHandle {
  reader: HandleReader | null = null;
  onread!: TcpHandle['onread'];
  isReading = false;
  isClosed = false;
  /** It was sent a FIN. */
  isShutDown = false;
  wasReset = false;
  /** Hears each octet that the kernel takes. */
  readonly #taken: (octets: Buffer) => void;
  readonly #buffers: Uint8Array[] = []; // of the listeners
  #room = 0;
  #isBroken = false;
  #isShutting = false;
  #request: Request | null = null;
  #left: Uint8Array = Buffer.alloc(0); // of what is written

  readonly #isTls: boolean;

  constructor(taken: (octets: Buffer) => void = () => {}, isTls = false) {
    this.#taken = taken;
    this.#isTls = isTls;
  }

  /** How often its buffer was given anew, not as the answer to a read. */
  get listeners(): number {
    return this.#buffers.length;
  }

  /** What is written and not taken. */
  get writeQueueSize(): number {
    return this.#left.length;
  }

  /** The peer says these octets; those that were read. */
  says(octets: Buffer): number {
    if (!this.isReading || octets.length === 0) return 0;
    const listener = this.#buffers.length - 1;
    const into = this.#buffers[listener] as Uint8Array;
    const isOnItsWay = [...onTheirWay].some((handle) => handle.#left.buffer === into.buffer);
    assert.ok(!isOnItsWay, 'read into memory that is still on its way');
    const length = octets.copy(into, 0, 0, into.length);
    state[kReadBytesOrError] = length;
    const next = this.onread();
    if (next !== undefined && !this.isClosed) this.#give(listener, next);
    return length;
  }

  #give(listener: number, next: Uint8Array): void {
    const before = this.#buffers[listener];
    if (before !== undefined) owners.delete(before.buffer);
    this.#buffers[listener] = next;
    if (isCommon(next)) return;
    assert.equal(owners.get(next.buffer), undefined, 'two read into the same memory');
    owners.set(next.buffer, this);
  }

  /** The peer sends its FIN, or is gone: an error of the system's. */
  ends(status = EOF): void {
    if (!this.isReading) return;
    this.isReading = false;
    state[kReadBytesOrError] = status;
    this.onread();
  }

  /** The kernel takes so many more octets, and then none. */
  takes(octets: number): void {
    this.#room = octets;
    if (this.#request === null) return;
    this.#take();
    if (this.#left.length === 0) this.#writtenSoon();
  }

  #writtenSoon(): void {
    if (!this.#isTls) this.#isWritten(0);
    else setImmediate(() => this.#request !== null && this.#left.length === 0 && this.#isWritten(0));
  }

  /** The connection breaks: the write that goes on fails, and every one behind it. */
  breaks(): void {
    this.#isBroken = true;
    if (this.#request !== null) this.#isWritten(ECONNRESET);
  }

  #take(): void {
    const octets = Buffer.from(this.#left.subarray(0, this.#room)); // a copy: as it is now
    this.#left = this.#left.subarray(octets.length);
    this.#room -= octets.length;
    if (octets.length > 0) this.#taken(octets);
  }

  #isWritten(status: number): void {
    const request = this.#request as Request;
    this.#request = null;
    this.#left = Buffer.alloc(0);
    onTheirWay.delete(this);
    request.oncomplete(status);
  }

  writeBuffer(request: Request, chunk: Uint8Array): number {
    assert.ok(!this.isClosed && this.#request === null, 'one write at a time');
    if (this.#isBroken && this.#isTls) {
      state[kLastWriteWasAsync] = 1;
      request.oncomplete?.(ECONNRESET); // within the call, and Node looks whether there is one
      return 0;
    }
    if (this.#isBroken) return ECONNRESET;
    this.#left = this.#isTls ? Buffer.from(chunk) : chunk;
    this.#take();
    const goesOn = this.#isTls || this.#left.length > 0;
    state[kLastWriteWasAsync] = goesOn ? 1 : 0;
    if (goesOn) {
      this.#request = request;
      onTheirWay.add(this);
      if (this.#left.length === 0) this.#writtenSoon();
    }
    return 0;
  }

  readStart(): number {
    if (!this.isClosed) this.isReading = true;
    return 0;
  }

  readStop(): number {
    this.isReading = false;
    return 0;
  }

  useUserBuffer(buffer: Uint8Array): void {
    this.#give(this.#buffers.length, buffer);
  }

  shutdown(): number {
    this.isShutDown = true;
    this.#isShutting = true;
    setImmediate(() => {
      this.#isShutting = false;
    });
    return 0;
  }

  close(closed: () => void): void {
    if (this.isClosed) return; // as Node: nobody is called back
    this.isClosed = true;
    this.isReading = false;
    for (const { buffer } of this.#buffers) if (owners.get(buffer) === this) owners.delete(buffer);
    setImmediate(() => {
      if (this.#request !== null) this.#isWritten(ECANCELED);
      closed();
    });
  }

  reset(closed: () => void): number {
    if (this.isClosed) return 0;
    if (this.#isShutting) {
      this.isClosed = true; // as Node believes, while libuv will not: its descriptor is lost
      return EINVAL;
    }
    this.close(closed);
    this.wasReset = true;
    return 0;
  }

  setNoDelay(): void {}

  getpeername(name: { address?: string; port?: number }): number {
    Object.assign(name, { address: '192.0.2.1', port: 40_000 });
    return 0;
  }

  getsockname(name: { address?: string; port?: number }): number {
    Object.assign(name, { address: '127.0.0.1', port: 25 });
    return 0;
  }
}
