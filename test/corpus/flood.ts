// A row with `connections`: the first connection says all steps but the last; the last one is awaited on every other.
//
// The row's limit is taken at its word: exactly so many connections are served, the rest hears a refusal, and another
// source is served meanwhile.

import { type Reply, SmtpClient } from '../helpers/smtp-client.ts';
import type { Place } from './conversation.ts';
import { octetsOf, type Row } from './rows.ts';

const DEADLINE_MS = 60_000;

/** What went wrong; nothing is a pass. */
export async function flood(row: Row, place: Place): Promise<string[]> {
  place.standIn.expect({ dialect: 'lf', ...(row.backend && { backend: row.backend }) });
  const clients: SmtpClient[] = [];
  const open = (localAddress = '127.0.0.1'): SmtpClient => {
    const client = new SmtpClient(place.gate.port, { localAddress });
    clients.push(client);
    return client;
  };
  const deadline = setTimeout(() => {
    for (const client of clients) client.destroy();
  }, DEADLINE_MS);
  try {
    const faults: string[] = [];
    const first = open();
    for (const step of row.send.slice(0, -1)) {
      for (const octets of octetsOf(step)) await first.write(octets);
      faults.push(...unexpected(step.expect_code, await first.reply()));
    }
    const others = Array.from({ length: (row.connections ?? 1) - 1 }, () => open());
    const replies = await Promise.all(others.map((client) => client.reply()));
    for (const reply of replies) faults.push(...unexpected(row.send.at(-1)?.expect_code, reply));
    const served = 1 + replies.filter((reply) => reply?.code === '220').length;
    const limit = row.config.max_conn_per_source;
    if (limit !== undefined && served !== limit)
      faults.push(`${served} connections were served, the limit is ${limit}`);
    faults.push(...unexpected('220', await open('127.0.0.2').reply()));
    return [...new Set(faults)];
  } finally {
    clearTimeout(deadline);
    for (const client of clients) client.destroy();
    await place.standIn.ended();
  }
}

function unexpected(code: string | undefined, reply: Reply | null): string[] {
  if (code === undefined) return [];
  const met = reply !== null && new RegExp(`^(?:${code})$`).test(reply.code);
  return met ? [] : [`expected ${code}, got ${reply?.code ?? 'the end'}`];
}
