// nmap's script smtp-open-relay, which tries the classic forms: what it says of a server on 127.0.0.1.
import assert from 'node:assert/strict';
import { run } from './children.ts';

export async function assertFoundOpen(port: number): Promise<void> {
  assert.match(await nmap(port), /Server is an open relay/);
}

export async function assertFoundClosed(port: number): Promise<void> {
  assert.match(await nmap(port), /Server doesn't seem to be an open relay, all tests failed/);
}

/** The plus sign runs the script on a port that is not 25. */
async function nmap(port: number): Promise<string> {
  const { output } = await run('nmap', ['-Pn', '-sT', '-p', `${port}`, '--script', '+smtp-open-relay', '127.0.0.1']);
  return output.split('\n').find((line) => line.includes('smtp-open-relay:')) ?? output;
}
