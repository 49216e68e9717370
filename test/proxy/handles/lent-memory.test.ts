// Memory that a client's stream lent is not read into before it was given back. Each test is an order of things in which it once was.

import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import type { ByteStream } from '../../../src/proxy/byte-stream.ts';
import { FairQueue } from '../../../src/proxy/fair-queue.ts';
import { HandleStream } from '../../../src/proxy/handle-stream.ts';
import { settled } from '../peer.ts';
import { FakeHandle } from './fake-handle.ts';
import { MailServer, sessionBetween } from './session-between.ts';
import { tlsWithoutKernel } from './tls-without-kernel.ts';
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

interface Server {
  readonly stream: ByteStream;
  readonly heard: () => string;
  /** It takes so many more octets. */
  takes(octets: number): void;
}

function plainServer(): Server {
  const handle = new FakeHandle((octets) => server.reads(octets));
  const server = new MailServer((reply) => setImmediate(() => handle.says(Buffer.from(reply))));
  return {
    stream: new HandleStream(handle),
    heard: () => server.heard.toString(),
    takes: (octets) => handle.takes(octets),
  };
}

async function tlsServer(): Promise<Server> {
  const { stream, server: socket, wire } = await tlsWithoutKernel();
  const server = new MailServer((reply) => socket.write(reply));
  socket.on('data', (octets) => server.reads(octets));
  return { stream, heard: () => server.heard.toString(), takes: (octets) => wire.takes(octets) };
}

/** A session in mail data, whose client reads into memory of its own. */
async function inMailData(t: TestContext, server: Server) {
  const queue = new FullQueue();
  const client = new FakeHandle();
  client.takes(1e9);
  server.takes(1e9);
  const { connection } = sessionBetween(new HandleStream(client), server.stream, { queue });
  t.after(async () => {
    connection.shutDown();
    await settled();
    client.ends();
  });
  let said = '';
  const says = (text: string): void => {
    said += text;
    assert.equal(client.says(Buffer.from(text)), text.length);
  };
  for (const line of ['EHLO c', 'MAIL FROM:<s@sender.example>', 'RCPT TO:<r@local.example>', 'DATA', 'Subject: x']) {
    says(`${line}\r\n`);
    await settled();
  }
  assert.equal(server.heard(), said);
  return { queue, client, connection, says, said: () => said };
}

describe('mail data that the server has not taken is not read into', () => {
  it('by what comes behind the end of a message', async (t) => {
    const server = plainServer();
    const { client, says, said } = await inMailData(t, server);
    server.takes(10);
    says(`${LINE.repeat(500)}.\r\n`);
    const whole = said();
    client.says(Buffer.from(FORBIDDEN.repeat(900)));
    server.takes(1e9);
    assert.ok(server.heard() === whole, 'it heard something else');
  });

  it('when it waits for its turn, and what was lent before it has gone out', async (t) => {
    const server = await tlsServer();
    const { queue, says, said } = await inMailData(t, server);
    says(LINE.repeat(300)); // which TLS takes as its own in a while, and nobody is told
    await settled();
    queue.isFull = true;
    says(LINE.repeat(301));
    queue.isFull = false;
    await settled();
    says('.\r\n');
    await settled();
    assert.ok(server.heard() === said(), 'it heard something else');
  });
});
