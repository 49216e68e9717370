// The admin listener over HTTP: /metrics, /healthz and /readyz for Prometheus and for whoever restarts containers; /explain and
// what stands in admin-limits and admin-live for the operator.
//
// Invariant: health and metrics need no token and change nothing; everything else needs the one of the token file. Without such a file
// it may be read on loopback, and nothing is changed: whoever has an account on this machine, or a neighbour in its pod, could
// ban, drain and end what he likes. Beyond loopback it is refused altogether. The Host header is checked on every request that has one: a
// web page that points its own name at 127.0.0.1 (DNS rebinding) gets nothing.
// What changes something is no request that a web page can make another's browser send: an Origin is this listener's own and comes
// with the token in a header, and a body is of a type that a page may not send unasked. What only reads is not for pages of another origin either.
// Not here: TLS, keep-alive pools, request bodies beyond a ban's, and any way to change the mode.

import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, isIP, type Socket } from 'node:net';
import { type Answer, failure, found, isReading, json, notAllowed, writePieces } from './admin-answers.ts';
import { answerLimits, type OperatorLimits } from './admin-limits.ts';
import { answerLive, type OperatorLive } from './admin-live.ts';
import { answerPage, EventReaders, isPage, type OperatorPage } from './admin-page.ts';
import { notProtected, type Observer } from './events.ts';
import type { Readiness } from './observer-options.ts';

export interface AdminOptions {
  readonly host: string;
  readonly port: number;
  /** The content of the token file, without its line end; null = no token file. A reload may change it. */
  readonly token: () => string | null;
  /** Names beside localhost and addresses by which this listener may be asked for; lower case. */
  readonly hostNames: readonly string[];
  readonly observer: Pick<Observer, 'readiness' | 'metrics'>;
  /** Asks an upstream server for its greeting; true = one answered. Called at most every 5 s, and only while no session
   * has shown that one does. It may take its time: /readyz does not wait for it. */
  readonly askUpstream: () => Promise<boolean>;
  /** How each server is doing, for /readyz. */
  readonly servers?: () => readonly object[] | Promise<readonly object[]>;
  /** Answers GET /explain: an object, or a sentence that says what is wrong with the question. */
  readonly explain?: (query: URLSearchParams) => Promise<object | string>;
  readonly limits?: OperatorLimits;
  readonly live?: OperatorLive;
  readonly page?: OperatorPage;
  /** Milliseconds that only grow; performance.now when left out. */
  readonly now?: () => number;
}

export interface Admin {
  readonly host: string;
  readonly port: number;
  close(): Promise<void>;
}

const HEADERS_MS = 5_000;
const REQUEST_MS = 10_000;
const HEADER_OCTETS = 8 * 1024;
const CONNECTIONS = 32;
const ASK_AGAIN_MS = 5_000;
const READY_MS = 700; // a probe of Kubernetes gives up after a second

/** Listens, or rejects with the error of listen(). */
export async function startAdmin(options: AdminOptions): Promise<Admin> {
  const upstream = rememberFor(ASK_AGAIN_MS, options.now ?? (() => performance.now()), options.askUpstream);
  const readers = new EventReaders();
  const server = createServer(
    {
      headersTimeout: HEADERS_MS,
      requestTimeout: REQUEST_MS,
      connectionsCheckingInterval: 1_000,
      keepAliveTimeout: REQUEST_MS,
      maxHeaderSize: HEADER_OCTETS,
    },
    (request, response) => {
      answer(request, response, options, upstream, readers).then(
        (found) => found !== null && send(request, response, found),
        () => send(request, response, failure(500, 'The answer could not be made.')),
      );
    },
  );
  keepNewest(server);
  server.on('clientError', (_error, socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: options.host, port: options.port }, () => {
      server.off('error', reject);
      resolve();
    });
  });
  const { address, port } = server.address() as AddressInfo;
  return {
    host: address,
    port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** One connection too many ends the oldest: whoever holds them all open cannot keep the prober out. */
function keepNewest(server: Server): void {
  const open = new Set<Socket>();
  server.on('connection', (socket) => {
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    if (open.size > CONNECTIONS) (open.values().next().value as Socket).destroy();
  });
}

/** Null: it is answered as it goes. */
async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  options: AdminOptions,
  upstream: KnownUpstream,
  readers: EventReaders,
): Promise<Answer | null> {
  if (!isOurs(request.headers.host, options))
    return failure(
      421,
      'This Host is not ours: ask by an address of this machine, by localhost, by its host name, or by the name in admin.listen.',
    );
  const path = request.url?.split('?', 1)[0];
  const open = path === '/metrics' || path === '/healthz' || path === '/readyz';
  const explains = path === '/explain' && options.explain !== undefined;
  const closed = open ? null : refusal(request, options, path);
  if (closed !== null) return closed;
  if (!open && path !== undefined) {
    const { limits, live, page } = options;
    if (page !== undefined && path === '/events') return readers.answer(request, response, page);
    const told =
      (page === undefined ? null : await answerPage(request, path, page)) ??
      (limits === undefined ? null : await answerLimits(request, path, limits)) ??
      (live === undefined ? null : await answerLive(request, path, live));
    if (told !== null) return told;
  }
  if (!open && !explains) return failure(404, 'There is nothing here.');
  if (!isReading(request)) return notAllowed('GET, HEAD');
  if (explains) return found(await options.explain(new URL(request.url ?? '', 'http://localhost').searchParams));
  if (path === '/healthz') return json(200, { alive: true });
  if (path === '/readyz') return ready(options, upstream);
  return { status: 200, type: 'text/plain; version=0.0.4; charset=utf-8', body: await options.observer.metrics() };
}

