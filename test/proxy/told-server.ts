// A mail server that is told who the client is, and speaks TLS if it is asked to: what it offers and answers is the test's.
//
// It writes down every line that it hears, per connection, those inside TLS behind a `(TLS)`; and the octets of a PROXY
// header apart. It accepts whatever is said.

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { createSecureContext, type SecureContextOptions, TLSSocket } from 'node:tls';
import type { Endpoint } from '../../src/proxy/address.ts';
import type { Certificate } from '../real/certificates.ts';

export interface ToldServerOptions {
  readonly greeting?: string;
  /** Offered in clear text; inside TLS the same but STARTTLS. */
  readonly keywords?: readonly string[];
  /** Reply to lines that begin so; else 250, and what STARTTLS and XCLIENT want. */
  readonly replies?: Readonly<Record<string, string>>;
  readonly certificate?: Certificate;
  readonly secure?: SecureContextOptions;
  /** TLS from the first octet on. */
  readonly implicit?: boolean;
  /** Said in clear text right behind the 220 to STARTTLS. */
  readonly injected?: string;
  /** A PROXY header of version 1 or 2 is read first. */
  readonly proxied?: boolean;
  /** What becomes of a handshake: it hangs up, or stays silent. */
  readonly handshake?: 'hangs up' | 'stays silent';
}

export interface ToldServer {
  readonly at: Endpoint;
  readonly heard: string[][];
  readonly proxyHeaders: Buffer[];
  /** What SNI said, per handshake. */
  readonly names: (string | false | null)[];
}

export async function toldServer(t: TestContext, options: ToldServerOptions = {}): Promise<ToldServer> {
  const heard: string[][] = [];
  const proxyHeaders: Buffer[] = [];
  const names: ToldServer['names'] = [];
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    const lines: string[] = [];
    heard.push(lines);
    sockets.add(socket);
    socket.on('error', () => {});
    if (options.implicit) secure(socket, lines, true);
    else serve(socket, lines, true);
  });

  const secure = (plain: Socket, lines: string[], greets: boolean): void => {
    if (options.handshake === 'hangs up') plain.destroy();
    if (options.handshake !== undefined) return;
    const { cert, key } = options.certificate ?? { cert: '', key: '' };
    const context = { cert: readFileSync(cert), key: readFileSync(key), ...options.secure };
    const socket = new TLSSocket(plain, { isServer: true, secureContext: createSecureContext(context) });
    socket.on('error', () => {});
    socket.once('secure', () => names.push((socket as TLSSocket & { servername?: string }).servername ?? null));
    lines.push('(TLS)');
    serve(socket, lines, greets);
  };

  const serve = (socket: Socket, lines: string[], greets: boolean): void => {
    const say = (text: string): void => void socket.write(`${text}\r\n`, 'latin1');
    let text = '';
    const read = (chunk: Buffer): void => {
      text += chunk.toString('latin1');
      for (let end = text.indexOf('\r\n'); end !== -1; end = text.indexOf('\r\n')) {
        const line = text.slice(0, end);
        text = text.slice(end + 2);
        lines.push(line);
        answer(line);
      }
    };
    const answer = (line: string): void => {
      const own = Object.entries(options.replies ?? {}).find(([start]) => line.startsWith(start))?.[1];
      if (own !== undefined) say(own);
      else if (line.startsWith('EHLO ')) say(ehlo(socket instanceof TLSSocket));
      else if (line === 'STARTTLS') {
        socket.off('data', read);
        socket.write(`220 2.0.0 go ahead\r\n${options.injected ?? ''}`, 'latin1');
        secure(socket, lines, false);
      } else if (line.startsWith('XCLIENT ')) say('220 told.example knows you now');
      else if (line === 'QUIT') socket.end('221 2.0.0 bye\r\n');
      else say('250 2.0.0 ok');
    };
    socket.on('data', read);
    if (greets) say(options.greeting ?? '220 told.example ESMTP');
  };

  const ehlo = (inside: boolean): string => {
    const keywords = (options.keywords ?? []).filter((keyword) => !inside || keyword !== 'STARTTLS');
    const all = ['told.example', ...keywords];
    return all.map((line, at) => `250${at === all.length - 1 ? ' ' : '-'}${line}`).join('\r\n');
  };

  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  const outer = options.proxied ? await headerReader(t, port, proxyHeaders) : port;
  return { at: { address: '127.0.0.1', port: outer }, heard, proxyHeaders, names };
}

/** Takes the PROXY header off what comes, and hands on the rest to `port`; its own port. */
async function headerReader(t: TestContext, port: number, headers: Buffer[]): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    const inner = connect({ port, host: '127.0.0.1', noDelay: true });
    for (const one of [socket, inner]) sockets.add(one.on('error', () => {}));
    socket.once('data', (chunk: Buffer) => {
      const length = headerLength(chunk);
      headers.push(chunk.subarray(0, length));
      if (length < chunk.length) inner.write(chunk.subarray(length));
      socket.pipe(inner).pipe(socket);
    });
  });
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return (server.address() as AddressInfo).port;
}

function headerLength(chunk: Buffer): number {
  return chunk[0] === 0x0d ? 16 + chunk.readUInt16BE(14) : chunk.indexOf('\r\n') + 2;
}
