// Limits as clients hear them: every key of design.md 6 over sockets, at its boundary.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { type Client, Guarded } from './guarded.ts';

const RATE = '450 4.7.1 Too much mail from 192.0.2.1, try again later';
const OTHER = '192.0.2.2';

test('a source sends its rate of messages and not one more, in however many sessions; another is not touched', async (t) => {
  const guarded = await Guarded.open(t, { limits: { source: { message_rate: '3/1h' } } });
  const one = await guarded.greeted();
  const two = await guarded.greeted();
  assert.match(await one.mail(), /^250/);
  assert.match(await two.mail(), /^250/);
  assert.match(await one.mail(), /^250/);
  assert.equal(await one.mail(), RATE);
  assert.equal(await two.mail(), RATE);
  assert.match(await (await guarded.greeted(OTHER)).mail(), /^250/);
  const [entry] = guarded.logged('sender refused');
  assert.deepEqual(
    [entry?.reason, entry?.rule, entry?.client_address],
    ['limit', 'limits.source.message_rate', '192.0.2.1'],
  );
  assert.equal(await guarded.metric('postern_limited_total{kind="source",key="message_rate"}'), 2);
});

test('the rate comes back as time goes by', async (t) => {
  const guarded = await Guarded.open(t, { limits: { source: { message_rate: '2/3s' } } });
  const client = await guarded.greeted();
  for (let i = 0; i < 2; i++) assert.match(await client.mail(), /^250/);
  assert.equal(await client.mail(), RATE);
  await delay(1_510);
  assert.match(await client.mail(), /^250/);
  assert.equal(await client.mail(), RATE);
});

test('what stands for one source is its prefix', async (t) => {
  const guarded = await Guarded.open(t, {
    limits: { source: { message_rate: '1/1h', ipv4_prefix: 24, ipv6_prefix: 48 } },
  });
  assert.match(await (await guarded.greeted('192.0.2.1')).mail(), /^250/);
  assert.match(await (await guarded.greeted('192.0.2.200')).mail(), /^450/);
  assert.match(await (await guarded.greeted('192.0.3.1')).mail(), /^250/);
  assert.match(await (await guarded.greeted('2001:db8:1:1::1')).mail(), /^250/);
  assert.match(await (await guarded.greeted('2001:db8:1:ffff::9')).mail(), /^450/);
  assert.match(await (await guarded.greeted('2001:db8:2:1::1')).mail(), /^250/);
});

test('an IPv6 source is its /64, whatever address in it is used, and a mapped one is IPv4', async (t) => {
  const guarded = await Guarded.open(t, { limits: { source: { message_rate: '1/1h' } } });
  assert.match(await (await guarded.greeted('2001:db8::1')).mail(), /^250/);
  assert.match(await (await guarded.greeted('2001:db8::ffff:2')).mail(), /^450/);
  assert.match(await (await guarded.greeted('192.0.2.1')).mail(), /^250/);
  assert.match(await (await guarded.greeted('::ffff:192.0.2.1')).mail(), /^450/);
});

test('a message that policy refuses is charged to no rate of messages', async (t) => {
  const guarded = await Guarded.open(t, {
    limits: { source: { message_rate: '1/1h' } },
    connector: { submit: 'authenticated' },
  });
  const client = await guarded.greeted();
  for (let i = 0; i < 3; i++) assert.match(await client.mail(), /^530/);
  await client.logIn('alice');
  assert.match(await client.mail(), /^250/);
  assert.equal(await client.mail(), RATE);
});

test('a sender, a login and a connector have rates of their own', async (t) => {
  const guarded = await Guarded.open(t, {
    limits: { sender: { message_rate: '1/1h' }, login: { message_rate: '2/1h' }, connector: { message_rate: '5/1h' } },
    policy: { user_domains: { CORP: 'local.example' } },
  });
  const client = await guarded.greeted();
  assert.match(await client.mail('A@sender.example'), /^250/);
  assert.equal(await client.mail('a@SENDER.example'), RATE);
  assert.equal(await (await guarded.greeted(OTHER)).mail('"a"@sender.example'), RATE.replace('192.0.2.1', OTHER));
  assert.match(await client.mail(''), /^250/);
  assert.match(await client.mail(''), /^250/, 'the null path is no sender');
  await client.logIn('CORP\\alice');
  assert.match(await client.mail('b@sender.example'), /^250/);
  const elsewhere = await guarded.greeted('203.0.113.1');
  await elsewhere.logIn('Alice@local.example');
  assert.match(await elsewhere.mail('c@sender.example'), /^250/);
  assert.equal(await elsewhere.mail('d@sender.example'), RATE.replace('192.0.2.1', '203.0.113.1'));
  assert.match(
    await (await guarded.greeted('203.0.113.2')).mail('e@sender.example'),
    /^450/,
    'the sixth of the connector',
  );
  for (const kind of ['login', 'connector'])
    assert.equal(await guarded.metric(`postern_limited_total{kind="${kind}",key="message_rate"}`), 1);
  assert.equal(await guarded.metric('postern_limited_total{kind="sender",key="message_rate"}'), 2);
});

