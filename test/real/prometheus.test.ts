// What deploy/ has for who watches Postern with Prometheus and Grafana: the alerts are sound and raised by what they are for, and
// every series that the alerts and the dashboard ask for is one that a running Postern tells.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as wait } from 'node:timers/promises';
import { Running } from '../commands/running.ts';
import { makePair } from '../helpers/certificates.ts';
import { ROOT } from '../helpers/document.ts';
import { freePort } from '../helpers/free-port.ts';
import { SmtpClient } from '../helpers/smtp-client.ts';
import { UpstreamStandIn } from '../helpers/upstream-stand-in.ts';
import { missing, needUnpacked } from './tools.ts';

interface Panel {
  readonly type: string;
  readonly title?: string;
  readonly options?: object;
  readonly fieldConfig?: { readonly defaults: { readonly custom?: object } };
  readonly datasource?: { readonly uid: string };
  readonly targets?: readonly { readonly expr: string; readonly datasource: { readonly uid: string } }[];
}

const THE_VARIABLE = '$' + '{datasource}'; // Grafana's own spelling
const RULES = join(ROOT, 'deploy/prometheus/alerts.yaml');
const RULES_TEST = join(ROOT, 'deploy/prometheus/alerts.test.yaml');
const rulesText = readFileSync(RULES, 'utf8');
const dashboardText = readFileSync(join(ROOT, 'deploy/grafana/postern.json'), 'utf8');
const panels: readonly Panel[] = JSON.parse(dashboardText).panels;
const queries = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
const alerts = [...rulesText.matchAll(/- alert: (\w+)/g)].map(([, name]) => name as string);

/** The series that a query names, without what a histogram adds. */
function namesIn(text: string): string[] {
  return [...new Set([...text.matchAll(/\b(?:postern|process)_\w+/g)].map(([name]) => name.replace(/_bucket$/, '')))];
}

/** A Postern with two workers, a certificate, and a connector that observes; and one refused recipient on each connector. */
async function started(t: TestContext): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'postern-prometheus-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const upstream = await UpstreamStandIn.listen({ dialect: 'strict' });
  t.after(() => upstream.close());
  const { cert, key } = makePair({ subject: '/CN=mx.example.com', names: 'DNS:mx.example.com', days: 60 });
  writeFileSync(join(folder, 'mx.pem'), cert);
  writeFileSync(join(folder, 'mx.key'), key);
  const file = join(folder, 'postern.yaml');
  const config = {
    listeners: [{ bind: ['127.0.0.1:0'], certificates: [{ cert: 'mx.pem', key: 'mx.key' }] }],
    upstream: { servers: [`127.0.0.1:${upstream.port}`] },
    policy: {
      version: 1,
      accepted_domains: ['local.example'],
      connectors: [
        { name: 'internet', remote_ip_ranges: ['any'] },
        { name: 'watched', remote_ip_ranges: ['127.0.0.9'], mode: 'observe' },
      ],
    },
    admin: { listen: '127.0.0.1:0' },
    workers: 2,
  };
  writeFileSync(file, JSON.stringify(config));
  const running = new Running(t, ['--config', file]);
  const port = await running.port();
  const client = new SmtpClient(port);
  await client.reply();
  await client.write(
    Buffer.from(
      'EHLO a\r\nMAIL FROM:<a@sender.example>\r\nRCPT TO:<x@foreign.example>\r\nRCPT TO:<x@local.example>\r\n',
    ),
  );
  for (let reply = 0; reply < 4; reply++) await client.reply();
  t.after(() => client.destroy());
  return String((await running.logged('listening')).admin);
}

/** The types of Grafana's own package, but for enumerations, which JSON has as plain values. */
const AS_JSON = `type AsJson<T> = T extends string ? \`\${T}\`
  : T extends number ? (\`\${T}\` extends \`\${infer N extends number}\` ? N : T)
  : T extends object ? { [K in keyof T]: AsJson<T[K]> } : T;`;

