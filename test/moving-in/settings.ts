// Settings of old servers as they come out of them, made for tests: registry exports, octets of IIS, MetaBase.xml, ldifde.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { importSettings } from '../../src/commands/import.ts';
import { test as runCases } from '../../src/commands/test.ts';

export type Net = readonly [address: string, mask: string];

/** REG_MULTI_SZ, folded as regedit folds it. */
export function multi(texts: readonly string[], encoding: 'utf16le' | 'latin1' = 'utf16le'): string {
  const octets = Buffer.from(`${texts.map((text) => `${text}\0`).join('')}\0`, encoding);
  let line = 'hex(7):';
  const lines: string[] = [];
  for (const [i, octet] of octets.entries()) {
    const item = `${octet.toString(16).padStart(2, '0')}${i < octets.length - 1 ? ',' : ''}`;
    if (line.length + item.length > 76) {
      lines.push(`${line}\\`);
      line = '  ';
    }
    line += item;
  }
  return [...lines, line].join('\r\n');
}

export const IMC = 'HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services\\MSExchangeIMC\\Parameters';

export function registryExport(values: Readonly<Record<string, string>>, version: 4 | 5 = 5): Buffer {
  const head = version === 4 ? 'REGEDIT4' : 'Windows Registry Editor Version 5.00';
  const lines = Object.entries(values).map(([name, value]) => `"${name}"=${value}`);
  const text = [head, '', `[${IMC}]`, ...lines, '', ''].join('\r\n');
  return version === 4 ? Buffer.from(text, 'latin1') : Buffer.from(`\ufeff${text}`, 'utf16le');
}

/** As IIS keeps it: addresses under one mask are a group. */
export function securityOctets({
  granted = [],
  denied = [],
}: {
  granted?: readonly Net[];
  denied?: readonly Net[];
}): Buffer {
  const groups = (nets: readonly Net[]) => [
    ...new Map(nets.map(([, mask]) => [mask, nets.filter((net) => net[1] === mask)])),
  ];
  const lists = [groups(denied), groups(granted)];
  const sizes = lists.map((list) => 8 + 20 * list.length);
  const starts = [24, 24 + (sizes[0] as number)];
  const names = (starts[1] as number) + (sizes[1] as number);
  const values = names + 16;
  const numbers: number[] = [...starts, names, names + 8].map((offset) => offset + 0x80000000);
  numbers.push(1, values);
  const octets: number[] = [];
  for (const [i, list] of lists.entries()) {
    numbers.push(list.length, (i === 0 ? denied : granted).length);
    for (const [mask, nets] of list) {
      numbers.push(2, nets.length + 1, 4, 0, values + octets.length + 0x80000000);
      for (const address of [mask, ...nets.map(([net]) => net)]) octets.push(...address.split('.').map(Number));
    }
  }
  numbers.push(0, 0, 0, 0);
  const head = Buffer.alloc(values);
  for (const [i, number] of numbers.entries()) head.writeUInt32LE(number, i * 4);
  return Buffer.concat([head, Buffer.from(octets)]);
}

export function metabase(
  servers: Readonly<Record<string, Readonly<Record<string, string>>>>,
  domains: Readonly<Record<string, number>> = {},
): string {
  const attributes = (values: Readonly<Record<string, string>>): string =>
    Object.entries(values)
      .map(([name, value]) => `\t\t${name}="${value}"`)
      .join('\r\n');
  return [
    '<?xml version ="1.0"?>',
    '<configuration xmlns="urn:microsoft-catalog:XML_Metabase_V64_0">',
    '<MBProperty>',
    '<IIsSmtpService\tLocation ="/LM/SmtpSvc"',
    '\t\tMaxRecipients="100"',
    '\t>',
    '</IIsSmtpService>',
    ...Object.entries(servers).flatMap(([name, values]) => [
      `<IIsSmtpServer\tLocation ="/LM/SmtpSvc/${name}"`,
      attributes(values),
      '\t>',
      '</IIsSmtpServer>',
    ]),
    ...Object.entries(domains).flatMap(([name, action]) => [
      `<IIsSmtpDomain\tLocation ="/LM/SmtpSvc/1/Domain/${name}"`,
      `\t\tRouteAction="${action}"`,
      '\t>',
      '</IIsSmtpDomain>',
    ]),
    '</MBProperty>',
    '</configuration>',
    '',
  ].join('\r\n');
}

/** Folded and in base64 as ldifde writes it. */
export function ldif(entries: readonly Readonly<Record<string, string | Buffer | readonly string[]>>[]): string {
  const fold = (line: string): string => line.replace(/(.{76})(?=.)/g, '$1\r\n ');
  const lines = entries.flatMap((entry) => [
    ...Object.entries(entry).flatMap(([name, value]) =>
      (Array.isArray(value) ? value : [value]).map((one) =>
        fold(Buffer.isBuffer(one) ? `${name}:: ${one.toString('base64')}` : `${name}: ${one}`),
      ),
    ),
    '',
  ]);
  return `${lines.join('\r\n')}\r\n`;
}

export interface Outcome {
  readonly code: number;
  readonly yaml: string;
  readonly said: string;
  readonly folder: string;
}

/** Files, by their names, into a folder, and `postern import` of them all there. */
export async function importFiles(
  t: TestContext,
  files: Readonly<Record<string, string | Buffer>>,
  ...options: string[]
): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), 'postern-import-'));
  t.after(() => rmSync(folder, { recursive: true }));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(folder, name), content);
  const out = output();
  const paths = Object.keys(files).map((name) => join(folder, name));
  const code = await importSettings([...paths, '--cases', join(folder, 'office.cases'), ...options], out);
  writeFileSync(join(folder, 'office.yaml'), out.text);
  return { code, yaml: out.text, said: out.errors.replaceAll(`${folder}/`, ''), folder };
}

/** What `postern test` says of the cases against the policy that was imported. */
export async function casesAgainst(folder: string, yaml: string, cases: string): Promise<string> {
  writeFileSync(join(folder, 'asked.yaml'), yaml);
  writeFileSync(join(folder, 'asked.cases'), cases);
  const out = output();
  await runCases([join(folder, 'asked.cases')], out);
  return (out.text + out.errors).replaceAll(`${folder}/`, '');
}

export function output() {
  return {
    text: '',
    errors: '',
    isTTY: false,
    stdout(text: string) {
      this.text += text;
    },
    stderr(text: string) {
      this.errors += text;
    },
  };
}
