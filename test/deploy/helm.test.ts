// deploy/helm and deploy/kubernetes: the chart as Helm renders it, and every manifest as Kubernetes has it: the required keys and the values by
// the validators of kubernetes-models (made of Kubernetes' own OpenAPI description), no key that it does not know by their types, and
// postern.yaml and the policy in it by `postern check`.
//
// There is no helm that the tests could get: beds/chart.go renders with what Helm is made of. No cluster either.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { ServiceMonitor } from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor';
import { Ajv } from 'ajv';
import { Deployment } from 'kubernetes-models/apps/v1/Deployment';
import { HorizontalPodAutoscaler } from 'kubernetes-models/autoscaling/v2/HorizontalPodAutoscaler';
import { NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1/NetworkPolicy';
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1/PodDisruptionBudget';
import { ConfigMap } from 'kubernetes-models/v1/ConfigMap';
import { Pod } from 'kubernetes-models/v1/Pod';
import { Secret } from 'kubernetes-models/v1/Secret';
import { Service } from 'kubernetes-models/v1/Service';
import { ServiceAccount } from 'kubernetes-models/v1/ServiceAccount';
import { parse, parseAllDocuments } from 'yaml';
import packageFile from '../../package.json' with { type: 'json' };
import { blocksOf } from '../helpers/document.ts';
import { missing, needUnpacked } from '../real/tools.ts';

const ROOT = join(import.meta.dirname, '../..');
const CHART = join(ROOT, 'deploy/helm');
const read = (file: string) => readFileSync(join(CHART, file), 'utf8');
const CASES = globSync('ci/*.yaml', { cwd: CHART }).toSorted();
const SKIP = missing([], ['chart']);

// biome-ignore lint/suspicious/noExplicitAny: a manifest is looked into by hand
type Manifest = any;

/** How each kind is validated, and where its type is. */
const KINDS: Readonly<Record<string, [new (data: Manifest) => { validate(): void }, string]>> = {
  ConfigMap: [ConfigMap, 'kubernetes-models/v1'],
  Deployment: [Deployment, 'kubernetes-models/apps/v1'],
  HorizontalPodAutoscaler: [HorizontalPodAutoscaler, 'kubernetes-models/autoscaling/v2'],
  NetworkPolicy: [NetworkPolicy, 'kubernetes-models/networking.k8s.io/v1'],
  Pod: [Pod, 'kubernetes-models/v1'],
  PodDisruptionBudget: [PodDisruptionBudget, 'kubernetes-models/policy/v1'],
  Secret: [Secret, 'kubernetes-models/v1'],
  Service: [Service, 'kubernetes-models/v1'],
  ServiceAccount: [ServiceAccount, 'kubernetes-models/v1'],
  ServiceMonitor: [ServiceMonitor, '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1'],
};

function render(values: string): { status: number | null; stdout: string; stderr: string } {
  const program = needUnpacked('chart', 'chart');
  return spawnSync(program, [CHART, 'mail', 'edge', values], { encoding: 'utf8' });
}

/** The manifests of a text; what is empty is none. */
function manifestsIn(text: string): Manifest[] {
  const documents = parseAllDocuments(text);
  for (const document of documents) assert.deepEqual(document.errors, []);
  return documents.map((document) => document.toJS()).filter((manifest) => manifest !== null);
}

function rendered(name: string): { manifests: Manifest[]; notes: string } {
  const { status, stdout, stderr } = render(join(CHART, name));
  assert.equal(status, 0, stderr);
  const [text = '', notes = ''] = stdout.split('--- # NOTES\n');
  return { manifests: manifestsIn(text), notes };
}

/** With these values laid over those of ci/least.yaml. */
function refused(t: TestContext, values: object): string {
  const folder = mkdtempSync(join(tmpdir(), 'postern-chart-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'values.yaml');
  writeFileSync(file, JSON.stringify({ ...parse(read('ci/least.yaml')), ...values }));
  const { status, stderr } = render(file);
  assert.equal(status, 1);
  return stderr;
}

function validate(manifest: Manifest): void {
  const kind = KINDS[manifest.kind];
  assert.ok(kind !== undefined, `${manifest.kind} is not known here`);
  const [Model] = kind;
  assert.equal(manifest.apiVersion, (Model as Manifest).apiVersion, manifest.kind);
  new Model(manifest).validate();
}

/** What TypeScript has against them: a key that Kubernetes does not know, or a value of another kind. */
function typed(t: TestContext, manifests: readonly Manifest[]): string {
  const lines = manifests.map((manifest, i) => {
    const [, where] = KINDS[manifest.kind] as (typeof KINDS)[string];
    return `import type { I${manifest.kind} as T${i} } from '${where}/${manifest.kind}';\nexport const m${i}: T${i} = ${JSON.stringify(manifest)};`;
  });
  const folder = mkdtempSync(join(ROOT, 'node_modules/.postern-manifests-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'manifests.ts');
  writeFileSync(file, lines.join('\n'));
  const options = '--noEmit --ignoreConfig --strict --skipLibCheck --module nodenext --target esnext'.split(' ');
  const { stdout } = spawnSync(join(ROOT, 'node_modules/.bin/tsc'), [...options, file], { encoding: 'utf8' });
  return stdout;
}

function only(manifests: readonly Manifest[], kind: string): Manifest {
  const found = manifests.filter((manifest) => manifest.kind === kind);
  assert.equal(found.length, 1, `${found.length} of ${kind}`);
  return found[0];
}

/** What `postern check` says of a file in the ConfigMap, and what `explain` says of a stranger. */
function asked(
  t: TestContext,
  manifests: readonly Manifest[],
  checked: 'postern.yaml' | 'policy.yaml',
): { check: string; stranger: string } {
  const folder = mkdtempSync(join(tmpdir(), 'postern-chart-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const { data } = only(manifests, 'ConfigMap');
  for (const [name, text] of Object.entries<string>(data)) writeFileSync(join(folder, name), text);
  const policy = join(folder, 'policy.yaml');
  const say = (...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [join(ROOT, 'src/main.ts'), ...args], {
      encoding: 'utf8',
    });
    return `${status}: ${stdout}${stderr}`;
  };
  return {
    check: say('check', join(folder, checked)),
    stranger: say('explain', policy, '--source', '203.0.113.7', '--rcpt', 'x@foreign.example', '--expect', 'reject'),
  };
}

describe('the chart', () => {
  it('is of the version of package.json', () => {
    const { version, appVersion } = parse(read('Chart.yaml'));
    assert.deepEqual([version, appVersion], [packageFile.version, packageFile.version]);
  });

  it('has a schema that takes what is shipped, and refuses an unknown value and an install without a server', () => {
    const ajv = new Ajv({ allErrors: true, allowUnionTypes: true });
    const validator = ajv.compile(JSON.parse(read('values.schema.json')));
    const says = (values: object) => (validator(values) ? '' : ajv.errorsText(validator.errors));
    for (const name of CASES) assert.equal(says({ ...parse(read('values.yaml')), ...parse(read(name)) }), '', name);
    const shown = blocksOf('docs/kubernetes.md').filter(({ name }) => name !== null);
    assert.equal(shown.length, 2);
    for (const { where, text } of shown) assert.equal(says(parse(text)), '', where);
    assert.match(says(parse(read('values.yaml'))), /upstream\/servers must NOT have fewer than 1 items/);
    assert.match(says({ ...parse(read('ci/least.yaml')), acceptedDomain: [] }), /additional properties/);
  });

  it('has every value in the schema and in the table of its README, and no other', () => {
    const paths = (value: Manifest, at = ''): string[] =>
      Object.entries<Manifest>(value).flatMap(([key, { properties }]) =>
        properties === undefined ? [at + key] : paths(properties, `${at}${key}.`),
      );
    const known = paths(JSON.parse(read('values.schema.json')).properties).filter((path) => path !== 'global');
    const told = [...read('README.md').matchAll(/^\| `([\w.]+)` \|/gm)].map(([, path]) => path);
    assert.deepEqual(told.toSorted(), known.toSorted());
    const values = parse(read('values.yaml'));
    for (const path of known)
      assert.notEqual(
        path.split('.').reduce((at: Manifest, key) => at?.[key], values),
        undefined,
        path,
      );
  });

  for (const name of CASES) {
    it(`renders what Kubernetes takes: ${basename(name)}`, { skip: SKIP }, (t) => {
      const { manifests, notes } = rendered(name);
      for (const manifest of manifests) validate(manifest);
      assert.equal(typed(t, manifests), '');
      assert.match(notes, /^Postern stands before \S+:\d+/);
      const names = manifests.map(({ kind, metadata }) => `${kind} ${metadata.name}`);
      assert.equal(new Set(names).size, names.length);
    });
  }

  it('is closed where nothing but the server is said', { skip: SKIP }, (t) => {
    const { manifests, notes } = rendered('ci/least.yaml');
    const { check, stranger } = asked(t, manifests, 'postern.yaml');
    assert.match(check, /^0: .*no domain is accepted/);
    assert.match(stranger, /^0: /);
    assert.match(notes, /No domain is accepted yet/);
  });

  it('has a sound postern.yaml of all of its values, and `config` over them', { skip: SKIP }, (t) => {
    for (const name of ['ci/everything.yaml', 'ci/policy.yaml']) {
      const { manifests } = rendered(name);
      const { check, stranger } = asked(t, manifests, 'policy.yaml'); // the other names secrets
      assert.match(check, /^0: /, name);
      assert.match(stranger, /^0: /, name);
    }
    const config = parse(only(rendered('ci/everything.yaml').manifests, 'ConfigMap').data['postern.yaml']);
    assert.deepEqual(config.listeners[0].proxy_protocol, { from: ['10.0.1.5/32'] });
    assert.equal(config.state, 'redis://redis.example.com:6380/0');
    assert.equal(config.limits.source.connections, 50);
    assert.deepEqual(Object.keys(config.upstreams), ['relay']);
  });

  it('runs as nobody in particular, with nothing to write and no capability, and is asked how it is', {
    skip: SKIP,
  }, () => {
    const pod = only(rendered('ci/least.yaml').manifests, 'Deployment').spec.template.spec;
    const [container] = pod.containers;
    assert.equal(pod.securityContext.runAsNonRoot, true);
    assert.equal(pod.automountServiceAccountToken, false);
    assert.deepEqual(container.securityContext, {
      readOnlyRootFilesystem: true,
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
    });
    assert.equal(container.readinessProbe.httpGet.path, '/readyz');
    assert.equal(container.livenessProbe.httpGet.path, '/healthz');
  });

  it('lets mail in and names, servers and Redis out, and nothing else', { skip: SKIP }, () => {
    const least = only(rendered('ci/least.yaml').manifests, 'NetworkPolicy').spec;
    assert.deepEqual(least.ingress, [{ ports: [{ port: 'smtp' }] }]);
    const { egress, ingress } = only(rendered('ci/everything.yaml').manifests, 'NetworkPolicy').spec;
    assert.deepEqual(
      egress[1].ports.map(({ port }: { port: number }) => port),
      [25, 2525, 26, 6380],
    );
    assert.equal(ingress[1].from.length, 1);
  });

  it('keeps the addresses of clients, or is refused', { skip: SKIP }, (t) => {
    const services = rendered('ci/least.yaml').manifests.filter(({ kind }) => kind === 'Service');
    assert.equal(services[0].spec.externalTrafficPolicy, 'Local');
    assert.match(refused(t, { service: { externalTrafficPolicy: 'Cluster' } }), /hides every client behind a node/);
  });

  it('counts pods by sessions, and says no number of them where that is asked for', { skip: SKIP }, () => {
    const { manifests } = rendered('ci/everything.yaml');
    const [metric] = only(manifests, 'HorizontalPodAutoscaler').spec.metrics;
    assert.deepEqual([metric.pods.metric.name, metric.pods.target.averageValue], ['postern_sessions', '1500']);
    assert.equal(only(manifests, 'Deployment').spec.replicas, undefined);
    assert.match(readFileSync(join(ROOT, 'docs/metrics.md'), 'utf8'), /`postern_sessions`/);
  });

  it('would be seen to be wrong: a key that Kubernetes does not know, a value that it does not take', {
    skip: SKIP,
  }, (t) => {
    const { manifests } = rendered('ci/least.yaml');
    const budget = only(manifests, 'PodDisruptionBudget');
    assert.match(typed(t, [{ ...budget, spec: { ...budget.spec, minAvailabel: 1 } }]), /minAvailabel/);
    assert.throws(() => validate({ ...budget, spec: { minAvailable: {} } }), /minAvailable/);
  });
});

describe('sidecar.yaml', () => {
  it('is what Kubernetes takes', (t) => {
    const manifests = manifestsIn(readFileSync(join(ROOT, 'deploy/kubernetes/sidecar.yaml'), 'utf8'));
    for (const manifest of manifests) validate(manifest);
    assert.equal(typed(t, manifests), '');
    assert.deepEqual(
      manifests.map(({ kind }) => kind),
      ['Service', 'Deployment'],
    );
  });
});
