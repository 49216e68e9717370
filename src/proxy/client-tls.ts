// TLS towards clients: one listener's certificates, and the handshake of a socket that was plain until now.
//
// The handshake is Node's: a tls.Server that never listens is handed the plain socket, which its documentation allows.
// It tells its outcomes as events of its own, so that an attempt is found again by the two ends of its connection. What
// is fixed here: a client may not renegotiate (it is free work for an attacker), no ALPN (SMTP has none), an absolute
// deadline (the server's own is prolonged by every octet), and a certificate that the client shows is asked for where a
// CA says who vouches for it, and never demanded.
// Not here: when a handshake is due (the session says), and what the names of a certificate allow (the policy does).

import { constants, createHash, randomBytes, X509Certificate } from 'node:crypto';
import type { Socket } from 'node:net';
import {
  createSecureContext,
  createServer,
  DEFAULT_CIPHERS,
  type SecureContext,
  type SecureContextOptions,
  type SecureVersion,
  type Server,
  type TLSSocket,
} from 'node:tls';
import type { Handshake } from '../smtp/types.ts';
import type { ByteStream } from './byte-stream.ts';
import { certificateNames } from './certificate-names.ts';
import { secureStream } from './tls-stream.ts';

/** What a listener shows to its clients, and asks of them. Texts are PEM. */
export interface Credentials {
  /** The first is shown to who names no server, or one that none of them holds. */
  readonly certificates: readonly { readonly cert: string; readonly key: string }[];
  /** Who vouches for client certificates; null: none is asked for. */
  readonly clientCa: string | null;
  readonly minVersion: SecureVersion;
}

export const NO_CREDENTIALS: Credentials = { certificates: [], clientCa: null, minVersion: 'TLSv1.2' };

/** The end of a handshake; with it the encrypted stream where it is complete. A socket without is gone. */
export type Ended = (handshake: Handshake, stream: ByteStream | null) => void;

type Pending = (handshake: Handshake, socket: TLSSocket | null) => void;

const HUNG_UP = 'the client closed the connection';
/** Tickets outlive a reload: who has one resumes. They are good for as long as this process, and for one client CA only. */
export function newTicketKeys(): Uint8Array {
  return randomBytes(48);
}

let ticketKeysHere: Uint8Array | null = null;

/** Of this thread, which nobody has handed any. */
function ownTicketKeys(): Uint8Array {
  ticketKeysHere ??= newTicketKeys();
  return ticketKeysHere;
}

export class ClientTls {
  readonly #timeout: number;
  readonly #ticketKeys: Uint8Array | undefined;
  readonly #pending = new Map<string, Pending>();
  #server: Server | null = null;
  #authority: string | null = null;

  /** `timeout`: milliseconds that a handshake may take. Throws what OpenSSL does not accept. */
  constructor(credentials: Credentials, timeout: number, ticketKeys?: Uint8Array) {
    this.#timeout = timeout;
    this.#ticketKeys = ticketKeys;
    this.replace(credentials);
  }

  /** There is a certificate to show. */
  get isAble(): boolean {
    return this.#server !== null;
  }

  /** For handshakes from now on. Throws what OpenSSL does not accept, and then nothing has changed. */
  replace(credentials: Credentials): void {
    this.#server = credentials.certificates.length === 0 ? null : this.#serverFor(credentials);
    this.#authority = credentials.clientCa;
  }

  /** Who vouches for client certificates now. */
  get authority(): string | null {
    return this.#authority;
  }

