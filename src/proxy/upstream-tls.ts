// TLS towards the mail server: the handshake, and whom we then talk to.
//
// The server is looked at when the handshake is over and before a single octet is sent: certificate authority and name,
// or one of the pinned certificates. What is said of a failure is for an administrator: what came, and what to set. Each
// call makes a handshake of its own; a resumed session would show no certificate to compare with a pin.
// TLS 1.0 and 1.1 need what OpenSSL calls security level 0, and servers that know no secure renegotiation (RFC 5746) must
// be let in; both only where `minVersion` says so. RC4 and 3DES are not in this OpenSSL at all.

import { constants } from 'node:crypto';
import { isIP } from 'node:net';
import { connect, createSecureContext, DEFAULT_CIPHERS, type SecureContext, type TLSSocket } from 'node:tls';
import type { ByteStream } from './byte-stream.ts';
import { SocketStream } from './socket-stream.ts';
import { secureStream } from './tls-stream.ts';

export interface UpstreamTlsOptions {
  readonly mode: 'opportunistic' | 'require' | 'implicit';
  readonly minVersion: 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3';
  /** PEM; null = the authorities that Node.js knows. */
  readonly ca: string | null;
  readonly verify: boolean;
  /** SHA-256 of certificates, each 64 capital hexadecimal digits; they take the place of authority and name. */
  readonly pins: readonly string[];
  /** What the certificate must name and SNI says; null = the server's own host name or address. */
  readonly name: string | null;
  /** Where these stand in the configuration, to be named: `upstream.tls`, or `upstreams.relay.tls`. */
  readonly key: string;
}

/** `why`: the sentence that says why there is none; `hungUp`: it was the other side that ended the connection. */
export type Made =
  | { readonly stream: ByteStream }
  | { readonly stream: null; readonly why: string; readonly hungUp: boolean };

export class UpstreamTls {
  readonly mode: UpstreamTlsOptions['mode'];
  readonly #options: UpstreamTlsOptions;
  readonly #context: SecureContext;

  constructor(options: UpstreamTlsOptions) {
    const { minVersion, ca } = options;
    const isOld = minVersion === 'TLSv1' || minVersion === 'TLSv1.1';
    this.mode = options.mode;
    this.#options = options;
    this.#context = createSecureContext({
      minVersion,
      ...(ca === null ? {} : { ca }),
      ...(isOld
        ? { ciphers: `${DEFAULT_CIPHERS}:@SECLEVEL=0`, secureOptions: constants.SSL_OP_LEGACY_SERVER_CONNECT }
        : {}),
    });
  }

  /** Makes TLS of a connection; calls back once. The stream returned is for one thing alone: to be reset when that takes too long.
   * `asSocket`: what is made may become a net.Socket (`toSocket`). */
  start(stream: ByteStream, host: string, asSocket: boolean, done: (made: Made) => void): ByteStream {
    const { name, key } = this.#options;
    const plain = stream.toSocket();
    const wanted = name ?? host.replace(/\.$/, ''); // RFC 6066 §3: without the dot at the end
    const socket = connect({
      socket: plain,
      secureContext: this.#context,
      host: wanted, // what the certificate is compared with
      servername: isIP(wanted) === 0 ? wanted : '', // and no address
      rejectUnauthorized: false, // looked at below, where the certificate can be named
    });
    plain.on('error', () => {}); // the inside says it
    const dialling = new SocketStream(socket, plain);
    const failed = (error: NodeJS.ErrnoException): void =>
      done({ stream: null, why: handshakeFailure(error, key), hungUp: error.code === 'ECONNRESET' });
    const ended = (): void =>
      done({ stream: null, why: handshakeFailure({ code: 'ECONNRESET', message: '' }, key), hungUp: true });
    socket.once('error', failed);
    socket.once('end', ended);
    socket.once('secureConnect', () => {
      socket.off('error', failed);
      socket.off('end', ended);
      const why = this.#whyNot(socket, wanted);
      if (why !== null) done({ stream: null, why, hungUp: false });
      else done({ stream: asSocket ? dialling : secureStream(dialling.toSocket() as TLSSocket, plain) });
    });
    return dialling;
  }

  /** Why we do not talk to whoever has this certificate; null = we do. */
  #whyNot(socket: TLSSocket, wanted: string): string | null {
    const { verify, pins, key } = this.#options;
    const certificate = socket.getPeerX509Certificate();
    const fingerprint = certificate?.fingerprint256 ?? 'none';
    if (pins.length > 0) {
      if (pins.includes(fingerprint.replaceAll(':', ''))) return null;
      return `its certificate is not the pinned one, its SHA-256 is ${fingerprint}: pin that one if it is the server's new certificate`;
    }
    if (!verify || socket.authorized) return null;
    const code = String(socket.authorizationError);
    const pinIt = `or pin it, SHA-256 ${fingerprint}`;
    switch (code) {
      case 'ERR_TLS_CERT_ALTNAME_INVALID': {
        const names = certificate?.subjectAltName ?? certificate?.subject ?? 'nobody';
        return `its certificate is for ${shortened(names)}, not for ${wanted}: set ${key}.name, ${pinIt}`;
      }
      case 'CERT_HAS_EXPIRED':
        return `its certificate expired on ${certificate?.validTo}: renew it, ${pinIt}`;
      case 'CERT_NOT_YET_VALID':
        return `its certificate is not valid before ${certificate?.validFrom}: is the clock of this machine right?`;
      default:
        return `its certificate is of an authority that is not known here (${code}): name that in ${key}.ca, ${pinIt}`;
    }
  }
}

function shortened(names: string): string {
  return names.length > 80 ? `${names.slice(0, 80)}…` : names.replaceAll('\n', ' ');
}

const OLD =
  '.min_version: TLSv1; one that has only RC4 or 3DES cannot be reached over TLS: ' + 'mode none, on a private leg';

/** What a handshake that failed means to who has to mend it. */
function handshakeFailure(
  { code = '', message }: { readonly code?: string | undefined; readonly message: string },
  key: string,
): string {
  if (/VERSION_NUMBER|PACKET_LENGTH|UNKNOWN_PROTOCOL|HTTP_REQUEST/.test(code) && !/ALERT/.test(code))
    return `it does not speak TLS there (${code}): mode implicit is for port 465, mode require for STARTTLS`;
  if (
    /PROTOCOL|VERSION|HANDSHAKE_FAILURE|NO_SHARED_CIPHER|NO_CIPHERS|LEGACY_RENEGOTIATION|DH_KEY|EE_KEY|ECONNRESET/.test(
      code,
    )
  )
    return `no TLS handshake (${code}): an old server may need ${key}${OLD}`;
  return `no TLS handshake (${code || message})`;
}
