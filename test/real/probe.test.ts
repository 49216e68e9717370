// probe as a client behind a balancer, and logged in: at Postern and the real Postfix behind it, which asks Cyrus SASL.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { freePort } from '../helpers/free-port.ts';
import { MAIN } from '../helpers/main.ts';
import { type Bed, makeFolder } from './beds/bed.ts';
import { CYRUS_SETTINGS, cyrusConfiguration, missingCyrus } from './beds/cyrus.ts';
import { postfix, startPostfix } from './beds/postfix.ts';
import { run } from './children.ts';
import { type ConfiguredPostern, startConfigured } from './postern.ts';
import { Sink } from './sink.ts';

const PASSWORD = 'a secret & more';
const FOREIGN = ['--expect-relay', 'bob@foreign.example'];

const folder = makeFolder();
const secret = join(folder, 'password');
writeFileSync(secret, `${PASSWORD}\n`);
writeFileSync(join(folder, 'wrong'), 'wrong\n');

async function probe(port: number, ...args: string[]): Promise<{ code: number | null; output: string }> {
  const answer = await run(process.execPath, [MAIN, 'probe', `127.0.0.1:${port}`, ...args]);
  assert.ok(!answer.output.includes(PASSWORD), 'the password is never printed');
  return answer;
}

suite('probe at Postern before Postfix', { skip: postfix.missing || missingCyrus, concurrency: true }, () => {
  for (const [mechanisms, taken] of [
    [['PLAIN', 'CRAM-MD5', 'LOGIN'], 'CRAM-MD5'],
    [['LOGIN', 'PLAIN'], 'PLAIN'],
    [['LOGIN'], 'LOGIN'],
  ] as const)
    suite(`that offers ${mechanisms.join(', ')}`, { concurrency: false }, () => {
      let sink: Sink;
      let server: Bed;
      let postern: ConfiguredPostern;

      before(async () => {
        sink = await Sink.start();
        server = await startPostfix(sink.port, await freePort(), {
          main: CYRUS_SETTINGS,
          cyrus: cyrusConfiguration({ alice: PASSWORD }, mechanisms),
        });
        postern = await startConfigured({
          listeners: [{}, { proxy_protocol: { from: ['127.0.0.1/32'] } }],
          upstream: { servers: [`127.0.0.1:${server.port}`] },
          policy: {
            connectors: [
              {
                name: 'internet',
                remote_ip_ranges: ['any'],
                rules: [
                  { name: 'printers', allow: { sources: ['192.0.2.5', '2001:db8::5'] } },
                  { name: 'alice', allow: { users: ['alice'] } },
                ],
              },
            ],
          },
        });
      });
      after(async () => {
        await postern?.stop();
        await server?.stop();
        await sink?.stop();
      });

      test(`logs in with ${taken}, and is then allowed what a stranger is not`, async () => {
        const stranger = await probe(postern.port, ...FOREIGN);
        assert.equal(stranger.code, 1, stranger.output);
        assert.match(stranger.output, /^NOT AS EXPECTED: 1 of 1 refused\.$/m);
        const alice = await probe(postern.port, '--login', 'alice', '--password-file', secret, ...FOREIGN);
        assert.equal(alice.code, 0, alice.output);
        assert.match(alice.output, new RegExp(`Logged in as: +alice \\(AUTH ${taken}\\)`));
        assert.match(alice.output, /^AS EXPECTED: it is allowed\.$/m);
        await postern.logged('session ended', { sasl_method: taken, sasl_username: 'alice' });
      });

      test('a wrong password is tried once, and the server is heard', async () => {
        const wrong = await probe(
          postern.port,
          '--login',
          'alice',
          '--password-file',
          join(folder, 'wrong'),
          ...FOREIGN,
        );
        assert.equal(wrong.code, 1, wrong.output);
        assert.match(wrong.output, new RegExp(`could not be probed: it refuses the login \\(AUTH ${taken}\\): 535 `));
        await postern.logged('session ended', { login_failures: 1 });
      });

      for (const version of ['1', '2'])
        test(`behind a balancer of version ${version} it is the client that the header names`, async () => {
          const port = postern.ports[1] as number;
          for (const [client, code] of [
            ['192.0.2.5', 0],
            ['2001:db8::5', 0],
            ['192.0.2.6', 1],
            ['2001:db8::6', 1],
          ] as const) {
            const header = ['--proxy-header', client, '--proxy-version', version];
            const answer = await probe(port, ...header, ...FOREIGN);
            assert.equal(answer.code, code, answer.output);
            await postern.logged('session ended', { client_address: client });
          }
        });

      test('a door that takes no header is not taken for one that refuses', async () => {
        for (const version of ['1', '2']) {
          const header = ['--proxy-header', '192.0.2.5', '--proxy-version', version];
          const answer = await probe(postern.port, ...header, ...FOREIGN, '--json');
          assert.equal(answer.code, 1, answer.output);
          assert.match(answer.output, /"verdict": null/);
          assert.match(answer.output, /does it take a PROXY header from this address\?/);
        }
      });
    });
});
