// MetaBase.xml of IIS 6 and later: the SMTP service, its virtual servers and their domains.

import type { Place } from '../policy/problem.ts';
import type { Report } from './imported.ts';
import type { InputFile } from './input-file.ts';
import { SettingsObject } from './settings-object.ts';
import { type Element, parseXml } from './xml.ts';

export interface SmtpObjects {
  readonly servers: SettingsObject[];
  /** Of SMTP domains: `server` is the number of the virtual server. */
  readonly domains: { readonly server: string; readonly domain: string; readonly object: SettingsObject }[];
}

export function isMetabase({ text }: InputFile): boolean {
  return (
    /^\s*<(\?xml|configuration|!--)/.test(text) && /XML_Metabase|<MBProperty|<IIsSmtp/.test(text.slice(0, 1 << 20))
  );
}

export function readMetabase(file: InputFile, report: Report): SmtpObjects {
  const objects: SmtpObjects = { servers: [], domains: [] };
  const root = parseXml(file);
  if ('message' in root) {
    report.fault(root, root.message);
    return objects;
  }
  const elements: Element[] = [];
  const gather = (element: Element): void => {
    if (element.attributes.Location !== undefined) elements.push(element);
    for (const child of element.children) gather(child);
  };
  gather(root);
  const at = (pattern: RegExp) =>
    elements.flatMap((element) => {
      const match = pattern.exec(element.attributes.Location ?? '');
      return match === null ? [] : [{ element, match }];
    });
  const [service] = at(/^\/LM\/SmtpSvc$/i);
  const parent = service === undefined ? null : objectOf(service.element, 'SmtpSvc', file, null);
  for (const { element, match } of at(/^\/LM\/SmtpSvc\/([0-9]+)$/i))
    objects.servers.push(objectOf(element, match[1] as string, file, parent));
  for (const { element, match } of at(/^\/LM\/SmtpSvc\/([0-9]+)\/Domain\/([^/]+)$/i))
    objects.domains.push({
      server: match[1] as string,
      domain: match[2] as string,
      object: objectOf(element, match[2] as string, file, null),
    });
  if (objects.servers.length === 0)
    report.fault(
      file.place(),
      'no SMTP virtual server is in it (an IIsSmtpServer at /LM/SmtpSvc/1): was SMTP installed there?',
    );
  return objects;
}

function objectOf(element: Element, name: string, file: InputFile, parent: SettingsObject | null): SettingsObject {
  const { line, column } = element;
  const object = new SettingsObject(name, { file: file.name, line, column }, parent);
  for (const [key, value] of Object.entries(element.attributes))
    if (key !== 'Location') object.set({ name: key, values: [value], where: placeOf(file, element, key) });
  for (const { attributes, name: kind, ...where } of element.children) {
    // A property that the schema has no name for is known by its number.
    const key = attributes.Name ?? attributes.ID;
    if (kind !== 'Custom' || key === undefined) continue;
    const known = IDS[attributes.ID ?? ''];
    object.set({
      name: known ?? key,
      values: [attributes.Value ?? ''],
      where: { file: file.name, line: where.line, column: where.column },
    });
  }
  return object;
}

const IDS: Readonly<Record<string, string>> = {
  36970: 'RelayIpList',
  36973: 'RelayForAuth',
  36974: 'SmtpDisableRelay',
  37031: 'SmtpIpRestrictionFlag',
};

/** Where an attribute of the element stands. */
function placeOf(file: InputFile, { line, column }: Element, attribute: string): Place {
  const from = file.offset(line, column);
  const end = file.text.indexOf('>', from);
  const found = new RegExp(`\\b${attribute}\\s*=`).exec(file.text.slice(from, end === -1 ? undefined : end));
  return file.place(from + (found?.index ?? 0));
}
