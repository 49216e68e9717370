// The page of the admin port as a browser without a script has it, its events, and who may ask and change what.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request as ask, createServer, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { describe, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { parse } from 'yaml';
import { EventReaders } from '../../src/observe/admin-page.ts';
import { BEARER } from '../helpers/token.ts';
import { openWithPage, tries, withPassword } from './page-bed.ts';

for (const workers of [1, 2]) {
  describe(`with workers: ${workers}`, () => {
    test('says without a script what goes on, who is refused, why, and which rule would allow it', async (t) => {
      const { guarded, url } = await openWithPage(t, { workers });
      const client = await guarded.greeted('192.0.2.9');
      await client.message();
      for (let i = 0; i < 3; i++) await tries(guarded, '192.0.2.7', 'x@foreign.example');
      const text = await (await fetch(url, { headers: withPassword() })).text();
      assert.match(text, /<dt>Mode<\/dt><dd>enforce<\/dd>/);
      assert.match(text, /<dt>Sessions now<\/dt><dd>1<\/dd>/);
      assert.match(text, /<p>1 message, 3 refusals; at most \d sessions? at once, 1 now\.<\/p>/);
      assert.match(text, /<th scope="row">192\.0\.2\.7<\/th><td class="number">3<\/td>/);
      assert.match(text, /recipient x@foreign\.example from scanner@sender\.example: no_rule at internet/);
      const why = /<a class="why" href="(explain\?[^"]+)"/.exec(text)?.[1]?.replaceAll('&#38;', '&') ?? '';
      const explained = await fetch(`${url}/${why}`, { headers: withPassword() });
      const answer = (await explained.json()) as { answer: string; reason: string };
      assert.deepEqual([answer.answer, answer.reason], ['reject', 'no_rule']);
      assert.match(text, /- name: &#39;allow-192\.0\.2\.7-to-foreign\.example&#39;/);
    });
  });
}

test('says why a sender or a connection was refused, and not where the policy did not', async (t) => {
  const internet = { name: 'internet', remote_ip_ranges: ['any'], senders: { own_domains: 'deny' } };
  const { guarded, url } = await openWithPage(t, {
    limits: { source: { message_rate: '1/1h' } },
    policy: { connectors: [{ ...internet, connect: { deny: ['198.51.100.0/24'] } }] },
  });
  await (await guarded.greeted('192.0.2.7')).mail('boss@local.example');
  assert.match((await guarded.connect('198.51.100.9')).greeting, /^554/);
  const limited = await guarded.greeted('192.0.2.8');
  for (let i = 0; i < 2; i++) await limited.mail();
  const text = await (await fetch(url, { headers: withPassword() })).text();
  assert.match(text, /sender s@sender\.example: limit at internet/);
  assert.equal(text.match(/<td class="number once">once<\/td>/g)?.length, 3);
  const links = [...text.matchAll(/<a class="why" href="(explain\?[^"]+)"/g)].map(([, link = '']) => link);
  const answers = await Promise.all(
    links.map(async (link) => {
      const response = await fetch(`${url}/${link.replaceAll('&#38;', '&')}`, { headers: withPassword() });
      const { answer, reason } = (await response.json()) as { answer: string; reason: string };
      return `${answer} ${reason}`;
    }),
  );
  assert.deepEqual(answers.sort(), ['refuse-connection null', 'refuse-sender sender']);
});

test('the rule that would allow it does, and no more than that', async (t) => {
  const { guarded, url } = await openWithPage(t);
  const refused = await tries(guarded, '192.0.2.7', "o'hara@foreign.example");
  assert.match(refused[0] ?? '', /^554/);
  const text = await (await fetch(url, { headers: withPassword() })).text();
  const rule = /<pre[^>]*>([^<]*)<\/pre>/.exec(text)?.[1]?.replaceAll('&#39;', "'") ?? '';
  await guarded.reload({ connector: { rules: parse(rule) } });
  const [same, elsewhere] = await tries(guarded, '192.0.2.7', "o'hara@foreign.example", 'x@third.example');
  assert.match(same ?? '', /^250/);
  assert.match(elsewhere ?? '', /^554/);
  assert.match((await tries(guarded, '192.0.2.8', "o'hara@foreign.example"))[0] ?? '', /^554/);
});

