// What Exchange's cmdlets give out for settings of ours, in each of the forms that PowerShell writes. Nothing is copied from
// an export: names, ranges and ids are examples, and only the forms are those of real files.

export type Plain = string | number | boolean | null | readonly Plain[] | Flags | PlainObject;

export interface PlainObject {
  readonly [name: string]: Plain;
}

/** An enum: its names, and the number that some forms give in their place. */
export interface Flags {
  readonly names: string;
  readonly number: number;
}

export function flags(names: string, bits: Readonly<Record<string, number>>): Flags {
  const number = names.split(', ').reduce((sum, name) => sum | (bits[name] ?? 0), 0);
  return { names, number };
}

function isFlags(value: Plain): value is Flags {
  return typeof value === 'object' && value !== null && 'names' in value && 'number' in value;
}

export const MECHANISMS = {
  Tls: 1,
  Integrated: 2,
  BasicAuth: 4,
  BasicAuthRequireTLS: 8,
  ExchangeServer: 16,
  ExternalAuthoritative: 32,
};
export const GROUPS = {
  AnonymousUsers: 1,
  ExchangeUsers: 2,
  ExchangeServers: 4,
  ExchangeLegacyServers: 8,
  Partners: 16,
  Custom: 32,
};
const TYPES = { Authoritative: 0, ExternalRelay: 1, InternalRelay: 2 };

const EVERYWHERE = ['::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', '0.0.0.0-255.255.255.255'];

/** As New-ReceiveConnector would make it; `changes` say the rest. */
export function receiveConnector(
  name: string,
  mechanisms: string,
  groups: string,
  changes: PlainObject = {},
): PlainObject {
  return {
    AuthMechanism: flags(mechanisms, MECHANISMS),
    Bindings: ['0.0.0.0:25', '[::]:25'],
    ChunkingEnabled: true,
    Enabled: true,
    MaxInboundConnection: 5000,
    MaxInboundConnectionPerSource: 20,
    MaxInboundConnectionPercentagePerSource: 2,
    MaxLogonFailures: 3,
    MaxProtocolErrors: 5,
    MaxRecipientsPerMessage: 200,
    MaxMessageSize: '10 MB (10,485,760 bytes)',
    MessageRateLimit: 'Unlimited',
    PermissionGroups: flags(groups, GROUPS),
    RemoteIPRanges: EVERYWHERE,
    RequireTLS: false,
    Server: 'EX01',
    TarpitInterval: '00:00:05',
    Name: name,
    Identity: `EX01\\${name}`,
    ...changes,
  };
}

export function acceptedDomain(DomainName: string, type: keyof typeof TYPES): PlainObject {
  return { DomainName, DomainType: { names: type, number: TYPES[type] }, Name: DomainName };
}

/** An entry of Get-ADPermission for one connector. */
export function entry(
  connector: string,
  User: string,
  rights: readonly string[],
  changes: PlainObject = {},
): PlainObject {
  return {
    Identity: `EX01\\${connector}`,
    User,
    Deny: false,
    IsInherited: false,
    ExtendedRights: rights,
    ...changes,
  };
}

/** What every connector has from above, and what no list of all entries is without. */
export function fromAbove(connectors: readonly PlainObject[]): PlainObject[] {
  return connectors.map(({ Name }) =>
    entry(String(Name), 'CORP\\Organization Management', ['Send-As'], { Deny: true, IsInherited: true }),
  );
}

export function mailbox(sam: string, addresses: readonly string[], suffix: string): PlainObject {
  return {
    Login: `CORP\\${sam}`,
    UserPrincipalName: `${sam}@${suffix}`,
    EmailAddresses: addresses.map((address, i) => `${i === 0 ? 'SMTP' : 'smtp'}:${address}`),
  };
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

export function asClixml(objects: readonly PlainObject[]): string {
  let id = 0;
  const written = (value: Plain, name: string | null): string => {
    const n = name === null ? '' : ` N="${name}"`;
    if (value === null) return `<Nil${n} />`;
    if (typeof value === 'boolean') return `<B${n}>${value}</B>`;
    if (typeof value === 'number') return `<I32${n}>${value}</I32>`;
    if (typeof value === 'string') return `<S${n}>${escapeXml(value)}</S>`;
    id++;
    if (isFlags(value))
      return `<Obj${n} RefId="${id}"><ToString>${value.names}</ToString><I32>${value.number}</I32></Obj>`;
    if (Array.isArray(value)) {
      const items = value.map(
        (one) => `<Obj RefId="${++id}"><ToString>${escapeXml(String(one))}</ToString><Props /></Obj>`,
      );
      return `<Obj${n} RefId="${id}l"><LST>${items.join('')}</LST></Obj>`;
    }
    const properties = Object.entries(value).map(([key, one]) => `      ${written(one, key)}\n`);
    return `  <Obj${n} RefId="${id}o">\n    <Props>\n${properties.join('')}    </Props>\n  </Obj>\n`;
  };
  const body = objects.map((object) => written(object, null)).join('');
  return `<Objs Version="1.1.0.1" xmlns="http://schemas.microsoft.com/powershell/2004/04">\n${body}</Objs>`;
}

/** Enums as numbers, ranges as objects with bounds. */
export function asJson(objects: readonly PlainObject[]): string {
  const written = (value: Plain, name: string): unknown => {
    if (isFlags(value as Plain)) return (value as Flags).number;
    if (name !== 'RemoteIPRanges') return value;
    return (value as readonly string[]).map((range) => {
      const [LowerBound = '', UpperBound = LowerBound] = range.split('-');
      return range.includes('/') ? { RangeFormat: 1, Expression: range } : { LowerBound, UpperBound, RangeFormat: 3 };
    });
  };
  const plain = objects.map((object) =>
    Object.fromEntries(Object.entries(object).map(([key, value]) => [key, written(value, key)])),
  );
  return JSON.stringify(plain, null, 4);
}

/** As Export-Csv would, with lists joined by the administrator. */
export function asCsv(objects: readonly PlainObject[], delimiter = ','): string {
  const names = Object.keys(objects[0] as PlainObject);
  const cell = (value: Plain): string => {
    const text = isFlags(value) ? value.names : Array.isArray(value) ? value.join(',') : String(value ?? '');
    return `"${text.replaceAll('"', '""')}"`;
  };
  const rows = objects.map((object) => names.map((name) => cell(object[name] ?? null)).join(delimiter));
  return ['#TYPE Selected.Example', names.map((name) => `"${name}"`).join(delimiter), ...rows, ''].join('\r\n');
}

/** As Format-List in a window of 80 columns, numbers as Germans write them. */
export function asFormatList(objects: readonly PlainObject[]): string {
  const lines: string[] = ['', ''];
  for (const object of objects) {
    const names = Object.keys(object);
    const column = Math.max(...names.map((name) => name.length));
    for (const name of names) {
      const value = object[name] as Plain;
      const text = isFlags(value) ? value.names : Array.isArray(value) ? `{${value.join(', ')}}` : shown(value);
      const room = 79 - column - 3;
      const pieces = text.match(new RegExp(`.{1,${room}}`, 'g')) ?? [''];
      lines.push(
        `${name.padEnd(column)} : ${pieces[0]}`,
        ...pieces.slice(1).map((piece) => `${' '.repeat(column + 3)}${piece}`),
      );
    }
    lines.push('', '');
  }
  return lines.join('\r\n');
}

function shown(value: Plain): string {
  if (value === null) return '';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  return String(value).replace(/\(([0-9,]+) bytes\)/, (_, digits: string) => `(${digits.replaceAll(',', '.')} Bytes)`);
}
