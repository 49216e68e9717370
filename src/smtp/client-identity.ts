// Who the client is, as XCLIENT and XFORWARD tell a server that trusts us to say so (Postfix's XCLIENT_README and
// XFORWARD_README).
//
// Values are xtext (RFC 3461 §4), so that no name can begin another attribute or end the line: HELO is the client's word.
// A line holds at most 512 octets; what does not fit goes into a command of its own, and a value that fits no line is said
// to be unavailable. Only attributes that the server offered are sent. Pure; who looks the name up is the driver.

export interface ClientIdentity {
  readonly address: string;
  readonly port: number;
  /** Its name, confirmed by DNS; null = it has none, undefined = DNS did not answer. */
  readonly name: string | null | undefined;
  readonly localAddress: string;
  readonly localPort: number;
}

const LINE_LIMIT = 512; // with CRLF
const UNAVAILABLE = '[UNAVAILABLE]';
const HOST_NAME = /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*$/i;

/** The attributes that an EHLO keyword line offers, in capitals: what stands behind the keyword. */
export function offeredAttributes(rest: string): string[] {
  return rest
    .toUpperCase()
    .split(' ')
    .filter((word) => /^[A-Z]{1,16}$/.test(word));
}

/** The XCLIENT commands. HELO and PROTO are left out: the client's own EHLO is still to come and sets them. A login is
 * said not to be, since the server would else keep none or ours; the client's own AUTH sets it. */
export function xclientCommands(client: ClientIdentity, offered: readonly string[]): Buffer[] {
  const values: [string, string][] = [
    ['NAME', nameOf(client)],
    ['ADDR', addressOf(client.address)],
    ['PORT', String(client.port)],
    ['LOGIN', UNAVAILABLE],
    ['DESTADDR', addressOf(client.localAddress)],
    ['DESTPORT', String(client.localPort)],
  ];
  return commands('XCLIENT', values, offered);
}

/** The XFORWARD commands before one MAIL; the server forgets them with the transaction. */
export function xforwardCommands(
  client: ClientIdentity,
  helo: string,
  extended: boolean,
  offered: readonly string[],
): Buffer[] {
  const values: [string, string][] = [
    ['NAME', nameOf(client)],
    ['ADDR', addressOf(client.address)],
    ['PORT', String(client.port)],
    ['HELO', helo === '' ? UNAVAILABLE : helo],
    ['PROTO', extended ? 'ESMTP' : 'SMTP'],
    ['SOURCE', 'REMOTE'],
  ];
  return commands('XFORWARD', values, offered);
}

function commands(verb: string, values: readonly [string, string][], offered: readonly string[]): Buffer[] {
  const lines: string[] = [];
  let line = verb;
  for (const [attribute, value] of values) {
    if (!offered.includes(attribute)) continue;
    let word = ` ${attribute}=${toXtext(value)}`;
    if (verb.length + word.length + 2 > LINE_LIMIT) word = ` ${attribute}=${UNAVAILABLE}`;
    if (line.length + word.length + 2 > LINE_LIMIT) {
      lines.push(line);
      line = verb;
    }
    line += word;
  }
  if (line !== verb) lines.push(line);
  return lines.map((text) => Buffer.from(`${text}\r\n`, 'latin1'));
}

function nameOf({ name }: ClientIdentity): string {
  if (name === undefined) return '[TEMPUNAVAIL]';
  return name !== null && HOST_NAME.test(name) ? name : UNAVAILABLE;
}

function addressOf(address: string): string {
  return address.includes(':') ? `IPV6:${address}` : address;
}

/** RFC 3461 §4, undone. */
export function fromXtext(text: string): string {
  return text.replace(/\+([0-9A-F]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
}

/** RFC 3461 §4: printable ASCII but `+` and `=` stands for itself, every other octet is `+` and two digits. */
function toXtext(latin1: string): string {
  return latin1.replace(/[^!-~]|[+=]/g, (octet) => {
    return `+${(octet.charCodeAt(0) & 0xff).toString(16).toUpperCase().padStart(2, '0')}`;
  });
}
