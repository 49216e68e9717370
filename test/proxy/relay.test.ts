import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { holdClock } from './clock.ts';
import { asked, Rig } from './rig.ts';

const SHUTTING_DOWN = '421 4.3.2 Service shutting down, closing transmission channel\r\n';
const LONG = 60_000; // ms

describe('a drain', () => {
  // First of all: no timer of another test is left to meet its clock.
  it('gives clients one second to read their last reply', async (t) => {
    const clock = holdClock(t);
    const rig = await Rig.open(t);
    const pairs = [await rig.introduced(), await rig.introduced()];
    let over = false;
    const drained = rig.firewall.drain(LONG).then(() => {
      over = true;
    });
    for (const { client } of pairs) assert.equal(await client.rest(), SHUTTING_DOWN);
    pairs[0]?.client.finish();
    await clock.advance(999);
    assert.equal(over, false);
    await clock.advance(1);
    await drained;
  });

  it('is over at once when nobody is there, and nobody comes in any more', async (t) => {
    const rig = await Rig.open(t);
    const port = rig.firewall.addresses[0]?.port ?? 0;
    assert.equal(await rig.firewall.drain(LONG), 0);
    const refused = await new Promise((resolve) => connect(port, '127.0.0.1').on('error', resolve));
    assert.equal((refused as NodeJS.ErrnoException).code, 'ECONNREFUSED');
  });

  it('tells whoever is in no transaction at once', async (t) => {
    const rig = await Rig.open(t);
    const pairs = [await rig.dialled(), await rig.introduced()];
    const drained = rig.firewall.drain(LONG);
    for (const { client, upstream } of pairs) {
      assert.equal(await client.rest(), SHUTTING_DOWN);
      assert.equal(await upstream.rest(), '');
      client.finish();
    }
    assert.equal(await drained, 0);
    assert.equal((await rig.reason()).origin, 'operator');
  });

  it('lets a transaction end with its 250, and tells the client then', async (t) => {
    const rig = await Rig.open(t);
    const { client, upstream } = await rig.addressed();
    const drained = rig.firewall.drain(LONG);
    await asked({ client, upstream }, 'RCPT TO:<other@local.example>', '250 2.1.5 ok');
    await asked({ client, upstream }, 'DATA', '354 go ahead');
    client.say('whole\r\n.\r\n');
    await upstream.hears('whole\r\n.\r\n');
    upstream.say('250 2.0.0 queued\r\n');
    assert.equal(await client.rest(), `250 2.0.0 queued\r\n${SHUTTING_DOWN}`);
    client.finish();
    assert.equal(await drained, 0);
  });

  it('does not let a pipelining client begin another transaction', async (t) => {
    const rig = await Rig.open(t);
    const { client, upstream } = await rig.inMailData();
    const drained = rig.firewall.drain(LONG);
    client.say('whole\r\n.\r\nMAIL FROM:<s@sender.example>\r\nRCPT TO:<user@local.example>\r\nDATA\r\n');
    await upstream.hears('whole\r\n.\r\n');
    upstream.say('250 2.0.0 queued\r\n');
    assert.equal(await client.rest(), `250 2.0.0 queued\r\n${SHUTTING_DOWN}`);
    assert.equal(await upstream.rest(), '');
    client.finish();
    assert.equal(await drained, 0);
  });

  it('ends a transaction that is given up with RSET', async (t) => {
    const rig = await Rig.open(t);
    const { client, upstream } = await rig.addressed();
    const drained = rig.firewall.drain(LONG);
    await asked({ client, upstream }, 'RSET', '250 2.0.0 reset');
    assert.equal(await client.rest(), SHUTTING_DOWN);
    client.finish();
    assert.equal(await drained, 0);
  });

  it('cuts off who is not done in time, and the upstream gets no end of the message', async (t) => {
    const rig = await Rig.open(t);
    const { client, upstream } = await rig.inMailData();
    client.say('a half\r\n');
    await upstream.hears('a half\r\n');
    const drained = rig.firewall.drain(1);
    assert.equal(await client.rest(), SHUTTING_DOWN);
    assert.equal(await upstream.rest(), '');
    client.finish();
    assert.equal(await drained, 1);
  });

  it('ends at once when it is cut off', async (t) => {
    const rig = await Rig.open(t);
    const { client } = await rig.inMailData();
    const drained = rig.firewall.drain(LONG);
    assert.equal(rig.firewall.cutOff(), 1);
    assert.equal(await client.rest(), SHUTTING_DOWN);
    client.finish();
    assert.equal(await drained, 0);
  });

  it('refuses a client whose PROXY header comes only now', async (t) => {
    const rig = await Rig.open(t, { proxied: true });
    const client = await rig.client();
    client.say('PROXY TCP4 192.0.2.1 203.0.113.5 40000');
    await turn();
    const drained = rig.firewall.drain(LONG);
    client.say(' 25\r\n');
    assert.equal(await client.rest(), SHUTTING_DOWN);
    assert.equal(await drained, 0);
    assert.equal(rig.released, 1);
    assert.equal(rig.upstreams.count, 0);
  });
});
