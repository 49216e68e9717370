// The admin port as a command asks it: where it is, with which token, and what it answers. `status`, `health` and `reload` do.
//
// Nothing throws because of the other side: a sentence says why there is no answer. Not by fetch, which knows ports that it
// does not call.

import { once } from 'node:events';
import { type IncomingMessage, request as requestInClear } from 'node:http';
import { request as requestInside } from 'node:https';
import { readText } from '../config/source.ts';
import { plain } from '../status/words.ts';

const MOST_OCTETS = 4 * 1024 * 1024;

export interface AdminPort {
  /** Without a path. */
  readonly url: string;
  readonly token: string | null;
}

/** Where the command was told, else where the environment says. A sentence says what is wrong with it. */
export function adminPort(given: {
  readonly admin?: string | undefined;
  readonly 'token-file'?: string | undefined;
}): AdminPort | string {
  const where = given.admin ?? (process.env.POSTERN_ADMIN || '127.0.0.1:9125');
  if (where === 'none') return '--admin (or POSTERN_ADMIN) says that there is no admin port: HOST:PORT is wanted';
  const url = adminUrl(where);
  if (url === null) return `--admin (or POSTERN_ADMIN): '${plain(where)}' is not HOST:PORT, as in 127.0.0.1:9125`;
  const file = given['token-file'] ?? (process.env.POSTERN_TOKEN_FILE || undefined);
  if (file === undefined) return { url, token: null };
  const name = given['token-file'] === undefined ? 'POSTERN_TOKEN_FILE' : '--token-file';
  const read = readText(file);
  if ('problem' in read) return `${name}: ${read.problem}`;
  const token = read.text.trim();
  return /^[!-~]+$/.test(token) ? { url, token } : `${name}: ${file} does not hold one word, which a token is`;
}

/** Null: it is none. A host alone is none either: Postern is not at port 80. */
function adminUrl(given: string): string | null {
  const isUrl = /^https?:\/\//i.test(given);
  if (!isUrl && !/:\d+\/?$/.test(given)) return null;
  try {
    const url = new URL(isUrl ? given : `http://${given}`);
    return url.pathname === '/' && url.username === '' ? url.origin : null;
  } catch {
    return null;
  }
}

export interface Answered {
  readonly status: number;
  readonly body: object;
}

/** What it answers, whatever the status; a sentence where nobody does, or not as Postern would. */
export async function askAdmin(
  { url, token }: AdminPort,
  method: 'GET' | 'POST',
  path: string,
  patience: number,
): Promise<Answered | string> {
  const request = url.startsWith('https:') ? requestInside : requestInClear;
  const headers = token === null ? {} : { authorization: `Bearer ${token}` };
  try {
    const signal = AbortSignal.timeout(patience);
    const sent = request(`${url}${path}`, { method, headers, agent: false, signal });
    sent.end();
    const [response] = (await once(sent, 'response')) as [IncomingMessage];
    const body: unknown = JSON.parse(await readAll(response));
    if (typeof body !== 'object' || body === null) throw new Error('its answer is no object');
    return { status: response.statusCode ?? 0, body };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ECONNREFUSED')
      return `nothing listens at ${url}: is Postern running there? --admin HOST:PORT names another admin port`;
    if (/^(ENOTFOUND|EAI_AGAIN)$/.test((error as NodeJS.ErrnoException).code ?? ''))
      return `${url} cannot be asked: the host name cannot be resolved`;
    return `${url} does not answer as Postern does: ${plain(whyNot(error as Error, patience))}`;
  }
}

/** What it has against the question, as a sentence. */
export function complaint({ url }: AdminPort, { status, body }: Answered): string {
  const { error } = body as { error?: unknown };
  if (typeof error !== 'string') return `${url} answers ${status}, and not as Postern does`;
  return `${url} answers ${status}: ${plain(error)}${status === 401 ? ' Say --token-file FILE.' : ''}`;
}

async function readAll(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let octets = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    octets += chunk.length;
    if (octets > MOST_OCTETS) throw new Error('its answer has no end');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function whyNot(error: Error, patience: number): string {
  if (error.name === 'AbortError') return `nothing within ${patience / 1000} s`;
  return error instanceof SyntaxError ? 'its answer is no JSON' : error.message;
}
