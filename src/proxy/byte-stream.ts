// One end of a TCP connection as the relay needs it: octets come in by a call and go out at once.
//
// RFC 9293 calls what TCP carries a byte stream. There are two kinds: handle-stream drives Node's own TCP handles and costs half
// as much; socket-stream is the same over a net.Socket, for TLS and for a Node whose handles look otherwise. Whoever owns a stream
// knows only what stands here.

import type { Socket } from 'node:net';

/** Why a connection broke. An Error is one; to make one, with its stack, costs more than all else about a reset. */
export interface StreamFault {
  /** The system's, as ECONNRESET. */
  readonly code?: string | undefined;
  readonly message: string;
}

/** Who hears a stream. It may be another one at any time (`owner`); nobody hears what was said to the one before. */
export interface StreamOwner {
  /** Octets came. How long they stay as they are is what `reads` says. */
  heard(chunk: Buffer): void;
  /** The peer will send no more. */
  ended(): void;
  /** All that was written is with the kernel, after a write that said it was not. */
  drained(): void;
  /** It is gone, and this is the last that is heard of it. `fault`: why, where it was not simply closed. */
  lost(fault: StreamFault | null): void;
}

/** Both ends of a connection, as the system names them. */
export interface SocketEnds {
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
}

export interface ByteStream {
  owner: StreamOwner;
  readonly isPaused: boolean;
  /** The peer said that it will send no more, and all that it sent was heard. */
  readonly isEnded: boolean;
  /** Destroyed, reset or lost. */
  readonly isGone: boolean;
  /** Octets came that the owner, who paused it, has not heard. */
  readonly hasUnheard: boolean;
  /** Octets that were written and are not with the kernel. */
  readonly unsent: number;
  /** Of the peer; 0 when it is not connected. */
  readonly remotePort: number;
  /** Ours; empty when it is not connected. */
  readonly localAddress: string;
  /** How it reads, and what the owner may do with a chunk: keep it; keep nothing of it behind the call (`kept` is what makes a
   * copy); have it until it gives it back; keep nothing, and have it read as it comes. */
  reads: 'to keep' | 'commands' | 'mail data' | 'to forget';
  /** The chunk that was heard last is memory that is read into again once it was given back, and never before. */
  readonly isLending: boolean;
  /** Nothing of that chunk is kept. */
  giveBack(): void;

  /** False: not all of it is with the kernel, `drained` follows; until then it is not to be written over. */
  write(chunk: Uint8Array): boolean;
  /** A little more is read, and waits, so that it is noticed when the peer hangs up. `atOnce`: no more than comes next, for a moment. */
  pause(atOnce?: boolean): void;
  resume(): void;
  /** FIN behind what was written. */
  end(): void;
  /** FIN, and nothing is read any more; what was written and is not with the kernel is lost. */
  destroy(): void;
  /** RST, so that it costs no port. */
  reset(): void;
  /** Calls back when the system has let go of it. */
  whenClosed(then: () => void): void;
  /** As a net.Socket, for TLS over it. The stream is gone then, and what was not heard comes out of the socket. */
  toSocket(): Socket;
}

/** A stream that nobody hears. */
export const NOBODY: StreamOwner = { heard() {}, ended() {}, drained() {}, lost() {} };

const SMALL = 8192; // octets that are copied more quickly than they are written one by one

/** Replies in one segment where they fit; mail data as it came. */
export function writeAll(stream: ByteStream, chunks: readonly Uint8Array[]): boolean {
  if (chunks.length === 1) return stream.write(chunks[0] as Uint8Array);
  let octets = 0;
  for (const { length } of chunks) octets += length;
  if (octets <= SMALL * chunks.length) return stream.write(Buffer.concat(chunks, octets));
  let room = true;
  for (const chunk of chunks) room = stream.write(chunk) && room;
  return room;
}

export function setPaused(stream: ByteStream, paused: boolean, atOnce = false): void {
  if (paused) stream.pause(atOnce);
  else if (stream.isPaused) stream.resume();
}
