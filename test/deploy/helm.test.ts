// deploy/helm and deploy/kubernetes: the chart as the real Helm lints and renders it, and every manifest as Kubernetes has it: the required keys and the values by
// the validators of kubernetes-models (made of Kubernetes' own OpenAPI description), no key that it does not know by their types, and
// postern.yaml and the policy in it by `postern check`.
//
// No cluster: Helm only says what it would install.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { ServiceMonitor } from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor';
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
import { makePair } from '../helpers/certificates.ts';
import { blocksOf } from '../helpers/document.ts';
import { MAIN } from '../helpers/main.ts';
import { missing, needUnpacked } from '../real/tools.ts';

const ROOT = join(import.meta.dirname, '../..');
const CHART = join(ROOT, 'deploy/helm');
const read = (file: string) => readFileSync(join(CHART, file), 'utf8');
const CASES = globSync('ci/*.yaml', { cwd: CHART }).toSorted();
const SKIP = missing([], ['helm']);

// biome-ignore lint/suspicious/noExplicitAny: a manifest is looked into by hand
type Manifest = any;

const pair = makePair({ subject: '/CN=mx.example.com', names: 'DNS:mx.example.com' });
/** What the pods have of Secrets, below /etc/postern-. */
const MOUNTED = {
  'tls/tls.crt': pair.cert,
  'tls/tls.key': pair.key,
  'admin/token': 'x'.repeat(32),
  'admin/word': 'x'.repeat(32),
  'redis/password': 'y',
};

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

/** Helm with these arguments; it writes nowhere, and knows no cluster. */
function helm(...args: string[]): { status: number | null; stdout: string; stderr: string } {
  const folder = '/nonexistent';
  const env = { HELM_CACHE_HOME: folder, HELM_CONFIG_HOME: folder, HELM_DATA_HOME: folder, KUBECONFIG: '/dev/null' };
  return spawnSync(needUnpacked('helm', 'helm/helm'), args, { encoding: 'utf8', env });
}

function install(release: string, values: string) {
  return helm(
    'install',
    release,
    CHART,
    '--namespace',
    'edge',
    '--values',
    values,
    '--dry-run=client',
    '--output',
    'json',
  );
}

/** The manifests of a text; what is empty is none. */
function manifestsIn(text: string): Manifest[] {
  const documents = parseAllDocuments(text);
  for (const document of documents) assert.deepEqual(document.errors, []);
  return documents.map((document) => document.toJS()).filter((manifest) => manifest !== null);
}

function rendered(name: string, release = 'mail'): { manifests: Manifest[]; notes: string } {
  const { status, stdout, stderr } = install(release, resolve(CHART, name));
  assert.equal(status, 0, stderr);
  const { manifest, hooks, info } = JSON.parse(stdout);
  const tests = (hooks ?? []).map((hook: Manifest) => hook.manifest);
  return { manifests: manifestsIn([manifest, ...tests].join('\n---\n')), notes: info.notes };
}

/** With these values laid over those of ci/least.yaml. */
function refused(t: TestContext, values: object): string {
  const folder = mkdtempSync(join(tmpdir(), 'postern-chart-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'values.yaml');
  writeFileSync(file, JSON.stringify({ ...parse(read('ci/least.yaml')), ...values }));
  const { status, stderr } = install('mail', file);
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

/** What `postern check` says of the files in the ConfigMap, and what `explain` says of a stranger. */
function asked(t: TestContext, manifests: readonly Manifest[]): { check: string; stranger: string } {
  const folder = mkdtempSync(join(tmpdir(), 'postern-chart-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const { data } = only(manifests, 'ConfigMap');
  for (const [name, text] of Object.entries<string>(data)) {
    writeFileSync(join(folder, name), text.replaceAll('/etc/postern-', `${folder}/`));
  }
  for (const [name, content] of Object.entries(MOUNTED)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content, { mode: 0o600 });
  }
  const policy = join(folder, 'policy.yaml');
  const say = (...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], {
      encoding: 'utf8',
    });
    return `${status}: ${stdout}${stderr}`;
  };
  return {
    check: say('check', join(folder, 'postern.yaml')),
    stranger: say('explain', policy, '--source', '203.0.113.7', '--rcpt', 'x@foreign.example', '--expect', 'reject'),
  };
}

describe('the chart', () => {
  it('is of the version of package.json', () => {
    const { version, appVersion } = parse(read('Chart.yaml'));
    assert.deepEqual([version, appVersion], [packageFile.version, packageFile.version]);
  });

  it('has a schema that refuses an unknown value, and an install without a server', { skip: SKIP }, (t) => {
    assert.match(refused(t, { upstream: {} }), /upstream\/servers': minItems: got 0, want 1/);
    assert.match(refused(t, { acceptedDomain: [] }), /'acceptedDomain' not allowed/);
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
    it(`has nothing that helm lint finds: ${basename(name)}`, { skip: SKIP }, () => {
      const { status, stdout, stderr } = helm('lint', '--strict', CHART, '--values', join(CHART, name));
      assert.equal(status, 0, stdout + stderr);
      assert.doesNotMatch(stdout, /WARNING|ERROR/);
    });

    it(`renders what Kubernetes takes: ${basename(name)}`, { skip: SKIP }, () => {
      const { manifests, notes } = rendered(name);
      for (const manifest of manifests) validate(manifest);
      assert.match(notes, /^Postern stands before \S+:\d+/);
      const names = manifests.map(({ kind, metadata }) => `${kind} ${metadata.name}`);
      assert.equal(new Set(names).size, names.length);
    });
  }

  it('takes the values that its page shows', { skip: SKIP }, (t) => {
    const shown = blocksOf('docs/kubernetes.md').filter(({ text }) => /^# \S+\.yaml\n/.test(text));
    assert.equal(shown.length, 2);
    const folder = mkdtempSync(join(tmpdir(), 'postern-chart-'));
    t.after(() => rmSync(folder, { recursive: true }));
    for (const { where, text } of shown) {
      writeFileSync(join(folder, 'values.yaml'), text);
      const { check, stranger } = asked(t, rendered(join(folder, 'values.yaml')).manifests);
      assert.match(check, /^0: /, where);
      assert.match(stranger, /^0: /, where);
    }
  });

  it('renders no key that Kubernetes does not know', { skip: SKIP }, (t) => {
    assert.equal(
      typed(
        t,
        CASES.flatMap((name) => rendered(name).manifests),
      ),
      '',
    );
  });

  it('is closed where nothing but the server is said', { skip: SKIP }, (t) => {
    const { manifests, notes } = rendered('ci/least.yaml');
    const { check, stranger } = asked(t, manifests);
    assert.match(check, /^0: .*no domain is accepted/);
    assert.match(stranger, /^0: /);
    assert.match(notes, /No domain is accepted yet/);
  });

  it('has a sound postern.yaml of all of its values, and `config` over them', { skip: SKIP }, (t) => {
    for (const name of ['ci/everything.yaml', 'ci/policy.yaml']) {
      const { manifests } = rendered(name);
      const { check, stranger } = asked(t, manifests);
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

  it('has no name that is too long, whatever the release is called', { skip: SKIP }, () => {
    const { manifests } = rendered('ci/everything.yaml', 'a'.repeat(53));
    for (const { kind, metadata } of manifests) assert.ok(metadata.name.length <= 63, `${kind} ${metadata.name}`);
    assert.equal(only(manifests, 'Deployment').metadata.name, `${'a'.repeat(53)}-pos`);
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
