// Node's own TCP handles: what a net.Socket stands on, without it. The only file that uses what Node does not document.
//
// `handles` is null where Node's look otherwise than here, on Windows, whose handles nobody has tried, or where POSTERN_SOCKETS=plain
// says so: then everything goes through net.Socket (socket-stream.ts). Not here: what is done with a handle (handle-stream.ts).

import { isIP, type Server, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { StreamFault } from './byte-stream.ts';

/** Errors are negative numbers, as libuv has them; 0 is none. */
export interface TcpHandle {
  reader: HandleReader | null;
  onread: (this: TcpHandle) => Uint8Array | undefined;
  readonly writeQueueSize: number;
  readStart(): number;
  readStop(): number;
  /** Reads go there from now on, until `read` says elsewhere. */
  useUserBuffer(buffer: Uint8Array): void;
  writeBuffer(request: WriteRequest, chunk: Uint8Array): number;
  shutdown(request: object): number;
  close(closed: () => void): void;
  reset(closed: () => void): number;
  setNoDelay(on: boolean): void;
  getpeername(name: HandleName): number;
  getsockname(name: HandleName): number;
}

/** What TLS is spoken by: octets are in the clear on this side. */
export interface TlsHandle extends TcpHandle {
  onerror: (error: StreamFault) => void;
}

/** Filled in by the handle. */
export interface HandleName {
  address?: string;
  port?: number;
}

export interface HandleReader {
  /** So many octets are in the buffer; where the next ones go, when that is elsewhere. */
  read(octets: number): Uint8Array | undefined;
  /** EOF or an error. */
  readFailed(status: number): void;
  written(status: number): void;
}

interface ConnectRequest {
  answered: (status: number) => void;
  /** One function for all: where each request had a closure of its own here, every connection that was over lived until the old
   * memory was collected (Node 24.21), and was copied by each scavenge before. */
  oncomplete: (this: ConnectRequest, status: number) => void;
}

interface WriteRequest {
  reader: HandleReader;
  chunk: Uint8Array | null; // kept while the kernel has not taken it
  oncomplete: (this: WriteRequest, status: number) => void;
}

export const EOF = -4095; // UV_EOF

interface Handles {
  readonly TCP: { new (kind: number): TcpHandle; readonly prototype: object };
  readonly SOCKET: number;
  readonly TCPConnectWrap: new () => ConnectRequest;
  readonly WriteWrap: new () => WriteRequest;
  readonly ShutdownWrap: new () => { oncomplete: () => void };
  /** About the call that is going on or was the last. */
  readonly state: Int32Array;
  readonly octetsOrError: number; // where in it
  readonly goesOn: number; //        a write
}

const READ_AND_WRITE = ['readStart', 'readStop', 'useUserBuffer', 'writeBuffer'];
const METHODS = [...READ_AND_WRITE, 'shutdown', 'close', 'reset', 'setNoDelay'];

function find(): Handles | null {
  if (process.env.POSTERN_SOCKETS === 'plain' || process.platform === 'win32') return null;
  try {
    const { binding } = process as unknown as { binding(name: string): Record<string, unknown> };
    const { TCP, TCPConnectWrap, constants } = binding.call(process, 'tcp_wrap');
    const stream = binding.call(process, 'stream_wrap');
    const found = {
      TCP,
      SOCKET: (constants as Record<string, unknown>).SOCKET,
      TCPConnectWrap,
      WriteWrap: stream.WriteWrap,
      ShutdownWrap: stream.ShutdownWrap,
      state: stream.streamBaseState,
      octetsOrError: stream.kReadBytesOrError,
      goesOn: stream.kLastWriteWasAsync,
    } as Handles;
    const { prototype } = found.TCP as { prototype: Record<string, unknown> };
    const fits =
      found.state instanceof Int32Array &&
      [found.octetsOrError, found.goesOn].every((at) => Number.isInteger(at) && at < found.state.length) &&
      [found.TCPConnectWrap, found.WriteWrap, found.ShutdownWrap].every((made) => typeof made === 'function') &&
      [...METHODS, 'connect', 'connect6', 'getpeername', 'getsockname'].every((name) => name in prototype);
    return fits ? found : null;
  } catch {
    return null;
  }
}

const handles = find();
export const HAS_HANDLES = handles !== null;

function known(): Handles {
  if (handles === null) throw new Error('the handles of this Node are not known');
  return handles;
}

/** Begins to connect; `answered` is called once, with an error or 0, and not before this returns. */
export function connectHandle(address: string, port: number, answered: (status: number) => void): TcpHandle {
  const { TCP, SOCKET, TCPConnectWrap } = known();
  const handle = new TCP(SOCKET) as TcpHandle & Record<'connect' | 'connect6', (...args: unknown[]) => number>;
  const request = new TCPConnectWrap();
  request.answered = answered;
  request.oncomplete = onConnected;
  const status = handle[isIP(address) === 6 ? 'connect6' : 'connect'](request, address, port);
  if (status !== 0) process.nextTick(answered, status);
  return handle;
}

function onConnected(this: ConnectRequest, status: number): void {
  this.answered(status);
}

/** What the handle reads goes to this reader. */
export function readBy(handle: TcpHandle, reader: HandleReader): void {
  handle.reader = reader;
  handle.onread = onRead;
}

function onRead(this: TcpHandle): Uint8Array | undefined {
  const { state, octetsOrError } = handles as Handles;
  const found = state[octetsOrError] as number;
  if (this.reader === null || found === 0) return undefined;
  if (found > 0) return this.reader.read(found);
  this.reader.readFailed(found);
  return undefined;
}

let spare = handles === null ? null : newRequest(handles); // most writes are over when the call returns

function newRequest({ WriteWrap }: Handles): WriteRequest {
  const request = new WriteWrap();
  request.oncomplete = onWritten;
  return request;
}

/** 0: the kernel has it. 1: not all of it, the reader hears when it is `written`, and until then the chunk must stay as it is. TLS
 * whose connection is broken says 1 as well, and tells the reader of its failure before this returns. */
export function write(handle: TcpHandle, chunk: Uint8Array): number {
  const { state, goesOn } = handles as Handles;
  const request = spare as WriteRequest;
  request.reader = handle.reader as HandleReader;
  const status = handle.writeBuffer(request, chunk);
  if (status === 0 && state[goesOn] === 0) return 0;
  spare = newRequest(handles as Handles);
  if (status !== 0) return status;
  request.chunk = chunk;
  return 1;
}

function onWritten(this: WriteRequest, status: number): void {
  this.chunk = null;
  this.reader.written(status);
}

/** FIN behind what was written. */
export function shutDown(handle: TcpHandle): void {
  const request = new (known().ShutdownWrap)();
  request.oncomplete = nothing;
  handle.shutdown(request);
}

function nothing(): void {}

/** What a socket stands on; null where that is not as known here. */
export function handleOf(socket: Socket): TcpHandle | null {
  const { _handle: handle } = socket as unknown as { _handle: TcpHandle | null };
  return handles !== null && handle instanceof handles.TCP ? handle : null;
}

export function tlsHandleOf(socket: TLSSocket): TlsHandle | null {
  const { _handle: handle } = socket as unknown as { _handle: TlsHandle | null };
  const has = (name: string): boolean => typeof (handle as Record<string, unknown> | null)?.[name] === 'function';
  return handles !== null && [...READ_AND_WRITE, 'onerror'].every(has) ? handle : null;
}

/** Has `take` called with each client of a server that listens; false where that cannot be had. */
export function takeHandles(server: Server, take: (client: TcpHandle) => void): boolean {
  const { _handle: listening } = server as unknown as {
    _handle: { onconnection(this: unknown, error: number, client?: TcpHandle): void } | null;
  };
  const usual = listening?.onconnection;
  if (handles === null || listening === null || typeof usual !== 'function') return false;
  listening.onconnection = function onConnection(error, client): void {
    if (error !== 0 || client === undefined) usual.call(this, error, client);
    else take(client);
  };
  return true;
}
