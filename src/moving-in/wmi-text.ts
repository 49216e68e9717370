// What WMI and ADSI print of a virtual server: `NAME : value` line by line, or the octets of its relay list alone.

import type { Report } from './imported.ts';
import type { InputFile } from './input-file.ts';
import { SettingsObject } from './settings-object.ts';

/** The first octets of a list, as numbers. */
const OCTETS = /(^|[\s{(=:|,])24[\s,.;|]+0[\s,.;|]+0[\s,.;|]+128[\s,.;|]+/;
const PROPERTY = /^\s*([A-Za-z][A-Za-z0-9]*)\s*[:=]\s?(.*)$/;

export function isWmiText({ text }: InputFile): boolean {
  return OCTETS.test(text) || /^\s*(RelayIpList|RelayForAuth|ServerBindings|IPSecurity)\s*[:=]/im.test(text);
}

export function readWmiText(file: InputFile, report: Report): SettingsObject[] {
  const servers: SettingsObject[] = [];
  let server: SettingsObject | null = null;
  let open: { name: string; text: string; offset: number } | null = null;
  const close = (): void => {
    if (open !== null && server !== null) take(server, open, file, report);
    open = null;
  };
  for (const { text, offset } of file.lines()) {
    const property = PROPERTY.exec(text);
    if (text.trim() === '') {
      close();
    } else if (property !== null && !/^[0-9]/.test(property[1] as string)) {
      close();
      const [, name = '', value = ''] = property;
      // A new object begins with its name, or where a setting comes again.
      const isNew: boolean =
        server === null || /^name$/i.test(name)
          ? server === null || server.get(name) !== null
          : server.get(name) !== null;
      if (isNew) {
        server = new SettingsObject(String(servers.length + 1), file.place(offset));
        servers.push(server);
      }
      open = { name, text: value, offset };
    } else if (open !== null) open.text += ` ${text.trim()}`;
    else {
      if (server === null) {
        server = new SettingsObject('1', file.place(offset));
        servers.push(server);
      }
      open = { name: 'RelayIpList', text: text.trim(), offset };
    }
  }
  close();
  return servers;
}

interface Open {
  readonly name: string;
  readonly text: string;
  readonly offset: number;
}

function take(server: SettingsObject, { name, text, offset }: Open, file: InputFile, report: Report): void {
  const where = file.place(offset);
  const isList = /^(RelayIpList|IPSecurity)$/i.test(name);
  const bare = text.replace(/^\s*[{(]\s*|\s*[)}]\s*$/g, '').trim();
  if (!isList) {
    const values = /^\s*\{/.test(text) ? bare.split(/\s*,\s*/) : [text.trim()];
    server.set({ name, values, where });
    return;
  }
  if (/\.\.\.|…/.test(bare)) {
    const how = `(Get-WmiObject -Namespace root\\MicrosoftIISv2 -Class IIsSmtpServerSetting).${name} -join ','`;
    report.fault(where, `${name} was shortened where it was printed: print it whole with ${how}`);
    return;
  }
  if (bare === '') {
    server.set({ name, values: [''], where });
    return;
  }
  const words = bare.split(/[\s,.;|]+/).filter((word) => word !== '');
  const wrong = words.find((word) => !/^[0-9]{1,3}$/.test(word) || Number(word) > 255);
  if (wrong !== undefined) report.fault(where, `${name}: '${wrong}' is no octet, a number from 0 to 255`);
  else server.set({ name, values: [Uint8Array.from(words, Number)], where });
}
