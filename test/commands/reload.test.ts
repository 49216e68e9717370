// SIGHUP and watch: another policy under a running firewall, and GET /explain, which asks the one in force.

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { serverPair } from '../helpers/certificates.ts';
import { MAIN } from '../helpers/main.ts';
import { SmtpClient } from '../helpers/smtp-client.ts';
import { UpstreamStandIn } from '../helpers/upstream-stand-in.ts';

const TOKEN = 'of-the-operator';

interface Running {
  readonly port: number;
  readonly folder: string;
  hangUp(): void;
  /** Sends SIGHUP and waits for the log line with this message. */
  reload(message: string): Promise<Record<string, unknown>>;
  logged(message: string): Promise<Record<string, unknown>>;
  /** Lines with that message that nobody has asked for. */
  count(message: string): number;
  /** Drops all lines so far. */
  forget(): void;
  ask(path: string, token?: string): Promise<Response>;
  /** Changes something; without a token where it is ''. */
  act(method: string, path: string, token?: string): Promise<Response>;
}

const NEEDS_RESTART =
  'a restart is needed for these keys, which changed in the file; the policy, its limits and the mode are in force';

const CLOSED = policy('internet', []);
const OPEN_TO_PARTNER = policy('internet', [{ name: 'partner', allow: { recipient_domains: ['partner.example'] } }]);

function policy(name: string, rules: object[], more: object = {}): object {
  const connector = { name, remote_ip_ranges: ['any'], rules, ...more };
  return { version: 1, accepted_domains: ['local.example'], connectors: [connector] };
}

/** Of a test by itself. */
function start(t: TestContext, config: object = {}, nodeArgs: readonly string[] = []): Promise<Running> {
  return launch(config, (end) => t.after(end), nodeArgs);
}

let shared: Promise<Running> | null = null;
let endShared = async (): Promise<void> => {};
after(() => endShared()); // here and not where it is started, which is within a test
let settled = '';

/** One for all tests that need no settings of their own, with its first files in force again. */
async function started(): Promise<Running> {
  shared ??= launch({}, (end) => {
    endShared = end;
  });
  const running = await shared;
  const settings = join(running.folder, 'postern.yaml');
  if (settled === '') settled = readFileSync(settings, 'utf8');
  writeFileSync(settings, settled);
  writeFileSync(join(running.folder, 'policy.yaml'), JSON.stringify(CLOSED));
  await running.reload('reloaded');
  running.forget();
  return running;
}

async function launch(
  config: object,
  atEnd: (end: () => Promise<void>) => void,
  nodeArgs: readonly string[] = [],
): Promise<Running> {
  const upstream = await UpstreamStandIn.listen({ dialect: 'strict' });
  const folder = mkdtempSync(join(tmpdir(), 'postern-reload-'));
  writeFileSync(join(folder, 'policy.yaml'), JSON.stringify(CLOSED));
  writeFileSync(join(folder, 'token'), `${TOKEN}\n`);
  const settings = {
    listeners: [{ bind: ['127.0.0.1:0'] }],
    upstream: { servers: [`127.0.0.1:${upstream.port}`] },
    policy: 'policy.yaml',
    admin: { listen: '127.0.0.1:0', token_file: 'token' },
    lost_address_guard: 'warn',
    ...config,
  };
  writeFileSync(join(folder, 'postern.yaml'), JSON.stringify(settings));
  const child = spawn(process.execPath, [...nodeArgs, MAIN, 'run', '--config', join(folder, 'postern.yaml')]);
  atEnd(async () => {
    child.kill('SIGKILL');
    await once(child, 'exit');
    await upstream.close();
    rmSync(folder, { recursive: true });
  });
  const lines = logOf(child);
  const listening = await lines.next('listening');
  const base = `http://${listening.admin}`;
  return {
    port: Number((listening.addresses as string[])[0]?.split(':')[1]),
    folder,
    logged: (message) => lines.next(message),
    count: (message) => lines.count(message),
    forget: () => lines.forget(),
    hangUp: () => void child.kill('SIGHUP'),
    reload: (message) => {
      lines.drop(message); // of a reload before, that nobody waited for
      child.kill('SIGHUP');
      return lines.next(message);
    },
    ask: (path, token = TOKEN) => fetch(base + path, { headers: { authorization: `Bearer ${token}` } }),
    act: (method, path, token = TOKEN) =>
      fetch(base + path, { method, headers: token === '' ? {} : { authorization: `Bearer ${token}` } }),
  };
}