async function ready({ observer, servers }: AdminOptions, upstream: KnownUpstream): Promise<Answer> {
  const now: Readiness = observer.readiness();
  const [answers, states] = await Promise.all([upstream(now.upstream), servers?.()]);
  const warning = notProtected(now.mode, now.observing);
  const isReady = now.listening && answers && !now.draining;
  return json(isReady ? 200 : 503, {
    ready: isReady,
    listening: now.listening,
    upstream: answers,
    draining: now.draining,
    mode: now.mode,
    protected: warning === null,
    ...(warning === null ? {} : { warning }),
    ...(now.lostAddresses === null ? {} : { lost_client_addresses: now.lostAddresses }),
    ...(states === undefined ? {} : { servers: states }),
  });
}

/** For what needs the token: null = it was shown, and no page of another origin asks. What changes something takes it as Bearer
 * only, which a browser never adds by itself; what reads takes it as the password of Basic as well, for which a browser asks. */
function refusal(request: IncomingMessage, options: AdminOptions, path: string | undefined): Answer | null {
  const { origin, host, authorization = '' } = request.headers;
  const reads = isReading(request);
  if ((origin !== undefined && origin !== `http://${host}`) || isOfAnotherPage(request))
    return failure(403, 'This is not for other web pages.');
  const token = options.token();
  if (token === null) {
    if (!isLoopback(options.host))
      return failure(403, 'This listens beyond loopback without a token file: set admin.token_file.');
    return reads ? null : failure(403, 'Without a token file nothing is changed here: set admin.token_file.');
  }
  const shown = /^Bearer +(\S+)$/i.exec(authorization)?.[1] ?? (reads ? passwordIn(authorization) : undefined);
  if (shown !== undefined && isSame(shown, token)) return null;
  const asks = reads && isPage(path) ? 'Basic realm="Postern: any name, and the token", charset="UTF-8"' : 'Bearer';
  return { ...failure(401, 'The token is missing or wrong.'), headers: { 'www-authenticate': asks } };
}

/** What a page of another site has a browser ask for by itself bears no Origin where it only reads (an image, a script, a frame):
 * it could not see the answer, and would have us make it. To follow a link to here is the user's own doing. */
function isOfAnotherPage({ headers }: IncomingMessage): boolean {
  const site = headers['sec-fetch-site'];
  if (site === undefined || site === 'same-origin' || site === 'none') return false;
  return headers['sec-fetch-mode'] !== 'navigate' || headers['sec-fetch-dest'] !== 'document';
}

function passwordIn(authorization: string): string | undefined {
  const encoded = /^Basic +([A-Za-z0-9+/=]+)$/i.exec(authorization)?.[1];
  if (encoded === undefined) return undefined;
  const text = Buffer.from(encoded, 'base64').toString('utf8');
  return text.includes(':') ? text.slice(text.indexOf(':') + 1) : undefined;
}

// Digests have one length, so the comparison says nothing about the token's.
function isSame(shown: string, token: string): boolean {
  return timingSafeEqual(digest(shown), digest(token));
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

/** An address literal cannot be rebound, so any will do; a name must be localhost or configured. Who says none speaks HTTP/1.0, as
 * HAProxy's checks do, and is no browser. */
function isOurs(host: string | undefined, options: AdminOptions): boolean {
  if (host === undefined) return true;
  const name = /^(\[[^\]]*\]|[^:]*)(?::\d{1,5})?$/.exec(host)?.[1]?.toLowerCase();
  if (name === undefined) return false;
  if (name.startsWith('[')) return isIP(name.slice(1, -1)) === 6;
  return isIP(name) === 4 || name === 'localhost' || name === options.host || options.hostNames.includes(name);
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d+\.\d+\.\d+$/.test(host);
}

/** Whether an upstream server answers. `seen`: what sessions have shown, as in Readiness. */
type KnownUpstream = (seen: boolean | null) => Promise<boolean>;

/** One question at a time, and its answer for so long: /readyz is open to all and must not become a dialler. While a server
 * takes its time to answer, what was known before is told. */
function rememberFor(ms: number, now: () => number, ask: () => Promise<boolean>): KnownUpstream {
  let last: Promise<boolean> | null = null;
  let known = false;
  let until = 0;
  return (seen) => {
    known = seen ?? known;
    if (seen === true) return Promise.resolve(true);
    if (last === null || now() >= until) {
      until = Number.POSITIVE_INFINITY;
      last = ask()
        .catch(() => false)
        .then((found) => {
          known = found;
          until = now() + ms;
          return found;
        });
    }
    const soon = new Promise<boolean>((resolve) => setTimeout(() => resolve(known), READY_MS).unref());
    return Promise.race([last, soon]);
  };
}

function send(request: IncomingMessage, response: ServerResponse, found: Answer): void {
  // What follows the head of a request is never read, so the connection cannot be used again.
  const hasBody = request.headers['content-length'] !== undefined || request.headers['transfer-encoding'] !== undefined;
  const pieces = typeof found.body === 'string' ? [found.body] : found.body;
  response.writeHead(found.status, {
    'content-type': found.type,
    'content-length': pieces.reduce((octets, piece) => octets + Buffer.byteLength(piece), 0),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
    ...(hasBody ? { connection: 'close' } : {}),
    ...found.headers,
  });
  if (request.method === 'HEAD') response.end();
  else void writePieces(response, pieces);
}
