// Where the counters of limits are kept, as a configuration writes it: `memory`, or the URL of a Redis.
//
//   redis://host:6379/0                       one server; rediss:// with TLS
//   redis+sentinel://host:26379,host2/name/0  the master that these Sentinels call `name`
//   redis+cluster://host:6379,host2           a cluster; these of its nodes are asked first
//
// A user may stand before the host (redis://postern@host); a password may not: it comes from state_password_file.

import * as z from 'zod';
import { show } from './kinds.ts';

export interface RedisState {
  readonly kind: 'single' | 'sentinel' | 'cluster';
  readonly hosts: readonly { readonly host: string; readonly port: number }[];
  readonly name: string;
  readonly database: number;
  readonly user: string | null;
  readonly tls: boolean;
}

export type State = 'memory' | RedisState;

const WANTED = 'memory, redis://host:6379/0, redis+sentinel://host:26379/name/0 or redis+cluster://host:6379 is wanted';
const URL_FORM =
  /^redis(?<tls>s?)(?:\+(?<kind>sentinel|cluster))?:\/\/(?:(?<user>[^@/]*)@)?(?<hosts>[^/]*)(?<path>(?:\/[^/]*)*)$/;

/** A string says what is wrong. */
export function readState(text: string): State | string {
  if (text === 'memory') return 'memory';
  const match = URL_FORM.exec(text)?.groups;
  if (match === undefined) return `${show(text)} is no place for counters: ${WANTED}`;
  const { tls, kind = 'single', user, hosts: written = '', path = '' } = match;
  if (user?.includes(':'))
    return 'a password has no place in this file: put it in a file and name that in state_password_file';
  const hosts = [];
  for (const one of written.split(',')) {
    const host = readHost(one, kind === 'sentinel' ? 26379 : 6379);
    if (typeof host === 'string') return `${show(text)}: ${host}`;
    hosts.push(host);
  }
  if (kind === 'single' && hosts.length > 1)
    return `${show(text)}: several hosts are Sentinels (redis+sentinel://) or nodes of a cluster (redis+cluster://)`;
  const parts = path.split('/').slice(1);
  const name = kind === 'sentinel' ? (parts.shift() ?? '') : '';
  if (kind === 'sentinel' && name === '')
    return `${show(text)}: the name of the master is wanted behind the Sentinels, as /mymaster`;
  const database = parts.shift() ?? '';
  if (!/^[0-9]{0,4}$/.test(database) || parts.length > 0)
    return `${show(text)}: '${[database, ...parts].join('/')}' is no database: a number is wanted behind the host, as /0`;
  if (kind === 'cluster' && Number(database) !== 0) return `${show(text)}: a cluster has no database but 0`;
  return {
    kind: kind as RedisState['kind'],
    hosts,
    name,
    database: Number(database),
    user: user || null,
    tls: tls === 's',
  };
}

function readHost(text: string, port: number): { host: string; port: number } | string {
  const match = /^(?:\[(?<v6>[0-9a-f:.]+)\]|(?<host>[a-z0-9_][a-z0-9_.-]*))(?::(?<port>[0-9]{1,5}))?$/i.exec(
    text,
  )?.groups;
  const host = match?.v6 ?? match?.host;
  const given = match?.port === undefined ? port : Number(match.port);
  if (host === undefined) return text === '' ? 'a host is wanted' : `'${text}' is not HOST or HOST:PORT`;
  if (given < 1 || given > 65535) return `'${text}': a port is a number from 1 to 65535`;
  return { host, port: given };
}

export const state = z
  .string()
  .transform((written, context): State => {
    const read = readState(written);
    if (typeof read !== 'string' || read === 'memory') return read;
    context.issues.push({ code: 'custom', message: read, input: written });
    return z.NEVER;
  })
  .meta({
    title: 'place of counters',
    examples: ['memory', 'redis://cache:6379/0', 'redis+sentinel://host:26379/name/0'],
  });