/** The log as it comes: each call waits for the next line with that message. */
function logOf(child: ChildProcess) {
  const seen: Record<string, unknown>[] = [];
  let wake = (): void => {};
  let rest = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    seen.push(...lines.map((line) => JSON.parse(line) as Record<string, unknown>));
    wake();
  });
  return {
    forget: (): void => void seen.splice(0),
    drop: (message: string): void => void seen.splice(0, seen.length, ...seen.filter(({ msg }) => msg !== message)),
    count: (message: string): number => seen.filter(({ msg }) => msg === message).length,
    async next(message: string): Promise<Record<string, unknown>> {
      for (;;) {
        const at = seen.findIndex(({ msg }) => msg === message);
        if (at !== -1) return seen.splice(at, 1)[0] as Record<string, unknown>;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
  };
}

async function say(client: SmtpClient, line: string): Promise<string> {
  await client.write(Buffer.from(line === '' ? '' : `${line}\r\n`));
  return (await client.reply())?.text.trimEnd() ?? 'closed';
}

async function greeted(running: Running): Promise<SmtpClient> {
  const client = new SmtpClient(running.port);
  await say(client, '');
  await say(client, 'EHLO client.example');
  return client;
}

test('a session in mid-transaction finishes it under the old policy, and its next MAIL is judged by the new one', async () => {
  const running = await started();
  const client = await greeted(running);
  await say(client, 'MAIL FROM:<a@sender.example>');
  writeFileSync(join(running.folder, 'policy.yaml'), JSON.stringify(OPEN_TO_PARTNER));
  await running.reload('reloaded');
  assert.match(await say(client, 'RCPT TO:<x@partner.example>'), /^554 /);
  await say(client, 'RSET');
  await say(client, 'MAIL FROM:<a@sender.example>');
  assert.match(await say(client, 'RCPT TO:<x@partner.example>'), /^250 /);
  client.destroy();
});

test('a session whose connector is gone, or that may not connect any more, hears 421 at its next MAIL', async () => {
  const running = await started();
  for (const next of [
    policy('other', []),
    policy('internet', [], { connect: { allow: ['any'], deny: ['127.0.0.1'] } }),
    policy('internet', [], { chunking: 'hide' }),
  ]) {
    writeFileSync(join(running.folder, 'policy.yaml'), JSON.stringify(CLOSED));
    await running.reload('reloaded');
    const client = await greeted(running);
    writeFileSync(join(running.folder, 'policy.yaml'), JSON.stringify(next));
    await running.reload('reloaded');
    assert.equal(
      await say(client, 'MAIL FROM:<a@sender.example>'),
      '421 4.3.2 Configuration changed, please connect again',
    );
    assert.equal(await say(client, 'NOOP'), 'closed');
    client.destroy();
  }
});

test('a faulty file is refused whole, with every fault in the log, and the old policy stays', async () => {
  const running = await started();
  const before = await (await running.ask('/metrics')).text();
  writeFileSync(join(running.folder, 'policy.yaml'), '{ version: 1, accepted_domain: [local.example] }');
  const line = await running.reload('reload refused, the old config stays');
  assert.match(JSON.stringify(line.findings), /policy\.yaml:1:15: error: accepted_domain: .*accepted_domains/);
  const client = await greeted(running);
  await say(client, 'MAIL FROM:<a@sender.example>');
  assert.match(await say(client, 'RCPT TO:<x@local.example>'), /^250 /);
  client.destroy();
  const version = /postern_policy_loaded_timestamp\{version="([0-9a-f]{12})"\} \d+/;
  assert.equal(version.exec(await (await running.ask('/metrics')).text())?.[1], version.exec(before)?.[1]);
});

test('a reload shows in the metrics, and says what it could not change', async () => {
  const running = await started();
  const version = async (): Promise<string | undefined> =>
    /postern_policy_loaded_timestamp\{version="(\w+)"\}/.exec(await (await running.ask('/metrics')).text())?.[1];
  const first = await version();
  writeFileSync(join(running.folder, 'policy.yaml'), JSON.stringify(OPEN_TO_PARTNER));
  await running.reload('reloaded');
  assert.notEqual(await version(), first);
  const file = join(running.folder, 'postern.yaml');
  const config = JSON.parse(readFileSync(file, 'utf8')) as object;
  writeFileSync(file, JSON.stringify({ ...config, timeouts: { command: '1m' }, workers: 2, mode: 'observe' }));
  await running.reload('reloaded');
  assert.equal((await running.logged(NEEDS_RESTART)).keys, 'timeouts, workers');
  running.forget();
  await running.reload('reloaded');
  assert.equal((await running.logged(NEEDS_RESTART)).keys, 'timeouts, workers', 'until there has been one');
});

test('certificates that a listener had not, and a connector that ends TLS with them, need no restart', async () => {
  const running = await started();
  const file = join(running.folder, 'postern.yaml');
  const config = JSON.parse(readFileSync(file, 'utf8')) as object;
  const certificates = [{ cert: serverPair().certFile, key: serverPair().keyFile }];
  const listeners = [
    { bind: ['127.0.0.1:0'], certificates, client_ca: serverPair().certFile, tls_min_version: 'TLSv1.3' },
  ];
  writeFileSync(file, JSON.stringify({ ...config, listeners }));
  writeFileSync(join(running.folder, 'policy.yaml'), JSON.stringify(policy('internet', [], { starttls: 'terminate' })));
  await running.reload('reloaded');
  const client = await greeted(running);
  assert.match(await say(client, 'STARTTLS'), /^220 /);
  await client.shakeHands();
  assert.match(await say(client, 'EHLO client.example'), /^250-/);
  assert.equal(running.count(NEEDS_RESTART), 0);
  client.destroy();
});

test('with watch, a changed file is read without a signal', async (t) => {
  const running = await start(t, { watch: true });
  writeFileSync(join(running.folder, 'policy.yaml'), JSON.stringify(OPEN_TO_PARTNER));
  await running.logged('reloaded');
  const client = await greeted(running);
  await say(client, 'MAIL FROM:<a@sender.example>');
  assert.match(await say(client, 'RCPT TO:<x@partner.example>'), /^250 /);
  client.destroy();
});

test('with watch, an authority of a named upstream is read anew, too', async (t) => {
  const ca = join(mkdtempSync(join(tmpdir(), 'postern-authority-')), 'ca.pem');
  t.after(() => rmSync(dirname(ca), { recursive: true }));
  copyFileSync(serverPair().certFile, ca);
  const tls = { mode: 'require', name: 'mail.example.com', ca };
  const running = await start(t, { watch: true, upstreams: { relay: { servers: ['192.0.2.1:25'], tls } } });
  appendFileSync(ca, readFileSync(ca));
  await running.logged('reloaded');
});

/** The first folder cannot be watched, as above the system's limit. */
const FIRST_NOT_WATCHED = `data:text/javascript,
  import fs from 'node:fs';
  import { syncBuiltinESMExports } from 'node:module';
  const { watch } = fs;
  fs.watch = (folder) => {
    fs.watch = watch;
    syncBuiltinESMExports();
    throw new Error('ENOSPC: System limit for number of file watchers reached, watch ' + folder);
  };
  syncBuiltinESMExports();`.replaceAll('\n', ' ');

test('what cannot be watched is said, stops nothing, and is tried again with the next reload', async (t) => {
  const running = await start(t, { watch: true }, ['--import', FIRST_NOT_WATCHED]);
  const said = await running.logged(
    'a folder of the configuration is not watched: what changes there is read at SIGHUP or postern reload',
  );
  assert.deepEqual([said.file, String(said.why).slice(0, 6)], [running.folder, 'ENOSPC']);
  await running.reload('reloaded');
  writeFileSync(join(running.folder, 'policy.yaml'), JSON.stringify(OPEN_TO_PARTNER));
  await running.logged('reloaded');
});

test('GET /explain asks the policy in force, for who has the token', async () => {
  const running = await started();
  const question = '/explain?source=192.0.2.1&rcpt=x@partner.example';
  assert.equal((await running.ask(question, 'guessed')).status, 401);
  const answer = (await (await running.ask(question)).json()) as { answer: string; connector: { name: string } };
  assert.deepEqual([answer.answer, answer.connector.name], ['reject', 'internet']);
  writeFileSync(join(running.folder, 'policy.yaml'), JSON.stringify(OPEN_TO_PARTNER));
  await running.reload('reloaded');
  const after = (await (await running.ask(question)).json()) as {
    answer: string;
    recipients: { rules: { name: string; place: string }[] }[];
  };
  assert.equal(after.answer, 'proceed');
  assert.match(after.recipients[0]?.rules[0]?.place ?? '', /policy\.yaml:\d+$/);
  const wrong = await running.ask('/explain?source=nobody&rcpt=x@y.example');
  assert.deepEqual([wrong.status, await wrong.json()], [400, { error: 'source: "nobody" is not an address' }]);
});

test('the log line of a refusal tells the rules that were tried', async () => {
  const running = await started();
  const rules = [
    { name: 'roaming', allow: { authenticated: true } },
    { name: 'partner', allow: { recipient_domains: ['partner.example'] } },
  ];
  writeFileSync(join(running.folder, 'policy.yaml'), JSON.stringify(policy('internet', rules)));
  await running.reload('reloaded');
  const client = await greeted(running);
  await say(client, 'MAIL FROM:<a@sender.example>');
  await say(client, 'RCPT TO:<x@foreign.example>');
  const line = await running.logged('recipient refused');
  assert.equal(line.trace, 'roaming no(authenticated), partner no(recipient_domains)');
  client.destroy();
});

test('observe at connection time lets in, and the log has what would have been said', async () => {
  const running = await started();
  const next = policy('internet', [], { mode: 'observe', connect: { allow: ['any'], deny: ['127.0.0.1'] } });
  writeFileSync(join(running.folder, 'policy.yaml'), JSON.stringify(next));
  await running.reload('reloaded');
  const client = await greeted(running);
  const line = await running.logged('connection would be refused');
  assert.deepEqual([line.decision, line.reason, line.reply], ['would_reject', 'connect', '554 5.7.1 Access denied']);
  await say(client, 'MAIL FROM:<a@sender.example>');
  assert.match(await say(client, 'RCPT TO:<x@foreign.example>'), /^250 /);
  const refusal = await running.logged('recipient would be refused');
  assert.equal(refusal.reply, '554 5.7.1 <x@foreign.example>: Recipient address rejected: Relay access denied');
  const ready = (await (await running.ask('/readyz')).json()) as { protected: boolean; warning: string };
  assert.equal(ready.protected, false);
  assert.match(ready.warning, /internet/);
  client.destroy();
});

for (const workers of [1, 2]) {
  test(`the lists that a policy names are read anew, watched and ${workers === 1 ? 'refused whole' : 'known to every worker'}`, async (t) => {
    const lists = mkdtempSync(join(tmpdir(), 'postern-lists-'));
    t.after(() => rmSync(lists, { recursive: true }));
    const listed = join(lists, 'blocked.txt');
    writeFileSync(listed, '# nobody yet\r\n');
    const allow = { recipient_domains: ['partner.example', 'other.example'] };
    const rules = [
      { name: 'listed', deny: { recipient_domains: [`file:${listed}`] } },
      { name: 'rest', allow },
    ];
    const running = await start(t, { workers, watch: true, policy: policy('internet', rules) });
    const asked = async (): Promise<string[]> => {
      const client = await greeted(running);
      await say(client, 'MAIL FROM:<a@sender.example>');
      const replies = [];
      for (const domain of ['partner', 'other'])
        replies.push((await say(client, `RCPT TO:<x@${domain}.example>`)).slice(0, 3));
      client.destroy();
      return replies;
    };
    assert.deepEqual(await asked(), ['250', '250']);
    writeFileSync(listed, 'partner.example   # since today\r\n');
    await running.logged('reloaded');
    for (let i = 0; i < workers * 4; i++) assert.deepEqual(await asked(), ['554', '250']);
    writeFileSync(listed, 'other.example\n*\n');
    const { findings: errors } = await running.logged('reload refused, the old config stays');
    assert.match(
      String(errors),
      /blocked\.txt:2:1: error: policy\.connectors\[0\]\.rules\[0\]\.deny\.recipient_domains\[0\]: '\*'/,
    );
    assert.deepEqual(await asked(), ['554', '250']);
    writeFileSync(listed, 'other.example\n');
    await running.logged('reloaded');
    assert.deepEqual(await asked(), ['250', '554']);
  });
}

test('watch tries a faulty file once, whatever else changes beside it', async (t) => {
  const running = await start(t, { watch: true });
  writeFileSync(join(running.folder, 'policy.yaml'), '{ version: 1 }');
  await running.logged('reload refused, the old config stays');
  writeFileSync(join(running.folder, 'notes.txt'), 'nothing of ours');
  writeFileSync(join(running.folder, 'policy.yaml'), JSON.stringify(OPEN_TO_PARTNER));
  await running.logged('reloaded');
  assert.equal(running.count('reload refused, the old config stays'), 0);
});

for (const [workers, count] of [
  [1, 400_000],
  [2, 200_000],
] as const)
  test(`ten SIGHUPs at once are two reloads of ${count} recipients, and sessions are served beside them by ${workers}`, async (t) => {
    const running = await start(t, { workers });
    const recipients = Array.from({ length: count }, (_, i) => `user${i}@local.example\n`).join('');
    const list = join(running.folder, 'recipients.txt');
    writeFileSync(list, recipients);
    writeFileSync(join(running.folder, 'policy.yaml'), JSON.stringify({ ...CLOSED, valid_recipients: { file: list } }));
    await running.reload('reloaded');
    let over = false;
    let sessions = 0;
    const traffic = async (): Promise<void> => {
      while (!over) {
        const client = await greeted(running);
        await say(client, 'MAIL FROM:<a@sender.example>');
        assert.match(await say(client, 'RCPT TO:<user199999@local.example>'), /^250 /);
        assert.match(await say(client, 'RCPT TO:<nobody@local.example>'), /^550 /);
        assert.match(await say(client, 'QUIT'), /^221 /);
        client.destroy();
        sessions++;
      }
    };
    const beside = traffic();
    for (let i = 0; i < 10; i++) {
      running.hangUp();
      if (i === 4) writeFileSync(list, `${recipients}late@local.example\n`);
      await (await running.ask('/healthz')).text(); // the signal was taken
    }
    await running.logged('reloaded');
    const before = sessions;
    await running.logged('reloaded');
    over = true;
    await beside;
    assert.equal(running.count('reloaded'), 0, 'none is left');
    assert.ok(sessions > before && before > 0, `${before} and ${sessions} sessions beside the reloads`);
    const client = await greeted(running);
    await say(client, 'MAIL FROM:<a@sender.example>');
    assert.match(await say(client, 'RCPT TO:<late@local.example>'), /^250 /, 'what was written last is in force');
    client.destroy();
  });

test('a faulty file that is mended while it is read is in force in the end, and nothing between', async () => {
  const running = await started();
  const file = join(running.folder, 'policy.yaml');
  writeFileSync(file, 'version: 2\n');
  running.hangUp();
  await running.logged('reload refused, the old config stays');
  writeFileSync(file, JSON.stringify(OPEN_TO_PARTNER));
  for (let i = 0; i < 3; i++) running.hangUp();
  await running.logged('reloaded');
  const client = await greeted(running);
  await say(client, 'MAIL FROM:<a@sender.example>');
  assert.match(await say(client, 'RCPT TO:<x@partner.example>'), /^250 /);
  client.destroy();
});

for (const workers of [1, 2]) {
  test(`POST /reload does what SIGHUP does, and says what became of it (workers: ${workers})`, async (t) => {
    const running = await start(t, { workers });
    const client = await greeted(running);
    writeFileSync(join(running.folder, 'policy.yaml'), JSON.stringify(OPEN_TO_PARTNER));
    const done = await running.act('POST', '/reload');
    const { policy_version, ...outcome } = (await done.json()) as Record<string, unknown>;
    assert.deepEqual([done.status, outcome], [200, { reloaded: true, needs_restart: [] }]);
    const status = async () => (await (await running.ask('/status')).json()) as Record<string, unknown>;
    assert.equal(((await status()).policy as { version: string }).version, policy_version);
    await say(client, 'MAIL FROM:<a@sender.example>');
    assert.match(await say(client, 'RCPT TO:<x@partner.example>'), /^250 /);

    writeFileSync(join(running.folder, 'policy.yaml'), '{ "version": 1, "acepted_domains": [] }');
    const refused = await running.act('POST', '/reload');
    const why = (await refused.json()) as { reloaded: boolean; findings: string[] };
    assert.deepEqual([refused.status, why.reloaded], [422, false]);
    assert.match(why.findings.join(), /acepted_domains.*did you mean/);
    const after = await status();
    assert.match(String(after.warnings), /the reload of \S+ was refused and the configuration before it is in force/);
    assert.equal((after.policy as { version: string }).version, policy_version);
    assert.match(await say(client, 'RCPT TO:<y@partner.example>'), /^250 /);

    writeFileSync(join(running.folder, 'policy.yaml'), JSON.stringify(CLOSED));
    assert.equal((await running.act('POST', '/reload')).status, 200);
    assert.deepEqual((await status()).warnings, []);
    client.destroy();
  });
}

test('where a token file is named, what tells of clients and what changes something need the token', async () => {
  const running = await started();
  for (const path of ['/status', '/sessions']) {
    assert.equal((await running.ask(path, 'other')).status, 401, path);
    assert.equal((await running.ask(path)).status, 200, path);
  }
  for (const [method, path] of [
    ['DELETE', '/sessions/1-1'],
    ['POST', '/servers/10.0.0.10:25/drain'],
    ['DELETE', '/servers/10.0.0.10:25/drain'],
    ['POST', '/reload'],
  ] as const) {
    for (const token of ['', 'other']) assert.equal((await running.act(method, path, token)).status, 401, path);
    assert.equal((await running.act(method, `${path}?token=${TOKEN}`, '')).status, 401, path);
  }
  for (const path of ['/healthz', '/readyz', '/metrics']) assert.notEqual((await running.ask(path, 'x')).status, 401);
});

test('what check would warn of is in the log with the reload that brings it, once', async () => {
  const running = await started();
  const denied = join(running.folder, 'denied.txt');
  writeFileSync(
    join(running.folder, 'policy.yaml'),
    JSON.stringify({ blocked_domains: ['file:denied.txt'], ...CLOSED }),
  );
  writeFileSync(denied, 'bad.example\n');
  await running.reload('reloaded');
  writeFileSync(denied, '');
  await running.reload('reloaded');
  const said = `${running.folder}/policy.yaml:1:21: warning: blocked_domains[0]: ${denied} lists nothing, so it forbids nothing: a comment in it (#) says that this is meant`;
  await running.logged(said);
  await running.reload('reloaded');
  await running.reload('reloaded');
  assert.equal(running.count(said), 0, 'once');
});

test('another token in the token file is in force with the reload, and the one before it no longer', async () => {
  const running = await started();
  const token = join(running.folder, 'token');
  writeFileSync(token, 'another\n');
  assert.equal((await running.ask('/status', 'another')).status, 401, 'not before');
  await running.reload('reloaded');
  assert.equal((await running.ask('/status')).status, 401);
  assert.equal((await running.ask('/status', 'another')).status, 200);
  assert.equal(running.count(NEEDS_RESTART), 0);
  writeFileSync(token, `${TOKEN}\n`);
  await running.reload('reloaded');
  assert.equal((await running.ask('/status')).status, 200);
});