// At once: Prometheus takes five seconds before it looks at anything.
describe('deploy/', { concurrency: true }, () => {
  describe('what the dashboard and the alerts ask for', () => {
    describe('of a real Prometheus that scrapes a real Postern', { skip: missing([], ['prometheus']) }, () => {
      it('is answered: every query of the dashboard with a series, every rule without a fault', async (t) => {
        const admin = await started(t);
        const api = await prometheus(t, await freePort(), admin);
        const refused = 'postern_recipients_total{connector="internet",decision="reject",reason="no_rule"}';
        const values = await until(async () => {
          const found = await api(`query?query=${encodeURIComponent(`${refused} and rate(${refused}[10s]) >= 0`)}`);
          return found.result?.length === 1 ? found.result : null;
        });
        assert.equal(values[0]?.value[1], '1');
        const waiting = await api(`query?query=${encodeURIComponent('postern_sessions_by_phase{phase="command"}')}`);
        assert.equal(waiting.result?.[0]?.value[1], '1');
        const silent: string[] = [];
        for (const query of queries) {
          const now = query
            .replaceAll(/\$(job|instance)\b/g, '.*')
            .replaceAll('$__rate_interval', '10s')
            .replace('[24h]', '[10s]');
          const { result } = await api(`query?query=${encodeURIComponent(now)}`);
          if (result?.length === 0) silent.push(query);
        }
        // What has no value where nothing is limited.
        assert.deepEqual(
          silent,
          queries.filter((query) => query.endsWith('> 0')),
        );
        const groups = await until(async () => {
          const { groups = [] } = await api('rules');
          const rules = groups.flatMap((group) => group.rules);
          return rules.length > 0 && rules.every(({ health }) => health !== 'unknown') ? rules : null;
        });
        assert.deepEqual(
          groups.map(({ name, health }) => [name, health]),
          alerts.map((name) => [name, 'ok']),
        );
        const raised = groups.filter(({ state }) => state !== 'inactive').map(({ name }) => name);
        assert.deepEqual(raised, ['PosternNotProtected']);
      });
    });

    it('is told by a running Postern', async (t) => {
      const text = await (await fetch(`http://${await started(t)}/metrics`)).text();
      const told = new Set([...text.matchAll(/^# TYPE (\w+) /gm)].map(([, name]) => name));
      const asked = namesIn(queries.join('\n') + rulesText);
      assert.ok(asked.length > 30, `${asked.length}`);
      assert.deepEqual(
        asked.filter((name) => !told.has(name)),
        [],
      );
    });
  });

  describe('the dashboard', () => {
    it('has a title on every panel, one data source that is a variable, and no address of anybody', () => {
      for (const panel of panels) {
        assert.ok((panel.title ?? '').length > 0, JSON.stringify(panel).slice(0, 200));
        if (panel.type === 'row') continue;
        const { title, datasource, targets = [] } = panel;
        assert.notEqual(targets.length, 0, title);
        for (const one of [datasource, ...targets.map((target) => target.datasource)])
          assert.equal(one?.uid, THE_VARIABLE, title);
      }
      assert.doesNotMatch(dashboardText, /https?:\/\//);
    });
  });

  describe('the dashboard as Grafana types it', () => {
    it('has no key that Grafana does not know, and no value of another kind', (t) => {
      const types = join(ROOT, 'node_modules/@grafana/schema/dist/types');
      const ofPanel = (type: string) => `import('${types}/raw/composable/${type}/panelcfg/x/types.gen.d.ts')`;
      const lines = [AS_JSON, `const all: AsJson<import('${types}/index.d.ts').Dashboard> = ${dashboardText};`];
      for (const [i, { type, options, fieldConfig }] of panels.entries()) {
        if (type === 'row') continue;
        const custom = fieldConfig?.defaults.custom;
        lines.push(`const options${i}: AsJson<Partial<${ofPanel(type)}.Options>> = ${JSON.stringify(options)};`);
        if (custom === undefined) continue;
        lines.push(`const custom${i}: AsJson<${ofPanel(type)}.FieldConfig> = ${JSON.stringify(custom)};`);
      }
      const folder = mkdtempSync(join(tmpdir(), 'postern-grafana-'));
      t.after(() => rmSync(folder, { recursive: true }));
      const file = join(folder, 'dashboard.ts');
      writeFileSync(file, `${lines.join('\n')}\nexport {};\n`);
      const options = '--noEmit --ignoreConfig --strict --skipLibCheck --module nodenext --target esnext'.split(' ');
      const { status, stdout } = spawnSync(join(ROOT, 'node_modules/.bin/tsc'), [...options, file], {
        encoding: 'utf8',
      });
      assert.equal(status, 0, stdout);
    });
  });

  describe('the alerts', () => {
    it('say how grave they are and what to do', () => {
      const rules = rulesText.split(/^ {6}- alert: /m).slice(1);
      for (const rule of rules) {
        assert.match(rule, /severity: (critical|warning)/);
        assert.match(rule, /summary: .+\n\s+description: .+/);
      }
    });

    it('are each raised in their test', () => {
      const raised = readFileSync(RULES_TEST, 'utf8');
      assert.ok(alerts.length > 15);
      for (const alert of alerts) assert.ok(raised.includes(`alertname="${alert}"`), alert);
    });

    it('pass promtool check rules and test rules', { skip: missing([], ['prometheus']) }, () => {
      const promtool = needUnpacked('prometheus', 'usr/bin/promtool');
      for (const [what, file] of [
        ['check', RULES],
        ['test', RULES_TEST],
      ] as const) {
        const { status, stdout, stderr } = spawnSync(promtool, [what, 'rules', file], { encoding: 'utf8' });
        assert.equal(status, 0, stdout + stderr);
      }
    });
  });
});

interface Answer {
  readonly result?: readonly { readonly value: readonly [number, string] }[];
  readonly groups?: readonly {
    readonly rules: readonly { readonly name: string; readonly health: string; readonly state: string }[];
  }[];
}

/** Scrapes once a second; resolves with how to ask it. */
async function prometheus(t: TestContext, port: number, target: string): Promise<(path: string) => Promise<Answer>> {
  const folder = mkdtempSync(join(tmpdir(), 'prometheus-'));
  const config = {
    global: { scrape_interval: '1s', evaluation_interval: '1s' },
    rule_files: [RULES],
    scrape_configs: [{ job_name: 'postern', static_configs: [{ targets: [target] }] }],
  };
  writeFileSync(join(folder, 'prometheus.yml'), JSON.stringify(config));
  const args = [`--config.file=${folder}/prometheus.yml`, `--storage.tsdb.path=${folder}/data`];
  const program = needUnpacked('prometheus', 'usr/bin/prometheus');
  const child = spawn(program, [...args, `--web.listen-address=127.0.0.1:${port}`], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (text) => {
    said += text;
  });
  const gone = new Promise<void>((resolve) => child.once('close', () => resolve()));
  t.after(async () => {
    child.kill('SIGKILL');
    await gone;
    rmSync(folder, { recursive: true });
  });
  await until(async () => {
    if (child.exitCode !== null) throw new Error(said);
    const ready = await fetch(`http://127.0.0.1:${port}/-/ready`).catch(() => null);
    return ready?.ok === true ? true : null;
  });
  return async (path) => {
    const answer = (await (await fetch(`http://127.0.0.1:${port}/api/v1/${path}`)).json()) as {
      status: string;
      error?: string;
      data: Answer;
    };
    assert.equal(answer.status, 'success', `${decodeURIComponent(path)}: ${answer.error}`);
    return answer.data;
  };
}

/** Prometheus has no way to say that it has looked. */
async function until<T>(look: () => Promise<T | null>): Promise<T> {
  const patience = AbortSignal.timeout(60_000);
  for (;;) {
    const found = await look();
    if (found !== null) return found;
    patience.throwIfAborted();
    await wait(200);
  }
}
