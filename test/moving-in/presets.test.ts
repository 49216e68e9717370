// The presets are policies written by hand. Here the same settings are stated as the old systems keep them, and imported: the policy
// that comes of them answers every case of the preset, and `postern diff` finds no difference between the two, over the whole address
// space, but for what the preset adds to what its Exchange can say.

import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { parse, stringify } from 'yaml';
import { diff } from '../../src/commands/diff.ts';
import { asClixml, fromAbove } from './exchange-export.ts';
import { UNSAYABLE } from './preset-edits.ts';
import {
  casesOf,
  EXCHANGE_55,
  EXCHANGE_55_SECOND,
  EXCHANGE_2000,
  EXCHANGE_2007,
  EXCHANGE_2010,
  exchange2003,
  POLICIES,
  type PresetSettings,
} from './preset-settings.ts';
import { casesAgainst, importFiles, type Outcome, output } from './settings.ts';

async function importedFrom(t: TestContext, { files, options }: PresetSettings): Promise<Outcome> {
  const made = await importFiles(t, files, ...options);
  assert.equal(made.code, 0, made.said);
  return made;
}

/** Both services: which address a second one answers at, and for which network it is, stands in no export. */
async function exchange55(t: TestContext): Promise<Outcome> {
  const first = await importedFrom(t, EXCHANGE_55);
  const policy = parse(first.yaml);
  const [service] = parse((await importedFrom(t, EXCHANGE_55_SECOND)).yaml).connectors;
  const own = { name: 'only-never', bindings: ['10.20.61.1:25'], remote_ip_ranges: ['10.20.61.0/24'] };
  policy.connectors.push({ ...service, ...own });
  return { ...first, yaml: stringify(policy) };
}

function exported(settings: typeof EXCHANGE_2007): PresetSettings {
  const rights = [...settings.rights, ...fromAbove(settings.connectors)];
  const files = Object.entries({ ...settings, rights }).map(([name, objects]) => [`${name}.xml`, asClixml(objects)]);
  return { files: Object.fromEntries(files), options: [] };
}

/** What `postern diff` says of the preset, without what no setting says, and of what was imported. */
async function differences(t: TestContext, preset: string, imported: string): Promise<{ code: number; said: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'postern-preset-'));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const list of ['exchange-2003.recipients.txt', 'exchange-2010.relay.txt'])
    copyFileSync(join(POLICIES, list), join(folder, list));
  let text = readFileSync(join(POLICIES, `${preset}.yaml`), 'utf8');
  for (const [why, from, to] of UNSAYABLE[preset] ?? []) {
    assert.equal(text.split(from).length, 2, `${preset}: ${why}: it stands there once`);
    text = text.replace(from, () => to);
  }
  writeFileSync(join(folder, 'preset.yaml'), text);
  writeFileSync(join(folder, 'imported.yaml'), imported);
  const out = output();
  const code = await diff([join(folder, 'preset.yaml'), join(folder, 'imported.yaml')], out);
  return { code, said: out.text + out.errors };
}

const IMPORTED: Readonly<Record<string, (t: TestContext) => Promise<Outcome>>> = {
  'exchange-5.5': exchange55,
  'exchange-2000': (t) => importedFrom(t, EXCHANGE_2000),
  'exchange-2003': (t) => importedFrom(t, exchange2003(false)),
  'exchange-2007': (t) => importedFrom(t, exported(EXCHANGE_2007)),
  'exchange-2010': (t) => importedFrom(t, exported(EXCHANGE_2010)),
};

for (const [preset, imported] of Object.entries(IMPORTED))
  test(`${preset}: postern diff finds no difference between the preset and what is imported of its settings`, async (t) => {
    const { code, said } = await differences(t, preset, (await imported(t)).yaml);
    assert.match(said, /^(also different, .*\n)*no difference\n$/);
    assert.equal(code, 0);
  });

test('what a preset adds to its settings is a difference: nothing is left out of the comparison', async (t) => {
  const { yaml } = await importedFrom(t, EXCHANGE_2000);
  const { code, said } = await differences(t, 'exchange-2000', yaml.replace('10.20.30.17', '10.20.30.18'));
  assert.match(said, /^\+ gains: 10\.20\.30\.18\n/m);
  assert.match(said, /^- loses: 10\.20\.30\.17\n/m);
  assert.equal(code, 1);
});

test('Exchange 5.5: both services answer every case of the preset', async (t) => {
  const { folder, yaml } = await exchange55(t);
  assert.equal(await casesAgainst(folder, yaml, casesOf('exchange-5.5')), '62 cases, 0 failed\n');
});

test('Exchange 2000: MetaBase.xml and the names that its octets do not tell answer every case of the preset', async (t) => {
  const { folder, yaml } = await importedFrom(t, EXCHANGE_2000);
  assert.equal(await casesAgainst(folder, yaml, casesOf('exchange-2000')), '52 cases, 0 failed\n');
});

test('Exchange 2003: ldifde, with users, filters and domains as lists', async (t) => {
  const { folder, yaml } = await importedFrom(t, exchange2003(true));
  // What the preset adds, and no setting of Exchange 2003 says: own domains of senders are for the inside and for logins, and
  // who logs in at the clients' port sends as oneself.
  const cases = casesOf('exchange-2003').replace(
    /^refuse-sender {2}203\.0\.113\.7 (sender=user(@example\.com)?|local=10\.20\.0\.25:587 login=CORP\\bob .*) .*$/gm,
    '',
  );
  assert.equal(await casesAgainst(folder, yaml, cases), '65 cases, 0 failed\n');
});
