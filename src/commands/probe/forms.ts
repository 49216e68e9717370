// The forms: every way in which an address has been written to make a mail server relay.
//
// A form is a forward-path together with what its acceptance would prove. The list holds the telnet tests of nmap's
// smtp-open-relay and of KB Q304897, the encapsulation of MS99-027, and what protocol.md 2 tells the firewall to refuse.
// Invariant: no form holds CR or LF, so that each is one command on the wire.
// It deliberately has no form for SMTP smuggling: that would need DATA, and a probe never sends a message.

/** Whose the domain is that the server sees first. `foreign`: to accept is to relay. `own`: the foreign address hides
 * behind the server's own domain or behind none at all, and old Exchange accepts and bounces it. `imcea`: the server's own
 * domain, but Exchange 5.5 unwraps it and relays (MS99-027). */
export type Outer = 'foreign' | 'own' | 'imcea';

/** Who claims to send: `bare` is a local part without a domain. */
export type SenderKind = 'null' | 'local' | 'literal' | 'foreign' | 'bare';

export interface Form {
  /** A few words; unique in the list. */
  readonly name: string;
  /** What follows `RCPT TO:`, in latin-1. */
  readonly path: string;
  readonly outer: Outer;
  /** With whom it is asked. */
  readonly senders: readonly SenderKind[];
}

/** The names that the forms are built from. */
export interface Names {
  /** A domain that the server receives mail for. */
  readonly local: string;
  /** A domain that it does not. */
  readonly foreign: string;
  /** The server's own address as a domain literal, brackets included. */
  readonly literal: string;
}

const USER = 'relay-test';
/** Column order of the table. The last two are asked with the plain form alone. */
export const SENDERS: readonly SenderKind[] = ['null', 'local', 'literal', 'foreign', 'bare'];
const SENDERS_OF_TRICKS: readonly SenderKind[] = ['null', 'local', 'literal'];

// 198.51.100.7 is documentation space (RFC 5737): no server calls it its own.
const FOREIGN_LITERAL = '[198.51.100.7]';
const FOREIGN_AS_NUMBER = '3325256711';
const FOREIGN_AS_HEX = '0xc6336407';

/** What follows `MAIL FROM:`. */
export function senderPath(kind: SenderKind, names: Names): string {
  if (kind === 'null') return '<>';
  if (kind === 'local') return `<${USER}@${names.local}>`;
  if (kind === 'literal') return `<${USER}@${names.literal}>`;
  if (kind === 'foreign') return `<${USER}@${names.foreign}>`;
  return `<${USER}>`;
}