test('a login has one limit in all its spellings, and a guess counts for every account that it may be', async (t) => {
  const guarded = await Guarded.open(t, {
    limits: { login: { message_rate: '3/1h' } },
    policy: { user_domains: { CORP: 'corp.example', SALES: 'sales.example' } },
  });
  const mailOf = async (name: string, from: string): Promise<string> => {
    const client = await guarded.greeted(from);
    await client.logIn(name);
    return client.mail('a@sender.example');
  };
  for (const name of ['CORP\\alice', 'corp.example\\ALICE', 'alice@CORP'])
    assert.match(await mailOf(name, '203.0.113.1'), /^250/, name);
  for (const name of ['alice', 'Alice@corp.example.', '.\\alice', 'CORP\\alice'])
    assert.match(await mailOf(name, '203.0.113.2'), /^450/, name);
  assert.match(await mailOf('SALES\\alice', '203.0.113.3'), /^250/, 'another person');
  assert.match(await mailOf('bob', '203.0.113.3'), /^250/);
});

test('recipients beyond the rate are refused one by one, and the message goes to the others', async (t) => {
  const guarded = await Guarded.open(t, { limits: { source: { recipient_rate: '2/1h' } } });
  const client = await guarded.greeted();
  const replies = await client.sayAll(
    'MAIL FROM:<s@sender.example>',
    'RCPT TO:<a@local.example>',
    'RCPT TO:<x@foreign.example>',
    'RCPT TO:<b@local.example>',
    'RCPT TO:<c@local.example>',
  );
  assert.deepEqual(
    replies.map((reply) => reply.slice(0, 9)),
    ['250 2.1.0', '250 2.1.5', '554 5.7.1', '250 2.1.5', '450 4.7.1'],
  );
  assert.match(await client.say('DATA'), /^354/);
  assert.match(await client.say('x\r\n.'), /^250/);
});

test('recipients beyond those of one message hear 452, and the log names the limit', async (t) => {
  const guarded = await Guarded.open(t, { limits: { session: { recipients_per_message: 1 } } });
  const client = await guarded.greeted();
  await client.say('MAIL FROM:<s@sender.example>');
  assert.match(await client.say('RCPT TO:<a@local.example>'), /^250/);
  assert.match(await client.say('RCPT TO:<b@local.example>'), /^452 4\.5\.3 /);
  const [line] = guarded.logged('recipient refused');
  assert.deepEqual([line?.reason, line?.rule], ['limit', 'limits.session.recipients_per_message']);
});

test('a server behind that says 421 may count us as one client, and the log says so once', async (t) => {
  const guarded = await Guarded.open(t, { backend: { reply: { MAIL: '421 4.7.0 Too many connections' } } });
  for (let i = 0; i < 2; i++) assert.match(await (await guarded.greeted()).mail(), /^421 4\.7\.0 /);
  const told = guarded.logs.filter(({ msg }) => String(msg).includes('counts all of ours as one'));
  assert.equal(told.length, 1);
});

test('a message half sent is never touched, and octets count for the next', async (t) => {
  const guarded = await Guarded.open(t, { limits: { source: { byte_rate: '200000B/1h' } } });
  const client = await guarded.greeted();
  assert.match(await client.message(150_000), /^250/);
  assert.match(await client.message(150_000), /^250/);
  assert.equal(await client.message(), RATE);
  const other = await guarded.greeted(OTHER);
  assert.match(await other.message(199_000), /^250/);
  assert.match(await other.message(), /^250/, 'not exhausted yet');
});

