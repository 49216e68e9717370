// The metrics as Prometheus reads them: promtool finds nothing to say against them, and what can be counted is there from the
// start, so that increase() sees the first of each.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { Running } from '../commands/running.ts';
import { SmtpClient } from '../helpers/smtp-client.ts';
import { UpstreamStandIn } from '../helpers/upstream-stand-in.ts';
import { parseSamples } from '../observe/watched.ts';
import { missing, needUnpacked } from './tools.ts';

interface Started {
  readonly running: Running;
  readonly port: number;
  metrics(): Promise<string>;
  /** Writes a configuration with these connectors, and reloads. */
  reload(connectors: readonly object[]): Promise<void>;
}

const INTERNET = { name: 'internet', remote_ip_ranges: ['any'] };
const WATCHED = { name: 'watched', remote_ip_ranges: ['127.0.0.9'], mode: 'observe' };

async function started(t: TestContext, workers: number, connectors: readonly object[]): Promise<Started> {
  const folder = mkdtempSync(join(tmpdir(), 'postern-metrics-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const upstream = await UpstreamStandIn.listen({ dialect: 'strict' });
  t.after(() => upstream.close());
  const file = join(folder, 'postern.yaml');
  const write = (inForce: readonly object[]) =>
    writeFileSync(
      file,
      JSON.stringify({
        listeners: [{ bind: ['127.0.0.1:0'] }],
        upstream: { servers: [`127.0.0.1:${upstream.port}`] },
        policy: { version: 1, accepted_domains: ['local.example'], connectors: inForce },
        admin: { listen: '127.0.0.1:0' },
        workers,
      }),
    );
  write(connectors);
  const running = new Running(t, ['--config', file]);
  const port = await running.port();
  const { admin } = await running.logged('listening');
  return {
    running,
    port,
    metrics: async () => (await fetch(`http://${admin}/metrics`)).text(),
    reload: async (inForce) => {
      write(inForce);
      running.signal('SIGHUP');
      await running.logged('reloaded');
    },
  };
}

async function refusedRecipients(port: number, count: number): Promise<void> {
  const client = new SmtpClient(port);
  await client.reply();
  const group = `EHLO a\r\nMAIL FROM:<a@sender.example>\r\n${'RCPT TO:<x@foreign.example>\r\n'.repeat(count)}`;
  await client.write(Buffer.from(`${group}RCPT TO:<x@local.example>\r\nQUIT\r\n`));
  for (let reply = 0; reply < count + 4; reply++) await client.reply();
  client.destroy();
}

for (const workers of [1, 2]) {
  describe(`the metrics of ${workers} worker(s)`, () => {
    it('pass promtool check metrics, before there was a session and behind it', {
      skip: missing([], ['prometheus']),
    }, async (t) => {
      const { port, metrics } = await started(t, workers, [INTERNET, WATCHED]);
      for (const busy of [false, true]) {
        if (busy) await refusedRecipients(port, 2);
        const text = await metrics();
        const found = spawnSync(needUnpacked('prometheus', 'usr/bin/promtool'), ['check', 'metrics'], { input: text });
        assert.deepEqual([found.status, String(found.stderr), String(found.stdout)], [0, '', '']);
        t.diagnostic(`${text.split('\n').length} lines, ${text.length} octets for two connectors`);
      }
    });

    it('have every series from the start at 0, those of a connector that a reload adds too', async (t) => {
      const { port, metrics, reload } = await started(t, workers, [INTERNET]);
      const before = parseSamples(await metrics());
      const countable = [...before].filter(([name]) => /^postern_\w+_total/.test(name));
      assert.ok(countable.length > 60, `${countable.length}`);
      assert.deepEqual(
        countable.filter(([, value]) => value !== 0),
        [],
      );
      await reload([INTERNET, WATCHED]);
      const after = parseSamples(await metrics());
      for (const name of before.keys()) {
        if (name.includes('policy_loaded')) continue;
        assert.ok(after.has(name), name);
        const watched = name.replace('connector="internet"', 'connector="watched"');
        assert.ok(after.has(watched), watched);
      }
      const wouldBe =
        'postern_recipients_total{connector="watched",decision="would_reject",reason="no_rule",answer="accepted"}';
      assert.equal(after.get(wouldBe), 0);
      await refusedRecipients(port, 1);
      const last = parseSamples(await metrics());
      const isNew = [...last.keys()].filter((name) => !after.has(name));
      assert.deepEqual(isNew, []);
      const recipients = (labels: string) => last.get(`postern_recipients_total{connector="internet",${labels}}`);
      assert.equal(recipients('decision="reject",reason="no_rule",answer="none"'), 1);
      assert.equal(recipients('decision="proceed",reason="accepted_domain",answer="accepted"'), 1);
    });
  });
}