/** Every form, the plain one first. */
export function formsFor(names: Names): Form[] {
  const u = USER;
  const { local: l, foreign: f, literal: i } = names;
  const list: Omit<Form, 'senders'>[] = [
    // The address as it is.
    { name: 'plain', path: `<${u}@${f}>`, outer: 'foreign' },
    { name: 'no brackets', path: `${u}@${f}`, outer: 'foreign' },
    { name: 'trailing dot', path: `<${u}@${f}.>`, outer: 'foreign' },
    { name: 'phrase', path: `"Relay Test" <${u}@${f}>`, outer: 'foreign' },
    { name: 'foreign literal', path: `<${u}@${FOREIGN_LITERAL}>`, outer: 'foreign' },
    { name: 'address as a number', path: `<${u}@${FOREIGN_AS_NUMBER}>`, outer: 'foreign' },
    { name: 'address in hex', path: `<${u}@${FOREIGN_AS_HEX}>`, outer: 'foreign' },

    // The percent hack.
    { name: 'percent', path: `<${u}%${f}@${l}>`, outer: 'own' },
    { name: 'percent at literal', path: `<${u}%${f}@${i}>`, outer: 'own' },
    { name: 'percent twice', path: `<${u}%${f}%${l}@${l}>`, outer: 'own' },
    { name: 'percent quoted', path: `<"${u}%${f}"@${l}>`, outer: 'own' },
    { name: 'percent alone', path: `<${u}%${f}>`, outer: 'own' },
    { name: 'percent quoted alone', path: `<"${u}%${f}">`, outer: 'own' },

    // A second @.
    { name: 'two at signs', path: `<${u}@${f}@${l}>`, outer: 'own' },
    { name: 'two at signs, literal', path: `<${u}@${f}@${i}>`, outer: 'own' },
    { name: 'quoted', path: `<"${u}@${f}"@${l}>`, outer: 'own' },
    { name: 'quoted at literal', path: `<"${u}@${f}"@${i}>`, outer: 'own' },
    { name: 'quoted alone', path: `<"${u}@${f}">`, outer: 'own' },
    { name: 'quoted pair', path: `<${u}\\@${f}@${l}>`, outer: 'own' },
    { name: 'quoted pair in quotes', path: `<"${u}\\@${f}"@${l}>`, outer: 'own' },

    // The bang path of UUCP.
    { name: 'bang', path: `<${f}!${u}@${l}>`, outer: 'own' },
    { name: 'bang at literal', path: `<${f}!${u}@${i}>`, outer: 'own' },
    { name: 'bang quoted', path: `<"${f}!${u}"@${l}>`, outer: 'own' },
    { name: 'bang twice', path: `<${l}!${f}!${u}>`, outer: 'own' },
    { name: 'bang alone', path: `<${f}!${u}>`, outer: 'own' },

    // RFC 5321 §C: a source route. Behind our own name the mailbox itself is foreign.
    { name: 'route through us', path: `<@${l}:${u}@${f}>`, outer: 'foreign' },
    { name: 'route through literal', path: `<@${i}:${u}@${f}>`, outer: 'foreign' },
    { name: 'route through foreign', path: `<@${f}:${u}@${l}>`, outer: 'own' },
    { name: 'route through both', path: `<@${l},@${f}:${u}@${l}>`, outer: 'own' },

    // More than one address, or more than an address.
    { name: 'two paths', path: `<${u}@${l}><${u}@${f}>`, outer: 'own' },
    { name: 'two paths with comma', path: `<${u}@${l}>,<${u}@${f}>`, outer: 'own' },
    { name: 'list', path: `<${u}@${l},${u}@${f}>`, outer: 'own' },
    { name: 'group', path: `<test:${u}@${f};@${l}>`, outer: 'own' },
    { name: 'comment behind us', path: `<${u}@${l}(${u}@${f})>`, outer: 'own' },
    { name: 'comment behind foreign', path: `<${u}@${f}(@${l})>`, outer: 'foreign' },

    // A domain that two parsers read differently.
    { name: 'port in domain', path: `<${u}@${f}:25>`, outer: 'foreign' },
    { name: 'two dots in domain', path: `<${u}@${f}..>`, outer: 'foreign' },
    { name: 'leading dot in domain', path: `<${u}@.${f}>`, outer: 'foreign' },
    { name: 'percent in domain', path: `<${u}@${f}%${l}>`, outer: 'own' },
    { name: 'slash in domain', path: `<${u}@${f}/${l}>`, outer: 'own' },
    { name: 'blank in domain', path: `<${u}@${f} @${l}>`, outer: 'own' },
    { name: 'NUL in domain', path: `<${u}@${f}\0@${l}>`, outer: 'own' },

    // MS99-027 (KB Q237927): Exchange 5.5 unwraps these and sends what is inside. +40 is @, +2E a dot, +2B a plus.
    { name: 'IMCEA', path: `<IMCEASMTP-${u}+40${f}@${l}>`, outer: 'imcea' },
    { name: 'IMCEA at literal', path: `<IMCEASMTP-${u}+40${f}@${i}>`, outer: 'imcea' },
    { name: 'IMCEA lower case', path: `<imceasmtp-${u}+40${f}@${l}>`, outer: 'imcea' },
    { name: 'IMCEA with dots', path: `<IMCEASMTP-${u}+40${f.replaceAll('.', '+2E')}@${l}>`, outer: 'imcea' },
    { name: 'IMCEA quoted', path: `<"IMCEASMTP-${u}+40${f}"@${l}>`, outer: 'imcea' },
    { name: 'IMCEA nested', path: `<IMCEASMTP-IMCEASMTP-${u}+2B40${f}@${l}>`, outer: 'imcea' },
    { name: 'IMCEA RFC822', path: `<IMCEARFC822-${u}+40${f}@${l}>`, outer: 'imcea' },
    { name: 'IMCEA with a blank', path: `<"IMCEA ${u}@${f}"@${l}>`, outer: 'imcea' },
    { name: 'IMCEA alone', path: `<IMCEASMTP-${u}+40${f}>`, outer: 'imcea' },
  ];
  return list.map((form, index) => ({ ...form, senders: index === 0 ? SENDERS : SENDERS_OF_TRICKS }));
}
