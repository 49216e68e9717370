// An office with an old mail server, and who sends mail through it: printers, a scanner, applications, people, other mail servers,
// and somebody who found that the server relays.
//
// What they send in thirty days, and what one of them sends once a quarter, when nobody thinks of it any more. Names and addresses are
// examples (RFC 2606, RFC 5737). How a letter is sent is not here (mail-client.ts).

export const DOMAIN = 'example.com';
export const SERVER = '10.0.0.10';
/** Postern's machine. */
export const POSTERN = '10.0.0.9';
export const DAYS = 30;

/** People and applications that log in, with their passwords. */
export const ACCOUNTS: ReadonlyMap<string, string> = new Map([
  ['alice@example.com', 'correct horse'],
  ['shop@example.com', 'battery staple'],
]);

export interface Sender {
  readonly name: string;
  readonly address: string;
  readonly heloName: string;
  readonly login: string | null;
  /** People with laptops come to the port for clients, where the server has one. */
  readonly isRoaming: boolean;
  /** Whether its mail has to go on arriving. */
  readonly legitimate: boolean;
  /** Gives up the whole message when one recipient is refused, as most do. */
  readonly givesUp: boolean;
}

export interface Letter {
  readonly from: Sender;
  readonly sender: string;
  readonly recipients: readonly string[];
}

function sender(name: string, address: string, heloName: string, more: Partial<Sender> = {}): Sender {
  return { name, address, heloName, login: null, isRoaming: false, legitimate: true, givesUp: true, ...more };
}

const PRINTER = sender('a printer', '192.168.1.17', 'printer');
const SCANNER = sender('a scanner', '192.168.1.100', 'scanner-2nd-floor');
const ERP = sender('the ERP application', '192.168.1.50', 'erp.example.com');
const SHOP = sender('the web shop, which logs in', '192.168.1.30', 'shop.example.com', { login: 'shop@example.com' });
const PAYROLL = sender('payroll, once a quarter', '192.168.1.40', 'payroll');
const ALICE = sender('Alice on the road, who logs in', '203.0.113.20', '[203.0.113.20]', {
  login: 'alice@example.com',
  isRoaming: true,
});
const PARTNER = sender('mail from a partner', '198.51.100.20', 'mx.partner.example');
const WORLD = sender('mail from the world', '198.51.100.77', 'mx.world.example');
const SPAMMER = sender('a spammer', '203.0.113.66', 'friend', { legitimate: false, givesUp: false });

export const FORGOTTEN: Letter = {
  from: PAYROLL,
  sender: 'payroll@example.com',
  recipients: ['transfers@bank.example'],
};

/** Of one day, 0 to 29. */
export function lettersOf(day: number): Letter[] {
  const every = (days: number, letter: Letter): Letter[] => (day % days === 0 ? [letter] : []);
  const spam = (i: number): Letter => ({
    from: SPAMMER,
    sender: `offer${day}@bulk${(day + i) % 7}.example`,
    recipients: [`victim@domain${day * 3 + i}.example`, `user%domain${day}.example@${DOMAIN}`],
  });
  return [
    { from: PARTNER, sender: 'orders@partner.example', recipients: [`alice@${DOMAIN}`, `it@${DOMAIN}`] },
    { from: WORLD, sender: day % 5 === 0 ? '' : `news${day}@world.example`, recipients: [`alice@${DOMAIN}`] },
    ...every(2, { from: PRINTER, sender: `printer@${DOMAIN}`, recipients: [`it@${DOMAIN}`] }),
    ...every(3, { from: SCANNER, sender: `scan@${DOMAIN}`, recipients: [`alice@${DOMAIN}`, 'files@lawyer.example'] }),
    ...every(4, {
      from: ERP,
      sender: `erp@${DOMAIN}`,
      recipients: [day % 8 === 0 ? 'orders@supplier-a.example' : 'orders@supplier-b.example'],
    }),
    { from: SHOP, sender: `shop@${DOMAIN}`, recipients: [`buyer@customer${day}.example`] },
    ...every(5, { from: ALICE, sender: `alice@${DOMAIN}`, recipients: ['friend@home.example', `it@${DOMAIN}`] }),
    ...(day % 6 === 2 ? [spam(0), spam(1), spam(2)] : []),
  ];
}

/** One of each: what has to work in the end, and what must not. */
export function everyKind(): Letter[] {
  const kinds = new Map<string, Letter>();
  for (let day = 0; day < DAYS; day++)
    for (const letter of lettersOf(day)) kinds.set(`${letter.from.name} ${letter.recipients.at(-1)}`, letter);
  return [...firstOfEach(kinds.values()), FORGOTTEN];
}

/** Of the shop and the spammer, who write to many, one each; of others each recipient. */
function* firstOfEach(letters: Iterable<Letter>): Generator<Letter> {
  const seen = new Set<Sender>();
  for (const letter of letters) {
    const { from } = letter;
    if ((from === SHOP || from === SPAMMER) && seen.has(from)) continue;
    seen.add(from);
    yield letter;
  }
}