test('octets of BDAT count as those of DATA do', async (t) => {
  const guarded = await Guarded.open(t, { limits: { source: { byte_rate: '1000B/1h' } } });
  const client = await guarded.greeted();
  await client.sayAll('MAIL FROM:<s@sender.example>', 'RCPT TO:<user@local.example>');
  assert.match(await client.say(`BDAT 1200 LAST\r\n${'x'.repeat(1198)}`), /^250/);
  assert.equal(await client.mail(), RATE);
});

test('a harvester hears of so many unknown recipients and then of none, known or not', async (t) => {
  const guarded = await Guarded.open(t, {
    limits: { source: { rejected_recipient_rate: '3/1h' } },
    backend: { reply: { RCPT: '550 5.1.1 no such user' } },
  });
  const client = await guarded.greeted();
  await client.say('MAIL FROM:<s@sender.example>');
  for (let i = 0; i < 3; i++) assert.match(await client.say(`RCPT TO:<u${i}@local.example>`), /^550/);
  assert.equal(await client.say('RCPT TO:<u4@local.example>'), RATE);
  assert.match(await client.say('RCPT TO:<x@foreign.example>'), /^554/, 'a refusal of the policy stays what it is');
  assert.equal(guarded.standIn.connections[0]?.server.received.toString().match(/RCPT/g)?.length, 3);
  assert.equal(await (await guarded.greeted()).mail(), RATE);
  assert.match(await (await guarded.greeted(OTHER)).mail(), /^250/);
});

test('a harvester learns no more in a pipeline than one by one', async (t) => {
  const guarded = await Guarded.open(t, {
    limits: { source: { rejected_recipient_rate: '10/1h' } },
    backend: { reply: { RCPT: '550 5.1.1 no such user' } },
  });
  const client = await guarded.greeted();
  const guesses = Array.from({ length: 200 }, (_, i) => `RCPT TO:<u${i}@local.example>`);
  const [mail, ...replies] = await client.sayAll('MAIL FROM:<s@sender.example>', ...guesses);
  assert.match(mail ?? '', /^250/);
  assert.deepEqual(
    replies.map((reply) => reply.slice(0, 3)),
    [...Array<string>(10).fill('550'), ...Array<string>(190).fill('450')],
  );
});

test('a harvester is told by us no more than by the server behind', async (t) => {
  const guarded = await Guarded.open(t, {
    limits: { source: { rejected_recipient_rate: '2/1h' } },
    policy: { valid_recipients: { file: `${import.meta.dirname}/valid.txt` } },
  });
  const client = await guarded.greeted();
  const heard = await client.sayAll(
    'MAIL FROM:<s@sender.example>',
    'RCPT TO:<u1@local.example>',
    'RCPT TO:<u2@local.example>',
    'RCPT TO:<u3@local.example>',
    'RCPT TO:<known@local.example>',
  );
  assert.deepEqual(
    heard.map((reply) => reply.slice(0, 3)),
    ['250', '550', '550', '450', '450'],
  );
});

test('many good recipients in a pipeline are not held up by a limit on bad ones', async (t) => {
  const guarded = await Guarded.open(t, { limits: { source: { rejected_recipient_rate: '5/1h' } } });
  const client = await guarded.greeted();
  const all = Array.from({ length: 300 }, (_, i) => `RCPT TO:<u${i}@local.example>`);
  const replies = await client.sayAll('MAIL FROM:<s@sender.example>', ...all);
  assert.deepEqual([...new Set(replies.map((reply) => reply.slice(0, 3)))], ['250']);
});

const WRONG = { reply: { AUTH: '535 5.7.8 no' } };
const LOGINS = '454 4.7.0 Too many failed logins, try again later';

test('a source guesses so many passwords, and then the server behind is not asked', async (t) => {
  const guarded = await Guarded.open(t, {
    limits: { source: { auth_failure_rate: '2/1h' }, session: { auth_failures: 10 } },
    backend: WRONG,
  });
  const client = await guarded.greeted();
  assert.match(await client.logIn('a'), /^535/);
  assert.match(await client.logIn('b'), /^535/);
  assert.equal(await client.logIn('c'), LOGINS);
  assert.equal(await (await guarded.greeted()).logIn('d'), LOGINS);
  assert.match(await (await guarded.greeted(OTHER)).logIn('a'), /^535/);
  assert.equal(guarded.standIn.connections[0]?.server.received.toString().match(/AUTH/g)?.length, 2);
  const [entry] = guarded.logged('login refused');
  assert.deepEqual([entry?.rule, entry?.sasl_username], ['limits.source.auth_failure_rate', 'c']);
});