test('what a peer calls itself is text on the page and never markup', async (t) => {
  const { guarded, url } = await openWithPage(t);
  await tries(guarded, '192.0.2.7', '"<img/src=x>"@foreign.example');
  const text = await (await fetch(url, { headers: withPassword() })).text();
  assert.match(text, /&#60;img\/src=x&#62;/);
  assert.doesNotMatch(text, /<img/);
});

test('the page loads nothing from elsewhere, and nobody else may frame, feed or read it', async (t) => {
  const { url } = await openWithPage(t);
  const response = await fetch(url, { headers: withPassword() });
  const policy = response.headers.get('content-security-policy') ?? '';
  for (const part of ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"])
    assert.ok(policy.includes(part), policy);
  assert.doesNotMatch(policy, /unsafe|https?:/);
  const text = await response.text();
  assert.doesNotMatch(text, /https?:|<style|\son\w+=|style=/);
  for (const [, file] of text.matchAll(/(?:src|href)="([\w.]+\.(?:css|js))"/g)) {
    const found = await fetch(`${url}/${file}`, { headers: withPassword() });
    assert.equal(found.status, 200, file);
    assert.equal(found.headers.get('x-content-type-options'), 'nosniff');
  }
});

test('a browser is asked for the token, as a password; what changes something wants it in a header of its own', async (t) => {
  const { url } = await openWithPage(t);
  const without = await fetch(url);
  assert.equal(without.status, 401);
  assert.match(without.headers.get('www-authenticate') ?? '', /^Basic /);
  assert.equal((await fetch(url, { headers: withPassword('wrong') })).status, 401);
  assert.equal((await fetch(`${url}/events`)).status, 401);
  const ban = (headers: Record<string, string>) =>
    fetch(`${url}/bans`, {
      method: 'POST',
      body: '{"source":"192.0.2.66"}',
      headers: { 'content-type': 'application/json', ...headers },
    });
  assert.equal((await ban(withPassword())).status, 401);
  assert.equal((await ban({ ...BEARER, origin: 'http://elsewhere.example' })).status, 403);
  assert.equal((await ban({ ...BEARER, origin: url })).status, 201);
  assert.equal((await ban({ ...BEARER, origin: url, 'content-type': 'text/plain' })).status, 415);
});

test('what a page of another site has a browser load is not made, and a link from there is followed', async (t) => {
  const { url } = await openWithPage(t, { token: false });
  const statusOf = (path: string, site: string, mode: string, dest: string): Promise<number | undefined> =>
    new Promise((resolve, reject) => {
      const headers = { 'sec-fetch-site': site, 'sec-fetch-mode': mode, 'sec-fetch-dest': dest };
      const question = ask(`${url}${path}`, { headers }, ({ statusCode }) => {
        resolve(statusCode);
        question.destroy();
      });
      question.on('error', reject).end();
    });
  for (const path of ['/', '/status', '/sessions', '/events', '/explain?source=192.0.2.9&rcpt=a@local.example']) {
    assert.equal(await statusOf(path, 'same-origin', 'cors', 'empty'), 200, path);
    for (const site of ['cross-site', 'same-site']) {
      assert.equal(await statusOf(path, site, 'no-cors', 'image'), 403, path);
      assert.equal(await statusOf(path, site, 'navigate', 'iframe'), 403, path);
    }
  }
  assert.equal(await statusOf('/', 'cross-site', 'navigate', 'document'), 200);
  assert.equal(await statusOf('/', 'none', 'navigate', 'document'), 200);
});

test('without a token file everything on loopback can be read, and nothing is changed, whoever asks', async (t) => {
  const { guarded, url } = await openWithPage(t, { token: false });
  const client = await guarded.greeted('192.0.2.9');
  for (const path of [
    '/',
    '/status',
    '/sessions',
    '/limits',
    '/bans',
    '/explain?source=192.0.2.9&rcpt=a@local.example',
  ])
    assert.equal((await fetch(`${url}${path}`)).status, 200, path);
  const server = `127.0.0.1:${guarded.standIn.port}`;
  for (const [method, path] of [
    ['POST', '/bans'],
    ['DELETE', '/bans/192.0.2.66'],
    ['DELETE', '/sessions/1-1'],
    ['POST', `/servers/${server}/drain`],
    ['DELETE', `/servers/${server}/drain`],
    ['POST', '/reload'],
  ] as const) {
    for (const more of [{}, BEARER, { origin: url }]) {
      const headers = { 'content-type': 'application/json', ...more };
      const body = path === '/bans' ? { body: '{"source":"192.0.2.9"}' } : {};
      const answer = await fetch(`${url}${path}`, { method, headers, ...body });
      assert.equal(answer.status, 403, `${method} ${path}`);
      assert.match(await answer.text(), /admin\.token_file/);
    }
  }
  assert.match(await client.message(), /^250/);
  assert.equal(guarded.logged('banned').length, 0);
});

test('a name that was pointed here gets nothing', async (t) => {
  const { url } = await openWithPage(t, { token: false });
  const status = await new Promise((resolve) =>
    ask(`${url}/`, { headers: { host: 'rebound.example' } }, (response) => resolve(response.statusCode)).end(),
  );
  assert.equal(status, 421);
});

test('GET /events says what goes on, and says it again when it has changed', async (t) => {
  const { guarded, url } = await openWithPage(t);
  const response = await fetch(`${url}/events`, { headers: withPassword() });
  assert.equal(response.headers.get('content-type'), 'text/event-stream');
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  let heard = '';
  const until = async (what: RegExp): Promise<void> => {
    while (!what.test(heard)) heard += Buffer.from((await reader.read()).value ?? []).toString();
  };
  await until(/data: \{"time":.*Nobody\..*\n\n/);
  await tries(guarded, '192.0.2.7', 'x@foreign.example');
  await until(/data: .*192\.0\.2\.7.*\n\n/);
  await reader.cancel();
});

test('of a reader who takes nothing at most one event is kept, and the next that is taken is a new one', async (t) => {
  const readers = new EventReaders();
  let tell: (event: string) => void = () => {};
  let kept = 0;
  const page = {
    html: async () => '',
    file: async () => null,
    subscribe: (take: (event: string) => void) => {
      tell = take;
      return () => {};
    },
  };
  const opened = Promise.withResolvers<ServerResponse>();
  const server = createServer((request, response) => {
    readers.answer(request, response, page);
    opened.resolve(response);
  }).listen(0, '127.0.0.1');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  await once(server, 'listening');
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1').pause();
  socket.write('GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n');
  const response = await opened.promise;
  const octets = 256 * 1024;
  for (let i = 0; i < 200; i++) {
    tell(`${i} ${'x'.repeat(octets)}`);
    kept = Math.max(kept, response.writableLength);
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.ok(kept > 0 && kept < octets + 1024, `${kept} octets were kept`);
  let heard = '';
  socket.on('data', (chunk) => {
    heard = heard.slice(-100) + chunk;
  });
  socket.resume();
  while (response.writableLength > 0) await new Promise((resolve) => setImmediate(resolve));
  tell('the newest');
  while (!heard.includes('data: the newest')) await once(socket, 'data');
  socket.destroy();
});

test('pages that come, listen and go leave nothing behind in Postern', async (t) => {
  const { url } = await openWithPage(t);
  const visit = async (): Promise<void> => {
    assert.match(await (await fetch(url, { headers: withPassword() })).text(), /<main>/);
    const response = await fetch(`${url}/events`, { headers: withPassword() });
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    for (let heard = ''; !/data: .*\n\n/.test(heard); ) heard += Buffer.from((await reader.read()).value ?? []);
    await reader.cancel();
  };
  const visits = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i += 4) await Promise.all([visit(), visit(), visit(), visit()]);
  };
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const holds = async () => {
    await new Promise((resolve) => setTimeout(resolve, 50)); // the last connections are gone
    for (let i = 0; i < 3; i++) collect();
    const { heapUsed, external } = process.memoryUsage();
    return { handles: process.getActiveResourcesInfo().length, octets: heapUsed + external };
  };
  await visits(300);
  const first = await holds();
  await visits(300);
  const last = await holds();
  t.diagnostic(`${JSON.stringify(first)}, then ${JSON.stringify(last)}`);
  assert.ok(last.handles <= first.handles + 4, `${first.handles} handles, then ${last.handles}`);
  assert.ok(last.octets < first.octets + 1_000_000, `${first.octets} octets, then ${last.octets}`);
});
