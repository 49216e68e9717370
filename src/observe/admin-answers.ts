// What the admin listener answers with, and what it reads of a question: shared by admin.ts and what stands beside it.
//
// Invariant: a body is JSON, of at most so many octets, and nothing of it is believed before it is read.

import type { IncomingMessage, ServerResponse } from 'node:http';
import { Pace } from './pace.ts';

export interface Answer {
  readonly status: number;
  readonly type:
    | 'application/json'
    | 'text/plain; version=0.0.4; charset=utf-8'
    | 'text/html; charset=utf-8'
    | 'text/css; charset=utf-8'
    | 'text/javascript; charset=utf-8';
  /** In pieces where it may be long. */
  readonly body: string | readonly string[];
  readonly headers?: Readonly<Record<string, string>>;
}

const BODY_OCTETS = 4 * 1024;
const PIECE = 16 * 1024; // of an answer that may be long

export function json(status: number, body: object): Answer {
  return { status, type: 'application/json', body: `${JSON.stringify(body)}\n` };
}

/** The same of an answer that may be long, in slices: the entries of its lists are written one by one. */
export async function longJson(body: object): Promise<Answer> {
  const pace = new Pace();
  const pieces: string[] = [];
  let piece = '{';
  let isFirst = true;
  for (const [name, value] of Object.entries(body)) {
    piece += `${isFirst ? '' : ','}${JSON.stringify(name)}:`;
    isFirst = false;
    if (!Array.isArray(value)) {
      piece += JSON.stringify(value);
      continue;
    }
    for (const [i, entry] of value.entries()) {
      if (pace.isOver) await pace.turn();
      piece += `${i === 0 ? '[' : ','}${JSON.stringify(entry)}`;
      if (piece.length < PIECE) continue;
      pieces.push(piece);
      piece = '';
    }
    piece += value.length === 0 ? '[]' : ']';
  }
  pieces.push(`${piece}}\n`);
  return { status: 200, type: 'application/json', body: pieces };
}

/** Written piece by piece, and others have their turn in between. */
export async function writePieces(response: ServerResponse, pieces: readonly string[]): Promise<void> {
  const pace = new Pace();
  for (const piece of pieces) {
    if (pace.isOver) await pace.turn();
    if (response.destroyed) return; // whoever asked has gone
    response.write(piece);
  }
  response.end();
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
