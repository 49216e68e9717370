// Logins as they really go by: GNU SASL, swaks and nodemailer log in through Postern at Postfix, which asks Dovecot or
// Cyrus SASL, in each mechanism that these offer. Every user has one mechanism and one password, so the name that Postern
// read is right or nobody's.
import assert from 'node:assert/strict';
import { after, before, suite, test } from 'node:test';
import { createTransport } from 'nodemailer';
import { freePort } from '../helpers/free-port.ts';
import type { Bed } from './beds/bed.ts';
import { CYRUS_MECHANISMS, CYRUS_SETTINGS, cyrusConfiguration, missingCyrus } from './beds/cyrus.ts';
import { DOVECOT_MECHANISMS, missingDovecot, startDovecot, tokenFor } from './beds/dovecot.ts';
import { type Kdc, missingKerberos, startKdc } from './beds/kerberos.ts';
import { postfix, startPostfix } from './beds/postfix.ts';
import { Authority } from './certificates.ts';
import { run } from './children.ts';
import { Client } from './client.ts';
import { type ConfiguredPostern, startConfigured } from './postern.ts';
import { Sink } from './sink.ts';
import { missing } from './tools.ts';

const PASSWORD = 'a secret & more';
/** Who connects from here logs in over TLS only. */
const CAREFUL = '127.0.0.51';

/** Alice may relay as a member of a group, and dora, whom Windows calls CORP\dora. */
const POLICY = {
  groups: { approved: ['alice', 'dora@corp.example.com'] },
  user_domains: { CORP: 'corp.example.com' },
  connectors: [
    {
      name: 'internet',
      remote_ip_ranges: ['any'],
      senders: { login_must_match: { alice: ['alice@local.example'] } },
      rules: [{ name: 'approved', allow: { groups: ['approved'] } }],
    },
  ],
};

/** Beside the connector above, which stays as it is. */
const OVER_TLS = {
  name: 'over-tls',
  remote_ip_ranges: [`${CAREFUL}/32`],
  starttls: 'terminate',
  auth: 'require_tls',
  rules: [{ name: 'approved', allow: { groups: ['approved'] } }],
};

function userOf(mechanism: string): string {
  return `${mechanism.toLowerCase()}-user`;
}

function passwordOf(mechanism: string): string {
  return `${mechanism} ${PASSWORD}`;
}

function usersOf(mechanisms: readonly string[]): Record<string, string> {
  const users = mechanisms.map((mechanism) => [userOf(mechanism), passwordOf(mechanism)] as const);
  return Object.fromEntries([
    ...users,
    ['alice', PASSWORD],
    ['carol', PASSWORD],
    ['CORP\\dora', PASSWORD],
    ['alice@elsewhere.example', `${PASSWORD} elsewhere`],
  ]);
}

/** GNU SASL says EHLO, AUTH and QUIT; 0 when it was let in. */
async function gsasl(
  port: number,
  mechanism: string,
  user: string,
  password: string,
  ...more: string[]
): Promise<string | 0> {
  const connection = ['--smtp', '--no-starttls', '--no-cb', '--connect', `127.0.0.1:${port}`];
  const who = ['--authentication-id', user, '--password', password, '--hostname', 'local.example'];
  const { code, output } = await run('gsasl', [
    ...connection,
    ...['--mechanism', mechanism, '--quality-of-protection', 'qop-auth'],
    ...who,
    ...more,
  ]);
  return code === 0 ? 0 : output;
}

// Exit codes of swaks.
const NO_LOGIN = 28;
const SENDER_REFUSED = 23;
const RECIPIENT_REFUSED = 24;

/** swaks up to the answer to RCPT; 0 when that was 2yz. */
async function swaks(port: number, from: string, to: string, ...more: string[]): Promise<number | null> {
  const envelope = ['--from', from, '--to', to, '--quit-after', 'RCPT'];
  return (await run('swaks', ['--server', `127.0.0.1:${port}`, ...envelope, ...more])).code;
}

/** For a Postern in front of a server that knows these users; `nameOf` says how NTLM names one. */
function testMechanisms(
  mechanisms: readonly string[],
  postern: () => ConfiguredPostern,
  nameOf: (user: string) => string,
): void {
  for (const mechanism of mechanisms) {
    test(`${mechanism} by GNU SASL: the log has the name that logged in`, async () => {
      const user = userOf(mechanism);
      assert.equal(await gsasl(postern().port, mechanism, user, passwordOf(mechanism)), 0);
      const name = mechanism === 'NTLM' ? nameOf(user) : user;
      await postern().logged('session ended', { sasl_method: mechanism, sasl_username: name });
    });
  }

  test('a wrong password in any mechanism is counted, and names nobody', async () => {
    const tries = mechanisms.map((mechanism) => gsasl(postern().port, mechanism, userOf(mechanism), 'wrong'));
    for (const failed of await Promise.all(tries)) assert.notEqual(failed, 0);
    for (const _ of mechanisms)
      await postern().logged('session ended', { login_failures: 1, sasl_username: undefined });
  });
}

