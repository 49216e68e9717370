// Memory that a client's stream lent is not read into before it was given back. Each test is an order of things in which it once was.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { FairQueue } from '../../../src/proxy/fair-queue.ts';
import { HandleStream } from '../../../src/proxy/handle-stream.ts';
import { settled } from '../peer.ts';
import { FakeHandle } from './fake-handle.ts';
import { sessionBetween } from './session-between.ts';
import { type ServerWithoutKernel, serverInTls, serverOverHandle } from './without-kernel.ts';
import '../../helpers/poison.ts';

const LINE = `${'x'.repeat(62)}\r\n`;
const FORBIDDEN = 'RCPT TO:<victim@foreign.example>\r\n';

/** Nobody has a turn at once, where the test says so. */
class FullQueue extends FairQueue {
  isFull = false;

  override get isFree(): boolean {
    return !this.isFull && super.isFree;
  }
}

/** A session in mail data, whose client reads into memory of its own. */
async function inMailData(t: TestContext, server: ServerWithoutKernel) {
  const queue = new FullQueue();
  const client = new FakeHandle();
  client.takes(1e9);
  server.takes(1e9);
  const { connection } = sessionBetween(new HandleStream(client), server.stream, { queue });
  t.after(async () => {
    connection.shutDown();
    await settled();
    client.ends();
    server.ends();
  });
  let said = '';
  const says = async (text: string): Promise<void> => {
    said += text;
    assert.equal(client.says(Buffer.from(text)), text.length);
    await settled();
    server.says(1e9);
    await settled();
  };
  for (const line of ['EHLO c', 'MAIL FROM:<s@sender.example>', 'RCPT TO:<r@local.example>', 'DATA', 'Subject: x'])
    await says(`${line}\r\n`);
  return { queue, client, connection, says, said: () => said };
}

/** It heard all of it, and nothing else. */
function assertHeard({ server }: ServerWithoutKernel, said: string): void {
  assert.ok(server.heard.toString() === said, 'it heard something else');
}

describe('mail data that the server has not taken is not read into', () => {
  it('by what comes behind the end of a message', async (t) => {
    const server = serverOverHandle();
    const { client, says, said } = await inMailData(t, server);
    server.takes(10);
    await says(`${LINE.repeat(500)}.\r\n`);
    client.says(Buffer.from(FORBIDDEN.repeat(900)));
    server.takes(1e9);
    assertHeard(server, said());
  });

  it('when it waits for its turn, and what was lent before it has gone out', async (t) => {
    const server = await serverInTls();
    const { queue, says, said } = await inMailData(t, server);
    await says(LINE.repeat(300)); // which TLS takes as its own in a while, and nobody is told
    queue.isFull = true;
    const goesOn = says(LINE.repeat(301));
    queue.isFull = false;
    await goesOn;
    await says('.\r\n');
    assertHeard(server, said());
  });
});
