// The admin listener's questions about what is going on, and what an operator does about it: GET /status, GET /sessions,
// DELETE /sessions/ID, POST and DELETE /servers/NAME/drain, POST /reload.
//
// What changes something has a body, which it does not need, only of JSON: no form of a web page sends that.

import type { IncomingMessage } from 'node:http';
import {
  type Answer,
  decoded,
  failure,
  hasBody,
  isJson,
  isReading,
  json,
  longJson,
  notAllowed,
} from './admin-answers.ts';

export interface OperatorLive {
  status(): Promise<object>;
  /** A string says what is wrong with the question. */
  sessions(query: URLSearchParams): Promise<object | string>;
  /** False when there is no such session. */
  endSession(id: string): Promise<boolean>;
  /** False when there is no such server. */
  drainServer(name: string, draining: boolean): Promise<boolean>;
  reload(): Promise<{ readonly reloaded: boolean }>;
}

/** Null when the question is about something else. */
export async function answerLive(request: IncomingMessage, path: string, live: OperatorLive): Promise<Answer | null> {
  if (path === '/status' || path === '/sessions') {
    if (!isReading(request)) return notAllowed('GET, HEAD');
    if (path === '/status') return json(200, await live.status());
    const list = await live.sessions(new URL(request.url ?? '', 'http://localhost').searchParams);
    return typeof list === 'string' ? failure(400, list) : longJson(list);
  }
  const change = changeOf(path, live);
  if (change === null) return null;
  const act = change[request.method as 'POST' | 'DELETE'];
  if (act === undefined) return notAllowed(Object.keys(change).join(', '));
  const says = request.headers['content-type'] !== undefined || hasBody(request);
  if (says && !isJson(request)) return failure(415, 'No body is wanted, or one of application/json.');
  return act();
}

type Change = { readonly [Method in 'POST' | 'DELETE']?: () => Promise<Answer> };

/** What may be done there, by its method. */
function changeOf(path: string, live: OperatorLive): Change | null {
  if (path === '/reload') return { POST: () => reload(live) };
  const [, what, name] = /^\/(sessions|servers)\/([^/]+?)(?:\/drain)?$/.exec(path) ?? [];
  const drains = path.endsWith('/drain');
  if (what === undefined || name === undefined || drains !== (what === 'servers')) return null;
  const whom = decoded(name);
  if (whom === null) return null;
  if (what === 'sessions') return { DELETE: () => endSession(live, whom) };
  return { POST: () => drain(live, whom, true), DELETE: () => drain(live, whom, false) };
}

async function endSession(live: OperatorLive, id: string): Promise<Answer> {
  return (await live.endSession(id)) ? json(200, { ending: true, id }) : failure(404, 'There is no such session.');
}

async function drain(live: OperatorLive, server: string, draining: boolean): Promise<Answer> {
  return (await live.drainServer(server, draining))
    ? json(200, { server, draining })
    : failure(404, 'There is no such server: its name is HOST:PORT, as in /status.');
}

async function reload(live: OperatorLive): Promise<Answer> {
  const outcome = await live.reload();
  return json(outcome.reloaded ? 200 : 422, outcome);
}
