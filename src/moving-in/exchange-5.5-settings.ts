// The relay settings of an Exchange 5.5 Internet Mail Service, read from a registry export and from lists as text.
//
// What they mean is exchange-5.5.ts' matter. The routing table and the Connections tab stand in the directory of Exchange
// and in no registry value that Microsoft has documented, so they come as lists (lists.ts) or in a value of that name.

import type { Place } from '../policy/problem.ts';
import { type Entry, parseEntry } from './addresses.ts';
import type { Report } from './imported.ts';
import type { InputFile } from './input-file.ts';
import type { Line } from './lists.ts';
import { type RegistryKey, type RegistryValue, registryKeys } from './registry.ts';

/** KB Q193922. */
export const FLAGS = { never: 1, clients: 2, internal: 4, logins: 8 } as const;

export interface RelaySettings {
  /** Null: there is no such value, which is as 0. */
  readonly flags: { readonly value: number; readonly where: Place } | null;
  readonly never: readonly Entry[];
  readonly clients: readonly Entry[];
  readonly internal: readonly Entry[];
  readonly routing: readonly Line[];
  /** The key. */
  readonly where: Place;
}

const KEY = /\\Services?\\MSExchangeIMC\\Parameters$/i;

export function readRelaySettings(file: InputFile, report: Report): RelaySettings | null {
  const keys = registryKeys(file, KEY, report);
  const current = keys.filter(({ path }) => /\\CurrentControlSet\\/i.test(path));
  const [key, second] = current.length > 0 ? current : keys;
  if (key === undefined) {
    report.fault(
      file.place(),
      'no key …\\Services\\MSExchangeIMC\\Parameters is in it: export that key of HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet',
    );
    return null;
  }
  if (second !== undefined) {
    report.fault(
      second.where,
      `${second.path}: the same settings stand in line ${key.where.line} already: export CurrentControlSet alone`,
    );
    return null;
  }
  return settingsOf(key, report);
}

function settingsOf(key: RegistryKey, report: Report): RelaySettings {
  const value = (name: string): RegistryValue | null =>
    key.values.find((one) => one.name.toLowerCase() === name.toLowerCase()) ?? null;
  const flagsValue = value('RelayFlags');
  if (flagsValue !== null && flagsValue.type !== 'number' && flagsValue.type !== 'faulty')
    report.fault(flagsValue.where, 'RelayFlags is no number (REG_DWORD): what was ticked is not known');
  const flags = flagsValue === null ? null : { value: flagsValue.number, where: flagsValue.where };
  const isTicked = (bit: number): boolean => flags !== null && (flags.value & bit) !== 0;
  const list = (name: string, bit: number, isDenial: boolean): Entry[] => {
    const found = value(name);
    if (found === null) {
      if (isTicked(bit) && isDenial)
        report.fault(
          flags?.where ?? key.where,
          `RelayFlags says that there is a ${name}, and there is none: is the file cut off? who is denied is not known`,
        );
      else if (isTicked(bit))
        report.cannotBeSaid(
          flags?.where ?? key.where,
          name,
          '',
          'it is ticked in RelayFlags and missing: nobody is on it here',
        );
      return [];
    }
    if (found.type === 'faulty') return [];
    if (found.type !== 'texts') {
      report.fault(found.where, `${name} is no list of texts (REG_MULTI_SZ, hex(7))`);
      return [];
    }
    return found.texts.flatMap(({ text, where }): Entry[] => {
      const address = readNet(text);
      if (typeof address !== 'string') return [{ address, written: text, where }];
      if (isDenial && isTicked(bit)) report.fault(where, `${name}: ${address}; a denial cannot be left out`);
      else report.cannotBeSaid(where, `${name} entry`, text, `${address}: left out`);
      return [];
    });
  };
  return {
    flags,
    never: list('RelayDenyList', FLAGS.never, true),
    clients: list('RelayAllowList', FLAGS.clients, false),
    internal: list('RelayLocalIPList', FLAGS.internal, false),
    routing: (value('RoutingTable') ?? value('Routing'))?.texts ?? [],
    where: key.where,
  };
}

/** `net` or `net;mask`, nothing else. */
function readNet(text: string): Entry['address'] | string {
  const address = parseEntry(text);
  if (typeof address === 'string') return address;
  return 'net' in address ? address : `'${text}' is no address with a mask, as 192.0.2.0;255.255.255.0`;
}