  /** Begins; `ended` is called once, never before this returns. The function returned gives up, and then it is not. */
  secure(client: Socket, ended: Ended): () => void {
    const key = endsOf(client);
    if (key === null) client.destroy();
    const vouched = this.#authority;
    const finish: Pending = (handshake, socket) => {
      stop();
      if (socket === null) client.destroy();
      ended(
        vouched === this.#authority ? handshake : unvouched(handshake),
        socket === null ? null : secureStream(socket, client),
      );
    };
    const closed = (): void => finish({ result: 'failed', why: HUNG_UP }, null);
    const late = (): void => finish({ result: 'timeout', why: 'the handshake took too long' }, null);
    const timer = setTimeout(late, this.#timeout);
    const stop = (): void => {
      clearTimeout(timer);
      client.off('close', closed);
      if (key !== null && this.#pending.get(key) === finish) this.#pending.delete(key);
    };
    if (key === null || client.destroyed) {
      client.once('close', closed);
    } else {
      this.#pending.set(key, finish);
      client.once('close', closed);
      client.on('error', () => {}); // 'close' follows
      client.allowHalfOpen = false; // nobody shakes hands with one hand
      if (this.#server === null) client.destroy();
      else this.#server.emit('connection', client);
    }
    return () => {
      stop();
      client.destroy();
    };
  }

  /** Ends every handshake that goes on. */
  giveUp(): void {
    for (const finish of [...this.#pending.values()]) finish({ result: 'failed', why: 'the firewall is ending' }, null);
  }

  #serverFor(credentials: Credentials): Server {
    const contexts = credentials.certificates.map((certificate) => {
      const options = contextOptions(credentials, certificate, this.#ticketKeys ?? ownTicketKeys());
      return { options, holder: new X509Certificate(certificate.cert), context: createSecureContext(options) };
    });
    const server = createServer({
      ...contexts[0]?.options,
      requestCert: credentials.clientCa !== null,
      rejectUnauthorized: false,
      handshakeTimeout: 2 * this.#timeout,
      SNICallback: (name, choose) => choose(null, choice(contexts, name)),
    });
    server.on('secureConnection', (socket) => this.#secured(socket));
    server.on('tlsClientError', (error: Error & { reason?: string }, socket) => {
      const reason = error.reason ?? error.message;
      this.#waiting(socket)?.({ result: 'failed', why: MEANING[reason] ?? reason }, null);
    });
    return server;
  }

  /** Who waits for the handshake on this socket. */
  #waiting(socket: TLSSocket): Pending | undefined {
    const key = endsOf(socket);
    return key === null ? undefined : this.#pending.get(key);
  }

  #secured(socket: TLSSocket): void {
    const finish = this.#waiting(socket);
    if (finish === undefined) {
      socket.on('error', () => {});
      socket.destroy(); // given up meanwhile, or gone
      return;
    }
    socket.allowHalfOpen = true;
    finish(factsOf(socket), socket);
  }
}

/** What OpenSSL says most often, for who reads the log. */
const MEANING: Readonly<Record<string, string>> = {
  'wrong version number': 'the client does not speak TLS (wrong version number)',
  'http request': 'the client speaks HTTP (http request)',
  'unsupported protocol': 'the client speaks only what tls_min_version forbids (unsupported protocol)',
  'no shared cipher': 'the client and this certificate have no cipher in common (no shared cipher)',
};

interface Choice {
  readonly holder: X509Certificate;
  readonly context: SecureContext;
}

/** RFC 6066 §3: the certificate that holds the name as it is, else one that holds it by a star for one label. */
function choice(contexts: readonly Choice[], name: string): SecureContext | undefined {
  const exact = contexts.find(({ holder }) => holder.checkHost(name, { wildcards: false }) !== undefined);
  const found =
    exact ?? contexts.find(({ holder }) => holder.checkHost(name, { partialWildcards: false }) !== undefined);
  return found?.context ?? contexts[0]?.context;
}

function contextOptions(
  { clientCa, minVersion }: Credentials,
  { cert, key }: Credentials['certificates'][number],
  ticketKeys: Uint8Array,
): SecureContextOptions & { ticketKeys: Buffer } {
  const old = minVersion === 'TLSv1' || minVersion === 'TLSv1.1';
  return {
    cert,
    key,
    minVersion,
    // OpenSSL 3 has no signature for TLS 1.0 and 1.1 above this level, whatever minVersion says.
    ...(old ? { ciphers: `${DEFAULT_CIPHERS}:@SECLEVEL=0` } : {}),
    ...(clientCa === null ? {} : { ca: clientCa }),
    secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
    ticketKeys: Buffer.from(ticketKeys),
    // A ticket carries what was verified: it must not be good where another CA vouches.
    sessionIdContext: createHash('sha256')
      .update(clientCa ?? '')
      .digest('hex')
      .slice(0, 32),
  };
}

function factsOf(socket: TLSSocket): Handshake {
  const certificate = socket.getPeerX509Certificate();
  const { names, subject } = certificateNames(socket.authorized ? certificate : undefined);
  const shown = certificate !== undefined && !socket.authorized;
  return {
    result: 'ok',
    protocol: socket.getProtocol() ?? '',
    cipher: socket.getCipher().name,
    names,
    subject,
    unverified: shown ? String(socket.authorizationError) : null,
  };
}

/** Who vouched then does so no more. */
export function unvouched<T extends Handshake>(handshake: T): T {
  if (handshake.result !== 'ok' || handshake.names.length === 0) return handshake;
  return { ...handshake, names: [], subject: null, unverified: 'client_ca has changed meanwhile' };
}

/** Of the TCP connection, whatever stands between. Null when the peer is gone: the system does not say whose it was, and one
 * that has gone must not be taken for another. */
function endsOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string | null {
  return remoteAddress === undefined ? null : `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}