/** The mechanisms of the line that begins with AUTH, in the server's order. */
async function offered(port: number): Promise<string[]> {
  const client = new Client(port);
  await client.reply();
  const capabilities = await client.say('EHLO client.example');
  client.close();
  return /^250.AUTH (.*)\r$/m.exec(capabilities)?.[1]?.split(' ') ?? [];
}

const skip = postfix.missing || missing(['gsasl', 'swaks', 'openssl']);

// At the same time: most of it is waiting for servers.
suite('logins through Postern at Postfix, which asks', { concurrency: true, skip }, () => {
  suite('Dovecot', { concurrency: false, skip: missingDovecot }, () => {
    let sink: Sink;
    let dovecot: Bed;
    let server: Bed;
    let postern: ConfiguredPostern;

    before(async () => {
      sink = await Sink.start();
      dovecot = await startDovecot(await freePort(), usersOf(DOVECOT_MECHANISMS));
      server = await startPostfix(sink.port, await freePort(), {
        main: [
          'smtpd_sasl_auth_enable = yes',
          'smtpd_sasl_type = dovecot',
          `smtpd_sasl_path = inet:127.0.0.1:${dovecot.port}`,
        ],
      });
      const { cert, key } = new Authority().issue(['mx.local.example']);
      postern = await startConfigured({
        listeners: [{ certificates: [{ cert, key }] }, { certificates: [{ cert, key }], implicit_tls: true }],
        upstream: { servers: [`127.0.0.1:${server.port}`] },
        policy: { ...POLICY, connectors: [...POLICY.connectors, OVER_TLS] },
      });
    });
    after(async () => {
      await postern?.stop();
      await server?.stop();
      await dovecot?.stop();
      await sink?.stop();
    });

    test('all mechanisms that Dovecot offers are offered through Postern', async () => {
      assert.deepEqual(await offered(server.port), DOVECOT_MECHANISMS);
      assert.deepEqual(await offered(postern.port), DOVECOT_MECHANISMS);
    });

    testMechanisms(
      DOVECOT_MECHANISMS.filter((mechanism) => !/OAUTH/.test(mechanism)),
      () => postern,
      (user) => user,
    );

    test('DIGEST-MD5 with another realm is a login of somebody else, and named so', async () => {
      // Dovecot takes the realm as the domain of the user: the password is that of alice@elsewhere.example.
      const realm = ['--realm', 'elsewhere.example'];
      assert.equal(await gsasl(postern.port, 'DIGEST-MD5', 'alice', `${PASSWORD} elsewhere`, ...realm), 0);
      await postern.logged('session ended', { sasl_username: 'alice@elsewhere.example' });
    });

    test('XOAUTH2 by nodemailer: the log has the name in the token', async () => {
      const auth = { type: 'OAuth2' as const, user: 'xoauth2-user', accessToken: tokenFor('xoauth2-user') };
      const transport = createTransport({ host: '127.0.0.1', port: postern.port, ignoreTLS: true, auth });
      assert.equal(await transport.verify(), true);
      transport.close();
      await postern.logged('session ended', { sasl_method: 'XOAUTH2', sasl_username: 'xoauth2-user' });
    });

    for (const [token, owner] of [
      ['the token of its own user', 'oauthbearer-user'],
      ['a token that Dovecot does not take', null],
    ] as const) {
      test(`OAUTHBEARER with ${token}`, async () => {
        const client = new Client(postern.port);
        await client.reply();
        await client.say('EHLO client.example');
        const bearer = owner === null ? 'no-token' : tokenFor(owner);
        const response = `n,a=oauthbearer-user,\x01host=local.example\x01auth=Bearer ${bearer}\x01\x01`;
        let reply = await client.say(`AUTH OAUTHBEARER ${Buffer.from(response, 'latin1').toString('base64')}`);
        if (reply.startsWith('334')) reply = await client.say('AQ=='); // RFC 7628 §3.2.3
        assert.match(reply, owner === null ? /^535/ : /^235/);
        client.close();
        const fields = owner === null ? { login_failures: 1 } : { sasl_method: 'OAUTHBEARER', sasl_username: owner };
        await postern.logged('session ended', fields);
      });
    }

    const login = (user: string) => ['--auth', 'PLAIN', '--auth-user', user, '--auth-password', PASSWORD];
    const FOREIGN = 'someone@foreign.example';

    test('who is in a group relays after the login, by swaks, and not before', async () => {
      assert.equal(await swaks(postern.port, 'alice@local.example', FOREIGN), RECIPIENT_REFUSED);
      assert.equal(await swaks(postern.port, 'alice@local.example', FOREIGN, ...login('alice')), 0);
    });

    test('who is in no group does not, logged in or not', async () => {
      assert.equal(await swaks(postern.port, 'carol@local.example', FOREIGN, ...login('carol')), RECIPIENT_REFUSED);
    });

    test('CORP\\dora logs in at Dovecot, and is dora@corp.example.com to the rules', async () => {
      assert.equal(await swaks(postern.port, 'dora@local.example', FOREIGN, ...login('CORP\\dora')), 0);
      await postern.logged('session ended', { sasl_username: 'CORP\\dora', recipients_accepted: 1 });
    });

    test('login_must_match: alice is nobody else, carol is free', async () => {
      const to = 'bob@local.example';
      assert.equal(await swaks(postern.port, 'carol@local.example', to, ...login('alice')), SENDER_REFUSED);
      await postern.logged('sender refused', { sasl_username: 'alice', reason: 'sender' });
      assert.equal(await swaks(postern.port, 'alice@local.example', to, ...login('carol')), 0);
    });

    const careful = ['--local-interface', CAREFUL];

    test('auth: require_tls hides every login in clear, and refuses one that is tried', async () => {
      const client = new Client(postern.port, CAREFUL);
      await client.reply();
      assert.doesNotMatch(await client.say('EHLO client.example'), /AUTH/);
      const response = Buffer.from(`\0alice\0${PASSWORD}`).toString('base64');
      assert.match(await client.say(`AUTH PLAIN ${response}`), /^538 /);
      client.close();
      assert.equal(await swaks(postern.port, 'alice@local.example', FOREIGN, ...careful, ...login('alice')), NO_LOGIN);
    });

    for (const [way, port, option] of [
      ['STARTTLS', () => postern.port, '-tls'],
      ['a port of its own', () => postern.ports[1] as number, '-tlsc'],
    ] as const) {
      test(`auth: require_tls offers them inside TLS by ${way}: alice logs in by swaks and relays`, async () => {
        const how = [option, ...careful, ...login('alice')];
        assert.equal(await swaks(port(), 'alice@local.example', FOREIGN, ...how), 0);
        const fields = { sasl_username: 'alice', connector: 'over-tls', encryption_protocol: 'TLSv1.3' };
        await postern.logged('session ended', { ...fields, recipients_accepted: 1 });
      });
    }
  });

  suite('Cyrus SASL', { concurrency: false, skip: missingCyrus }, () => {
    let sink: Sink;
    let server: Bed;
    let postern: ConfiguredPostern;

    before(async () => {
      sink = await Sink.start();
      const cyrus = cyrusConfiguration(usersOf(CYRUS_MECHANISMS));
      server = await startPostfix(sink.port, await freePort(), { main: CYRUS_SETTINGS, cyrus });
      postern = await startConfigured({ upstream: { servers: [`127.0.0.1:${server.port}`] }, policy: POLICY });
    });
    after(async () => {
      await postern?.stop();
      await server?.stop();
      await sink?.stop();
    });

    test('all mechanisms that it offers are offered through Postern', async () => {
      assert.deepEqual((await offered(server.port)).toSorted(), CYRUS_MECHANISMS.toSorted());
      assert.deepEqual((await offered(postern.port)).toSorted(), CYRUS_MECHANISMS.toSorted());
    });

    // NTLM names the domain that the server announced.
    testMechanisms(
      CYRUS_MECHANISMS,
      () => postern,
      (user) => `LOCAL.EXAMPLE\\${user}`,
    );
  });

  suite('Cyrus SASL with Kerberos', { concurrency: false, skip: missingCyrus || missingKerberos }, () => {
    let sink: Sink;
    let kdc: Kdc;
    let server: Bed;
    let postern: ConfiguredPostern;

    before(async () => {
      sink = await Sink.start();
      kdc = await startKdc(await freePort(), 'alice');
      server = await startPostfix(sink.port, await freePort(), {
        main: CYRUS_SETTINGS,
        cyrus: cyrusConfiguration({ alice: PASSWORD }, ['GSSAPI', 'GS2-KRB5']),
        environment: kdc.forServer,
      });
      postern = await startConfigured({ upstream: { servers: [`127.0.0.1:${server.port}`] }, policy: POLICY });
    });
    after(async () => {
      await postern?.stop();
      await server?.stop();
      await kdc?.stop();
      await sink?.stop();
    });

    test('GSSAPI is offered through Postern; GS2-KRB5, which Postern does not know, is not', async () => {
      assert.deepEqual((await offered(server.port)).toSorted(), ['GS2-KRB5', 'GSSAPI']);
      assert.deepEqual(await offered(postern.port), ['GSSAPI']);
    });

    test('a ticket logs in, and the log has the mechanism and no name', async () => {
      const how = ['--smtp', '--no-starttls', '--no-cb', '--connect', `127.0.0.1:${postern.port}`];
      const who = [
        '--authentication-id',
        'alice',
        '--authorization-id',
        '',
        '--service',
        'smtp',
        '--hostname',
        'local.example',
      ];
      const env = { ...process.env, ...kdc.forClient };
      const { code, output } = await run('gsasl', [...how, ...who, '--mechanism', 'GSSAPI'], env);
      assert.equal(code, 0, output);
      const ended = await postern.logged('session ended', { sasl_method: 'GSSAPI', what: 'quit' });
      assert.equal(ended.sasl_username, undefined);
    });
  });
});