test('a login is guessed so often from one source; others there, and the user elsewhere, log in', async (t) => {
  const guarded = await Guarded.open(t, {
    limits: { login: { auth_failure_rate: '1/1h' }, session: { auth_failures: 10 } },
    backend: WRONG,
  });
  const client = await guarded.greeted();
  assert.match(await client.logIn('alice'), /^535/);
  assert.equal(await client.logIn('ALICE'), LOGINS);
  assert.match(await client.logIn('bob'), /^535/);
  assert.match(await (await guarded.greeted(OTHER)).logIn('alice'), /^535/);
});

test('another spelling of a login is no further guess', async (t) => {
  const guarded = await Guarded.open(t, {
    limits: { login: { auth_failure_rate: '1/1h' }, session: { auth_failures: 20 } },
    policy: { user_domains: { CORP: 'corp.example', SALES: 'sales.example' } },
    backend: WRONG,
  });
  const client = await guarded.greeted();
  assert.match(await client.logIn('CORP\\alice'), /^535/);
  for (const name of ['alice@corp.example', 'corp.example\\alice', 'alice@CORP', '.\\Alice', 'alice'])
    assert.equal(await client.logIn(name), LOGINS, name);
  assert.match(await client.logIn('SALES\\alice'), /^535/);
});

test('where the name comes later in the login, it ends the session', async (t) => {
  const guarded = await Guarded.open(t, { limits: { login: { auth_failure_rate: '1/1h' } }, backend: WRONG });
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  assert.match(await (await guarded.greeted()).logIn('alice'), /^535/);
  guarded.standIn.expect({ dialect: 'lf' });
  const client = await guarded.greeted();
  assert.match(await client.say('AUTH LOGIN'), /^334/);
  assert.match(await client.say(base64('alice')), /^421 4\.7\.0 Too many failed logins/);
  assert.equal(await client.hear(), '');
  const heard = guarded.standIn.connections[0]?.server.received.toString() ?? '';
  assert.ok(heard.endsWith('AUTH LOGIN\r\n'), 'the server behind never hears the name');
});

test('a temporary failure of a login is no guess, and a good one is free', async (t) => {
  const guarded = await Guarded.open(t, {
    limits: { source: { auth_failure_rate: '1/1h' }, session: { auth_failures: 10 } },
    backend: { reply: { AUTH: '454 4.7.0 later' } },
  });
  const client = await guarded.greeted();
  for (let i = 0; i < 3; i++) assert.equal(await client.logIn('a'), '454 4.7.0 later');
});

test('a source has so many connections, another has its own', async (t) => {
  const guarded = await Guarded.open(t, { limits: { source: { connections: 2 } } });
  const first = await guarded.greeted();
  await guarded.greeted();
  const refused = await guarded.connect();
  assert.equal(refused.greeting, '421 4.7.0 Too many connections from 192.0.2.1');
  assert.match((await guarded.connect(OTHER)).greeting, /^220/);
  await first.quit();
  await first.smtp.end();
  assert.match((await guarded.connect()).greeting, /^220/);
});

test('a source connects so often, and a connection that found no place did not count', async (t) => {
  const guarded = await Guarded.open(t, { limits: { source: { connections: 1, connection_rate: '2/1h' } } });
  const first = await guarded.greeted();
  assert.match((await guarded.connect()).greeting, /^421/);
  await first.quit();
  await first.smtp.end();
  const second = await guarded.greeted();
  await second.quit();
  await second.smtp.end();
  assert.match((await guarded.connect()).greeting, /^421 4\.7\.0/);
  assert.equal(guarded.logs.at(-1)?.reason, 'connection_rate');
  assert.equal(await guarded.metric('postern_limited_total{kind="door",key="connection_rate"}'), 1);
});

