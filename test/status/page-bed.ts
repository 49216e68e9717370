// A firewall with something to see on its page: mail that passed, mail that was refused, a ban, a connector that only observes.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { Guarded, type GuardedOptions } from '../limits/guarded.ts';

export const TOKEN = 'a-token-of-the-test';

export async function openWithPage(
  t: TestContext,
  { token = true, workers = 1, ...options }: GuardedOptions & { token?: boolean; workers?: number } = {},
): Promise<{ guarded: Guarded; url: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'postern-page-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'token');
  writeFileSync(file, `${TOKEN}\n`);
  const admin = { listen: '127.0.0.1:0', ...(token ? { token_file: file } : {}) };
  const guarded = await Guarded.open(t, { ...options, config: { workers, admin, ...options.config } });
  return { guarded, url: `http://127.0.0.1:${guarded.firewall.adminAddress?.port}` };
}

export function withPassword(password = TOKEN): { authorization: string } {
  return { authorization: `Basic ${Buffer.from(`me:${password}`).toString('base64')}` };
}

/** One client from there, and what each of these recipients is told. */
export async function tries(guarded: Guarded, source: string, ...recipients: string[]): Promise<string[]> {
  const client = await guarded.greeted(source);
  await client.say('MAIL FROM:<scanner@sender.example>');
  const replies: string[] = [];
  for (const recipient of recipients) replies.push(await client.say(`RCPT TO:<${recipient}>`));
  await client.quit();
  return replies;
}
