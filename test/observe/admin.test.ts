import assert from 'node:assert/strict';
import { type IncomingHttpHeaders, request } from 'node:http';
import { connect } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { type Admin, type AdminOptions, startAdmin } from '../../src/observe/admin.ts';
import { ends, parseSamples, type Watched, watch } from './watched.ts';

interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

interface Asked {
  readonly admin: Admin;
  readonly watched: Watched;
  ask(path: string, headers?: Record<string, string>, method?: string): Promise<Reply>;
}

async function start(t: TestContext, options: Partial<AdminOptions> = {}, mode: 'enforce' | 'observe' = 'enforce') {
  const watched = watch({ mode, isInside: () => true });
  const admin = await startAdmin({
    host: '127.0.0.1',
    port: 0,
    token: () => null,
    hostNames: [],
    observer: watched.observer,
    askUpstream: async () => false,
    now: () => watched.clock.ms,
    ...options,
  });
  t.after(() => admin.close());
  const ask: Asked['ask'] = (path, headers = {}, method = 'GET') =>
    new Promise((resolve, reject) => {
      const sent = request({ host: '127.0.0.1', port: admin.port, path, method, headers, agent: false }, (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (part) => {
          text += part;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, text }));
      });
      sent.on('error', reject);
      sent.end();
    });
  return { admin, watched, ask };
}

describe('the admin listener', () => {
  it('is alive as long as it answers', async (t) => {
    const { ask } = await start(t);
    assert.equal((await ask('/healthz')).status, 200);
  });

  it('says in /readyz how each server is doing, and when client addresses seem to be lost', async (t) => {
    const state = { server: '10.0.0.10:25', up: false, why: 'connect time-out', next_probe_seconds: 4 };
    const { ask, watched } = await start(t, { servers: () => [state] });
    const detail = async () => JSON.parse((await ask('/readyz')).text) as Record<string, unknown>;
    assert.deepEqual((await detail()).servers, [state]);
    assert.equal((await detail()).lost_client_addresses, undefined);
    for (let at = 0; at < 50; at++) watched.observer.broughtMail({ ...ends, clientAddress: '10.9.1.1' });
    assert.match(String((await detail()).lost_client_addresses), /^most clients come from 10\.9\.1\.1 /);
  });

  it('gives the metrics to whoever asks with GET', async (t) => {
    const { ask } = await start(t);
    const reply = await ask('/metrics');
    assert.equal(reply.status, 200);
    assert.match(reply.headers['content-type'] ?? '', /^text\/plain; version=0\.0\.4/);
    assert.equal(parseSamples(reply.text).get('postern_sessions'), 0);
    assert.equal((await ask('/metrics', {}, 'HEAD')).text, '');
  });

  it('changes nothing: other methods are 405, other paths 404', async (t) => {
    const { ask } = await start(t);
    const posted = await ask('/metrics', {}, 'POST');
    assert.equal(posted.status, 405);
    assert.equal(posted.headers.allow, 'GET, HEAD');
    assert.equal((await ask('/')).status, 404);
    assert.equal((await ask('/metrics/../healthz')).status, 404);
  });

  it('refuses a Host that a rebound name would send', async (t) => {
    const { ask, admin } = await start(t, { hostNames: ['postern.example'] });
    for (const host of ['evil.example', 'evil.example:9125', '127.0.0.1.evil.example', 'localhost.evil.example']) {
      const { status, text } = await ask('/metrics', { host });
      assert.equal(status, 421, host);
      assert.match(text, /ask by an address of this machine, by localhost, by its host name/);
    }
    for (const host of ['localhost', `localhost:${admin.port}`, '127.0.0.1', '[::1]:9125', 'POSTERN.example:80']) {
      assert.equal((await ask('/metrics', { host })).status, 200, host);
    }
  });

  it('answers who speaks HTTP/1.0 and says no Host, as HAProxy with `option httpchk GET /readyz`', async (t) => {
    const { admin } = await start(t);
    for (const [path, status] of [
      ['/readyz', 503],
      ['/healthz', 200],
      ['/status', 404],
    ] as const) {
      const heard = await new Promise<string>((resolve) => {
        const socket = connect(admin.port, '127.0.0.1', () => socket.write(`GET ${path} HTTP/1.0\r\n\r\n`));
        let text = '';
        socket.setEncoding('latin1');
        socket.on('data', (part) => {
          text += part;
        });
        socket.on('close', () => resolve(text));
      });
      assert.match(heard, new RegExp(`^HTTP/1\\.1 ${status} `), path);
    }
  });
});

