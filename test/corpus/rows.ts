// The rows of vectors.jsonl, which we were given, and of own.jsonl, as README.md describes them.
//
// Strings are latin-1: a code point is an octet. Nothing is judged here.

import { readFileSync } from 'node:fs';
import type { Backend } from '../helpers/backend.ts';
import { DIALECTS, type Dialect } from '../helpers/dialects.ts';

export interface RowConfig {
  readonly accepted_domains: readonly string[];
  readonly accepted_literals?: readonly string[];
  readonly relay_allow?: readonly string[];
  readonly relay_deny?: readonly string[];
  readonly auth_may_relay?: boolean;
  readonly max_errors?: number;
  readonly max_junk_commands?: number;
  readonly max_rcpt?: number;
  readonly max_command_line?: number;
  readonly max_data_line?: number;
  readonly max_conn_per_source?: number;
  readonly max_auth_failures?: number;
  readonly bare_lf?: 'reject' | 'normalize' | 'pass';
  readonly bare_cr?: string;
  readonly idle_timeout_ms?: number;
  readonly command_deadline_ms?: number;
  readonly data_deadline_ms?: number;
  readonly min_data_rate?: number;
  readonly proxy_protocol?: boolean;
  readonly trusted_proxies?: readonly string[];
  readonly proxy_header_timeout_ms?: number;
}

export interface Step {
  readonly write?: string;
  readonly expect_code?: string;
  readonly expect_replies?: readonly string[];
  readonly times?: number;
  readonly counter?: boolean;
  readonly split?: 'every-byte';
  readonly pause_ms?: number;
  readonly fin?: boolean;
  readonly half_close?: boolean;
  readonly no_read?: boolean;
  readonly wait_close_ms?: number;
}

export interface Row {
  readonly id: string;
  readonly group: 'AD' | 'CL' | 'SM' | 'ST' | 'UP' | 'RX' | 'PP' | 'LG';
  readonly name: string;
  readonly note: string;
  readonly legit: boolean;
  readonly config: RowConfig;
  readonly backend?: Backend;
  readonly dialects: 'all' | readonly Dialect[];
  readonly send: readonly Step[];
  readonly must: 'pass' | 'reject' | 'close' | 'either';
  readonly must_not_reach_backend: readonly string[];
  readonly must_reach_backend?: readonly string[];
  readonly expect_not_in_replies?: readonly string[];
  readonly reply_must_match?: string;
  readonly expect_raw_reply?: string;
  readonly local_reply_ok?: boolean;
  readonly connections?: number;
  readonly source_ip?: string;
  readonly source_ips?: readonly string[];
}

export function loadRows(): Row[] {
  return ['vectors.jsonl', 'own.jsonl'].flatMap((file) => {
    const lines = readFileSync(new URL(file, import.meta.url), 'utf8').split('\n');
    return lines.filter((line) => line !== '').map((line) => JSON.parse(line));
  });
}

export function dialectsOf(row: Row): readonly Dialect[] {
  return row.dialects === 'all' ? DIALECTS : row.dialects;
}

/** The octets of one step, as often as it repeats them. */
export function octetsOf(step: Step): Buffer[] {
  const once = step.write ?? '';
  const copies = Array.from({ length: step.times ?? 1 }, (_, at) =>
    step.counter ? once.replace('%d', String(at)) : once,
  );
  // What is neither paced nor answered one by one goes out in one write
  if (step.pause_ms !== undefined || step.expect_code !== undefined)
    return copies.map((copy) => Buffer.from(copy, 'latin1'));
  return [Buffer.from(copies.join(''), 'latin1')];
}
