// A firewall with something to see on its page: mail that passed, mail that was refused, a ban, a connector that only observes.
import type { TestContext } from 'node:test';
import { TOKEN, TOKEN_FILE } from '../helpers/token.ts';
import { Guarded, type GuardedOptions } from '../limits/guarded.ts';

export async function openWithPage(
  t: TestContext,
  { token = true, workers = 1, ...options }: GuardedOptions & { token?: boolean; workers?: number } = {},
): Promise<{ guarded: Guarded; url: string }> {
  const admin = { listen: '127.0.0.1:0', ...(token ? { token_file: TOKEN_FILE } : {}) };
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