test('a source has at most its share of the connections that the others leave', async (t) => {
  const guarded = await Guarded.open(t, {
    limits: { source: { connections_percent: 50 }, connector: { connections: 10 } },
  });
  const greetings = async (source: string, times: number): Promise<string[]> => {
    const heard: string[] = [];
    for (let i = 0; i < times; i++) heard.push((await guarded.connect(source)).greeting.slice(0, 3));
    return heard;
  };
  assert.deepEqual(await greetings('192.0.2.1', 6), ['220', '220', '220', '220', '220', '421']);
  assert.deepEqual(await greetings('192.0.2.2', 3), ['220', '220', '421']);
  assert.deepEqual(await greetings('192.0.2.3', 2), ['220', '421']);
  assert.deepEqual(await greetings('192.0.2.4', 2), ['220', '421'], 'one is always a share');
  assert.equal(await guarded.metric('postern_limited_total{kind="door",key="connections_percent"}'), 4);
});

test('a connector has so many connections, whoever has them', async (t) => {
  const guarded = await Guarded.open(t, { limits: { connector: { connections: 2 } } });
  await guarded.greeted('192.0.2.1');
  await guarded.greeted('192.0.2.2');
  assert.match((await guarded.connect('192.0.2.3')).greeting, /^421 4\.7\.0/);
});

test('replies of the policy are what a client hears', async (t) => {
  const guarded = await Guarded.open(t, {
    limits: { source: { message_rate: '0/1h', connections: 1 } },
    connector: {
      replies: { rate: '451 4.3.2 Slower, {client_address}', connections: '421 4.3.2 The maximum number is reached' },
    },
  });
  assert.equal(await (await guarded.greeted()).mail(), '451 4.3.2 Slower, 192.0.2.1');
  assert.equal((await guarded.connect()).greeting, '421 4.3.2 The maximum number is reached');
});

test('a full connector blames nobody, or says what the policy says', async (t) => {
  for (const [replies, said] of [
    [{}, '421 4.7.0 Too many connections, try again later'],
    [{ connections: '421 4.3.2 Full' }, '421 4.3.2 Full'],
  ] as const) {
    const guarded = await Guarded.open(t, { limits: { connector: { connections: 1 } }, connector: { replies } });
    await guarded.greeted('192.0.2.1');
    assert.equal((await guarded.connect('192.0.2.2')).greeting, said);
  }
});

test('who goes beyond limits too often is banned, its other sessions end, and everyone else goes on', async (t) => {
  const guarded = await Guarded.open(t, {
    limits: { source: { message_rate: '1/1h' }, ban: { after: '3/1h', for: '1h' } },
  });
  const client = await guarded.greeted();
  const idle = await guarded.greeted();
  const busy = await guarded.greeted();
  const quiet = await guarded.greeted(OTHER);
  assert.match(await busy.say('MAIL FROM:<s@sender.example>'), /^250/);
  assert.match(await client.mail(), /^450/);
  assert.match(await client.mail(), /^450/);
  const BANNED = '421 4.7.0 Service for 192.0.2.1 is suspended, try again later';
  assert.equal(await client.mail(), BANNED);
  assert.equal(await idle.hear(), BANNED);
  assert.match(await busy.say('RCPT TO:<user@local.example>'), /^250/, 'a transaction under way goes on');
  assert.match(await busy.say('DATA'), /^354/);
  assert.match(await busy.say('x\r\n.'), /^250/);
  assert.equal(await busy.hear(), BANNED);
  assert.equal((await guarded.connect()).greeting, BANNED);
  assert.match(await quiet.mail(), /^250/);
  assert.deepEqual(
    guarded.logged('banned').map(({ network, seconds, by }) => [network, seconds, by]),
    [['192.0.2.1/32', 3600, 'limits']],
  );
  assert.equal(await guarded.metric('postern_bans'), 1);
  assert.equal(await guarded.metric('postern_limited_total{kind="door",key="banned"}'), 1);
});

test('a ban in mid-transaction lifts no limit of it', async (t) => {
  const guarded = await Guarded.open(t, {
    limits: {
      source: { rejected_recipient_rate: '3/1h', recipient_rate: '5/1h', message_rate: '3/1h' },
      ban: { after: '1/1h' },
    },
    backend: { reply: { RCPT: '550 5.1.1 no such user' } },
  });
  const rcpt = (i: number): string => `RCPT TO:<u${i}@local.example>`;
  const [one, two] = [await guarded.greeted(), await guarded.greeted()];
  assert.match(await two.say('MAIL FROM:<s@sender.example>'), /^250/);
  assert.match(await one.say('MAIL FROM:<s@sender.example>'), /^250/);
  for (let i = 0; i < 3; i++) assert.match(await one.say(rcpt(i)), /^550/);
  assert.equal(await one.say(rcpt(3)), RATE);
  assert.equal(guarded.logged('banned').length, 1);
  for (let i = 0; i < 3; i++) assert.equal(await two.say(rcpt(i)), RATE);
  assert.equal(guarded.logged('banned').length, 1, 'it is banned already');
});

