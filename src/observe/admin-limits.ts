// The admin listener's questions about limits: GET /limits, GET and POST /bans, DELETE /bans/SOURCE.

import type { IncomingMessage } from 'node:http';
import { type Answer, decoded, failure, isJson, isReading, json, notAllowed, readBody } from './admin-answers.ts';

/** A string says what is wrong with the question. */
export interface OperatorLimits {
  view(): Promise<{ readonly bans: readonly object[] }>;
  ban(given: unknown): Promise<object | string>;
  lift(source: string): Promise<boolean | string>;
}

/** Null when the question is not about limits. */
export async function answerLimits(
  request: IncomingMessage,
  path: string,
  limits: OperatorLimits,
): Promise<Answer | null> {
  const { method } = request;
  if (path === '/limits') return isReading(request) ? json(200, await limits.view()) : notAllowed('GET, HEAD');
  const lifts = path.startsWith('/bans/');
  if (!lifts && path !== '/bans') return null;
  if (!lifts && isReading(request)) return json(200, { bans: (await limits.view()).bans });
  if (method !== (lifts ? 'DELETE' : 'POST')) return notAllowed(lifts ? 'DELETE' : 'GET, HEAD, POST');
  if (lifts) {
    const source = decoded(path.slice('/bans/'.length));
    const lifted = source === null ? 'source: badly encoded' : await limits.lift(source);
    if (typeof lifted === 'string') return failure(400, lifted);
    return lifted ? json(200, { lifted: true }) : failure(404, 'That is not banned.');
  }
  if (!isJson(request)) return failure(415, 'A body of application/json is wanted.');
  const body = await readBody(request);
  if (body === null) return failure(400, 'The body is too long, or no JSON.');
  const banned = await limits.ban(body.value);
  return typeof banned === 'string' ? failure(400, banned) : json(201, banned);
}
