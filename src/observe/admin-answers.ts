// What the admin listener answers with, and what it reads of a question: shared by admin.ts and what stands beside it.
//
// Invariant: a body is JSON, of at most so many octets, and nothing of it is believed before it is read.

import type { IncomingMessage } from 'node:http';

export interface Answer {
  readonly status: number;
  readonly type:
    | 'application/json'
    | 'text/plain; version=0.0.4; charset=utf-8'
    | 'text/html; charset=utf-8'
    | 'text/css; charset=utf-8'
    | 'text/javascript; charset=utf-8';
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const BODY_OCTETS = 4 * 1024;

export function json(status: number, body: object): Answer {
  return { status, type: 'application/json', body: `${JSON.stringify(body)}\n` };
}

export function failure(status: number, error: string): Answer {
  return json(status, { error });
}

export function notAllowed(allow: string): Answer {
  return { ...failure(405, `Only ${allow.replace(', ', ' and ')}.`), headers: { allow } };
}

/** What was asked for, or a sentence that says what is wrong with the question. */
export function found(answer: object | string): Answer {
  return typeof answer === 'string' ? failure(400, answer) : json(200, answer);
}

/** A part of a path; null where it is badly encoded. */
export function decoded(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

export function isReading({ method }: IncomingMessage): boolean {
  return method === 'GET' || method === 'HEAD';
}

/** A question has a body; it stands behind the head, and may be empty. */
export function hasBody({ headers }: IncomingMessage): boolean {
  return (headers['content-length'] ?? '0') !== '0' || headers['transfer-encoding'] !== undefined;
}

export function isJson({ headers }: IncomingMessage): boolean {
  return /^application\/json(;|$)/i.test(headers['content-type'] ?? '');
}

/** What stands in a body of JSON; null when it is none, or too long. */
export async function readBody(request: IncomingMessage): Promise<{ value: unknown } | null> {
  const chunks: Buffer[] = [];
  let octets = 0;
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      octets += chunk.length;
      if (octets > BODY_OCTETS) return null;
      chunks.push(chunk);
    }
    return { value: JSON.parse(Buffer.concat(chunks).toString('utf8')) };
  } catch {
    return null;
  }
}