test('a ban ends by itself', async (t) => {
  const guarded = await Guarded.open(t, {
    limits: { source: { message_rate: '0/1h' }, ban: { after: '1/100ms', for: '2s' } },
  });
  assert.match(await (await guarded.greeted()).mail(), /^421/);
  assert.match((await guarded.connect()).greeting, /^421/);
  await delay(2_010);
  assert.match((await guarded.connect()).greeting, /^220/);
});

test('never_ban is never banned, by limits or by the operator, and its limits hold all the same', async (t) => {
  const guarded = await Guarded.open(t, {
    limits: { source: { message_rate: '0/1h' }, ban: { after: '1/1h', never_ban: ['192.0.2.0-192.0.2.1'] } },
  });
  const client = await guarded.greeted();
  for (let i = 0; i < 3; i++) assert.equal(await client.mail(), RATE);
  assert.match(await (await guarded.greeted(OTHER)).mail(), /^421/);
  assert.equal((await guarded.admin('POST', '/bans', { source: '192.0.2.0/24' })).status, 201);
  assert.equal(await client.mail(), RATE);
  assert.match((await guarded.connect()).greeting, /^220/);
  assert.match((await guarded.connect('192.0.2.3')).greeting, /^421/);
});

test('errors that end a session count towards a ban', async (t) => {
  const guarded = await Guarded.open(t, { limits: { session: { errors: 1 }, ban: { after: '1/1h' } } });
  const client = await guarded.greeted();
  assert.match(await client.say('FROB'), /^500/);
  assert.match(await client.say('FROB'), /^421 4\.7\.0 Too many errors/);
  assert.match((await guarded.connect()).greeting, /suspended/);
});

for (const [what, limit, use] of [
  ['a login', { login: { message_rate: '1/1h' } }, (client: Client) => client.logIn('alice')],
  ['a sender', { sender: { message_rate: '1/1h' } }, async () => {}],
  ['a connector', { connector: { message_rate: '1/1h' } }, async () => {}],
] as const) {
  test(`${what} used up from elsewhere bans nobody, however often it is tried`, async (t) => {
    const guarded = await Guarded.open(t, { limits: { session: { errors: 3 }, ...limit, ban: { after: '1/1h' } } });
    const [one, two] = [await guarded.greeted(), await guarded.greeted(OTHER)];
    await use(one);
    assert.match(await one.mail(), /^250/);
    await use(two);
    for (let i = 0; i < 3; i++) assert.match(await two.mail(), /^450/);
    assert.match(await two.mail(), /^421 4\.7\.0 Too many errors/);
    assert.match((await guarded.connect(OTHER)).greeting, /^220/);
  });
}

test('logins that end a session count towards a ban, unless it was the server that failed', async (t) => {
  const limits = { session: { auth_failures: 1 }, ban: { after: '1/1h' } };
  for (const [code, greeting] of [
    ['535 5.7.8 no', /suspended/],
    ['454 4.7.0 later', /^220/],
  ] as const) {
    const guarded = await Guarded.open(t, { limits, backend: { reply: { AUTH: code } } });
    const client = await guarded.greeted();
    assert.equal(await client.logIn('alice'), code);
    assert.match(await client.logIn('alice'), /^421 4\.7\.0 Too many failed logins/);
    assert.match((await guarded.connect()).greeting, greeting);
  }
});