describe('readiness', () => {
  it('needs listeners, an upstream that answers, and no drain', async (t) => {
    const { ask, watched } = await start(t);
    assert.equal((await ask('/readyz')).status, 503);
    watched.observer.listening(['127.0.0.1:25']);
    assert.equal((await ask('/readyz')).status, 503);
    watched.observer.upstreamUp('10.0.0.10:25', true);
    const ready = await ask('/readyz');
    assert.equal(ready.status, 200);
    assert.deepEqual(JSON.parse(ready.text), {
      ready: true,
      listening: true,
      upstream: true,
      draining: false,
      mode: 'enforce',
      protected: true,
    });
    watched.observer.draining(3);
    assert.equal((await ask('/readyz')).status, 503);
  });

  it('says that observe does not protect, and stays ready', async (t) => {
    const { ask, watched } = await start(t, {}, 'observe');
    watched.observer.listening(['127.0.0.1:25']);
    watched.observer.upstreamUp('10.0.0.10:25', true);
    const reply = await ask('/readyz');
    assert.equal(reply.status, 200);
    assert.equal(JSON.parse(reply.text).protected, false);
    assert.match(JSON.parse(reply.text).warning, /not protected/);
  });

  it('asks the upstream itself when no session has, and not again for five seconds', async (t) => {
    let asked = 0;
    const { ask, watched } = await start(t, { askUpstream: async () => ++asked > 0 });
    watched.observer.listening(['127.0.0.1:25']);
    const replies = await Promise.all([ask('/readyz'), ask('/readyz'), ask('/readyz')]);
    assert.deepEqual(
      replies.map((reply) => reply.status),
      [200, 200, 200],
    );
    watched.clock.ms = 4_999;
    await ask('/readyz');
    assert.equal(asked, 1);
    watched.clock.ms = 5_000;
    await ask('/readyz');
    assert.equal(asked, 2);
  });

  it('does not wait for a server that takes its time, and tells what was known before', async (t) => {
    let answer: (found: boolean) => void = () => {};
    const askUpstream = () =>
      new Promise<boolean>((resolve) => {
        answer = resolve;
      });
    const { ask, watched } = await start(t, { askUpstream });
    watched.observer.listening(['127.0.0.1:25']);
    assert.equal((await ask('/readyz')).status, 503, 'nothing is known');
    answer(true);
    assert.equal((await ask('/readyz')).status, 200);
    watched.clock.ms = 60_000;
    assert.equal((await ask('/readyz')).status, 200, 'it was well, and is asked again');
    watched.observer.upstreamUp('10.0.0.10:25', false, 'connect time-out');
    assert.equal((await ask('/readyz')).status, 503, 'a session has found out meanwhile');
    answer(false);
    assert.equal((await ask('/readyz')).status, 503);
  });

  it('is not ready when asking the upstream fails', async (t) => {
    const { ask, watched } = await start(t, { askUpstream: () => Promise.reject(new Error('refused')) });
    watched.observer.listening(['127.0.0.1:25']);
    assert.equal((await ask('/readyz')).status, 503);
  });
});

describe('the token', () => {
  it('is not asked for health and metrics', async (t) => {
    const { ask } = await start(t, { host: '0.0.0.0', token: () => 'secret' });
    for (const path of ['/metrics', '/healthz']) assert.equal((await ask(path)).status, 200);
    assert.equal((await ask('/readyz')).status, 503);
  });

  it('is asked for everything else', async (t) => {
    const { ask } = await start(t, { token: () => 'secret' });
    const without = await ask('/anything');
    assert.equal(without.status, 401);
    assert.equal(without.headers['www-authenticate'], 'Bearer');
    for (const authorization of ['Bearer wrong', 'Bearer secret2', 'Basic secret', 'secret', 'Bearer']) {
      assert.equal((await ask('/anything', { authorization })).status, 401, authorization);
    }
    assert.equal((await ask('/anything', { authorization: 'Bearer secret' })).status, 404);
  });

  it('must exist where the listener stands beyond loopback', async (t) => {
    const { ask } = await start(t, { host: '0.0.0.0' });
    const reply = await ask('/anything', { authorization: 'Bearer secret' });
    assert.equal(reply.status, 403);
    assert.match(JSON.parse(reply.text).error, /token_file/);
    assert.equal((await ask('/healthz')).status, 200);
  });
});

describe('a hostile HTTP client', () => {
  it('does not get past the header limit', async (t) => {
    const { ask } = await start(t);
    await assert.rejects(ask('/healthz', { padding: 'x'.repeat(20_000) }));
    assert.equal((await ask('/healthz')).status, 200);
  });

  it('cannot smuggle a second request behind a body', async (t) => {
    const { admin } = await start(t);
    const heard = await new Promise<string>((resolve) => {
      let text = '';
      const socket = connect(admin.port, '127.0.0.1', () => {
        socket.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nabcde');
        socket.write('GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n');
      });
      socket.setEncoding('latin1');
      socket.on('data', (part) => {
        text += part;
      });
      socket.on('close', () => resolve(text));
    });
    assert.match(heard, /^HTTP\/1\.1 200 /);
    assert.doesNotMatch(heard, /postern_sessions/);
  });

  it('ends the oldest of more than 32 connections, so that who holds them cannot keep a prober out', async (t) => {
    const { admin, ask } = await start(t);
    const sockets = await Promise.all(
      Array.from(
        { length: 32 },
        () =>
          new Promise<ReturnType<typeof connect>>((resolve) => {
            const socket = connect(admin.port, '127.0.0.1', () => resolve(socket));
          }),
      ),
    );
    const first = new Promise((resolve) => sockets[0]?.once('close', resolve).resume());
    assert.equal((await ask('/healthz')).status, 200);
    await first;
    for (const socket of sockets) socket.destroy();
  });
});
