// The floor of Node: its bare TCP handles, without streams: one write for each read, nothing parsed.
//
//   node bench/rawpipe.ts LISTEN UPSTREAM      (ports)
//
// A peer to measure against, never a fallback of the firewall. What it uses is private to Node, and nothing is checked. One
// buffer for each direction is read into again and again: nothing is read while a write of it is under way.

interface Handle {
  twin: Handle | null;
  buffer: Uint8Array;
  halfClosed: boolean;
  onread: (this: Handle) => void;
  onconnection: (error: number, client: Handle) => void;
  bind(address: string, port: number): number;
  listen(backlog: number): number;
  connect(request: Request, address: string, port: number): number;
  setNoDelay(on: boolean): void;
  useUserBuffer(buffer: Uint8Array): void;
  readStart(): void;
  readStop(): void;
  writeBuffer(request: Request, chunk: Uint8Array): number;
  shutdown(request: Request): number;
  close(): void;
}

interface Request {
  oncomplete: (status: number) => void;
}

type Binding = Record<string, unknown>;
const { binding } = process as unknown as { binding(name: string): Binding };
const tcp = binding.call(process, 'tcp_wrap');
const stream = binding.call(process, 'stream_wrap');
const TCP = tcp.TCP as new (kind: number) => Handle;
const { SERVER, SOCKET } = tcp.constants as { SERVER: number; SOCKET: number };
const ConnectRequest = tcp.TCPConnectWrap as new () => Request;
const WriteRequest = stream.WriteWrap as new () => Request;
const ShutdownRequest = stream.ShutdownWrap as new () => Request;
const state = stream.streamBaseState as Int32Array;
const READ = stream.kReadBytesOrError as number;
const WRITE_GOES_ON = stream.kLastWriteWasAsync as number;
const EOF = -4095;
const CHUNK = 65_536;

const [listen = 0, upstream = 0] = process.argv.slice(2).map(Number);
let spare = new WriteRequest();

function end(handle: Handle): void {
  const { twin } = handle;
  if (twin === null) return; // both are gone
  handle.twin = null;
  twin.twin = null;
  handle.close();
  twin.close();
}

function onRead(this: Handle): void {
  const octets = state[READ] ?? 0;
  const { twin } = this;
  if (twin === null || octets === 0) return;
  if (octets === EOF) halfClose(this, twin);
  else if (octets < 0 || !handOn(this, twin, this.buffer.subarray(0, octets))) end(this);
}

/** False when the twin takes nothing any more. */
function handOn(from: Handle, to: Handle, chunk: Uint8Array): boolean {
  const request = spare;
  if (to.writeBuffer(request, chunk) !== 0) return false;
  if (state[WRITE_GOES_ON] === 0) return true;
  spare = new WriteRequest();
  from.readStop();
  request.oncomplete = (status) => {
    if (status !== 0) end(from);
    else if (from.twin !== null) from.readStart();
  };
  return true;
}

function halfClose(from: Handle, to: Handle): void {
  from.halfClosed = true;
  const request = new ShutdownRequest();
  request.oncomplete = () => {
    if (to.halfClosed) end(from);
  };
  if (to.shutdown(request) !== 0) end(from);
}

function prepare(handle: Handle, twin: Handle): void {
  handle.twin = twin;
  handle.halfClosed = false;
  handle.buffer = Buffer.allocUnsafeSlow(CHUNK);
  handle.useUserBuffer(handle.buffer);
  handle.onread = onRead;
  handle.setNoDelay(true);
}

const server = new TCP(SERVER);
server.onconnection = (error, client) => {
  if (error !== 0) return;
  const there = new TCP(SOCKET);
  const request = new ConnectRequest();
  request.oncomplete = (status) => {
    prepare(client, there);
    prepare(there, client);
    if (status !== 0) {
      end(client);
      return;
    }
    client.readStart();
    there.readStart();
  };
  if (there.connect(request, '127.0.0.1', upstream) !== 0) client.close();
};
if (server.bind('127.0.0.1', listen) !== 0 || server.listen(4096) !== 0) throw new Error(`cannot listen on ${listen}`);