test('in observe everything goes on, is counted, and the log says what would have been', async (t) => {
  const guarded = await Guarded.open(t, {
    limits: {
      source: { message_rate: '1/1h', recipient_rate: '1/1h', connections: 1, auth_failure_rate: '0/1h' },
      ban: { after: '1/1h' },
      tarpit: '1h',
    },
    config: { mode: 'observe' },
  });
  const client = await guarded.greeted();
  assert.match(await client.logIn('alice'), /^235/);
  assert.match(await client.message(), /^250/);
  assert.match(await client.message(), /^250/);
  assert.match((await guarded.connect()).greeting, /^220/);
  const named = guarded.logs
    .filter(({ decision }) => decision === 'would_reject')
    .map(({ protocol_state, reason, rule }) => [protocol_state, rule ?? reason]);
  assert.deepEqual(named, [
    ['AUTH', 'limits.source.auth_failure_rate'],
    ['MAIL', 'limits.source.message_rate'],
    ['RCPT', 'limits.source.recipient_rate'],
    ['CONNECT', 'connections'],
  ]);
  assert.equal(await guarded.metric('postern_limited_total{kind="source",key="message_rate"}'), 1);
  assert.equal(await guarded.metric('postern_bans'), 0);
});

test('a ban ends no session of a connector that only observes', async (t) => {
  const guarded = await Guarded.open(t, {
    limits: { source: { message_rate: '0/1h' }, ban: { after: '1/1h' } },
    policy: {
      connectors: [
        { name: 'internet', remote_ip_ranges: ['any'] },
        { name: 'tried', remote_ip_ranges: ['192.0.2.1'], mode: 'observe' },
      ],
    },
  });
  const [tried, enforced] = [await guarded.greeted(), await guarded.greeted(OTHER)];
  assert.equal((await guarded.admin('POST', '/bans', { source: '192.0.2.0/24' })).status, 201);
  assert.match(await enforced.hear(), /^421 4\.7\.0/);
  assert.match(await tried.message(), /^250/);
  assert.match((await guarded.connect()).greeting, /^220/);
});

test('a guess that is cancelled when its answer is known counts', async (t) => {
  const guarded = await Guarded.open(t, {
    limits: { source: { auth_failure_rate: '2/1h' }, session: { auth_failures: 10 } },
    backend: { caps_add: ['AUTH XOAUTH2'], reply: { AUTH: '334 eyJzdGF0dXMiOiI0MDAifQ==' } },
  });
  const client = await guarded.greeted();
  const token = Buffer.from('user=alice\x01auth=Bearer guess\x01\x01').toString('base64');
  for (let i = 0; i < 2; i++) {
    assert.match(await client.say(`AUTH XOAUTH2 ${token}`), /^334/);
    assert.match(await client.say('*'), /^501/);
  }
  assert.equal(await client.say(`AUTH XOAUTH2 ${token}`), LOGINS);
});

test('a login that is cancelled before any proof is no guess', async (t) => {
  const guarded = await Guarded.open(t, {
    limits: { source: { auth_failure_rate: '1/1h' }, session: { auth_failures: 1 } },
  });
  const client = await guarded.greeted();
  for (let i = 0; i < 3; i++) {
    assert.match(await client.say('AUTH LOGIN YWxpY2U='), /^334/);
    assert.match(await client.say('*'), /^501/);
  }
  assert.match(await client.logIn('alice'), /^235/);
});

test('a reload keeps the counts, and the new limits act at the next question', async (t) => {
  const guarded = await Guarded.open(t, { limits: { source: { message_rate: '4/1h' } } });
  const client = await guarded.greeted();
  for (let i = 0; i < 3; i++) assert.match(await client.mail(), /^250/);
  await guarded.reload({ limits: { source: { message_rate: '3/1h' } } });
  assert.equal(await client.mail(), RATE);
  await guarded.reload({ limits: { source: { message_rate: '5/1h' } } });
  assert.match(await client.mail(), /^250/);
  assert.match(await client.mail(), /^250/);
  assert.equal(await client.mail(), RATE);
});

test('a connector replaces what it names, and counts for itself', async (t) => {
  const guarded = await Guarded.open(t, {
    limits: { source: { message_rate: '1/1h', recipient_rate: '1/1h' } },
    policy: {
      connectors: [
        { name: 'internet', remote_ip_ranges: ['any'] },
        { name: 'lan', remote_ip_ranges: [OTHER], limits: { source: { message_rate: 'unlimited' } } },
      ],
    },
  });
  const client = await guarded.greeted(OTHER);
  for (let i = 0; i < 3; i++) assert.match(await client.mail(), /^250/);
  const lines = ['MAIL FROM:<>', 'RCPT TO:<a@local.example>', 'RCPT TO:<b@local.example>'];
  assert.deepEqual(
    (await client.sayAll(...lines)).map((reply) => reply.slice(0, 3)),
    ['250', '250', '450'],
  );
});
