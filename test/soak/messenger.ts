// One message by an honest client: what was said in the end, and how long it took.

import { SmtpClient } from '../helpers/smtp-client.ts';

export interface Delivered {
  /** The code of the reply to the end of the message, or of the first that was none of those wanted; '' = cut off. */
  readonly said: string;
  readonly ms: number;
}

const LINES = [
  '',
  'EHLO honest.example',
  'MAIL FROM:<honest@sender.example>',
  'RCPT TO:<user@local.example>',
  'DATA',
  'text\r\n.',
];
const WANTED = ['220', '250', '250', '250', '354', '250'];

export async function deliver(port: number, localAddress = '127.10.0.1', within = 30_000): Promise<Delivered> {
  const began = performance.now();
  const client = new SmtpClient(port, { localAddress });
  const late = setTimeout(() => client.destroy(), within);
  let said = '';
  for (const [at, line] of LINES.entries()) {
    if (line !== '') await client.write(Buffer.from(`${line}\r\n`));
    said = (await client.reply())?.code ?? '';
    if (said !== WANTED[at]) break;
  }
  const ms = Math.round(performance.now() - began);
  clearTimeout(late);
  if (said === '250') {
    await client.write(Buffer.from('QUIT\r\n'));
    await client.end();
  }
  client.destroy();
  return { said, ms };
}
