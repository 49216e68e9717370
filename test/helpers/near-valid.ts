// Dialogues that are nearly right: what a client might say, made by a grammar and then spoilt a little (fast-check).
//
// A dialogue is bursts of atoms. The upstream answers behind each burst, so that replies come at fixed places of the
// client's stream however that is cut. An atom is what the firewall may take or leave as a whole: a line with its end, or
// the payload of a BDAT. `#` becomes the number of the unit, as `7n`, so that its reply can be told from every other one.

import fc from 'fast-check';

export interface Atom {
  readonly octets: string;
  /** A BDAT payload: answered with its command, and by nothing else. */
  readonly payload: boolean;
}

export type Burst = readonly Atom[];

/** A command with what belongs to it, or a piece of mail data. */
type Unit = readonly Atom[];

const line = (octets: string): Atom => ({ octets, payload: false });
const lines = (text: string): Unit => (text.match(/[^\n]*\n|[^\n]+$/g) ?? []).map(line);
/** One of the words that stand between blanks; `·` is a blank inside a word. */
const wordsOf = (text: string): string[] =>
  text
    .trim()
    .split(/\s+/)
    .map((word) => word.replaceAll('·', ' '));
const oneOf = (text: string): fc.Arbitrary<string> => fc.constantFrom(...wordsOf(text));

// --- addresses

const ACCEPTED = oneOf(`<u#@local.example> <u#@local.example> <"u#·x"@local.example> <u#@LOCAL.example.>
  u#@local.example <u#@[192.0.2.25]> <Postmaster> <IMCEAEX-u#@local.example>`);

const FOREIGN = oneOf(`<u#@foreign.example> <u#%foreign.example@local.example> <"u#@foreign.example"@local.example>
  <@local.example:u#@foreign.example> <foreign.example!u#@local.example> <IMCEASMTP-u#+40foreign.example@local.example>`);

const PIECE = fc.oneof(
  oneOf(`u# x @ @ % ! " \\ . , : ; < > · ( ) + _ * @@ 1 0x7f [192.0.2.25] [203.0.113.7] Postmaster local.example
    local.example foreign.example foreign.example @local.example @local.example @foreign.example %foreign.example
    foreign.example! IMCEASMTP- IMCEARFC822- imceasmtp- IMCEAEX- IMCEAFAX- +40 +2E +25 +21 +2B40`),
  fc.constantFrom('\t', '\0', '\xff', '\xc3\xa9', '\xe3\x80\x82'),
);

const TRICKY = fc
  .tuple(
    fc.array(PIECE, { minLength: 1, maxLength: 7 }),
    fc.constantFrom('>', '@local.example>', '@local.example>', ''),
  )
  .map(([pieces, end]) => `<${pieces.join('')}${end}`);

const RECIPIENT = fc.oneof(
  { weight: 8, arbitrary: ACCEPTED },
  { weight: 3, arbitrary: FOREIGN },
  { weight: 4, arbitrary: TRICKY },
);

// --- commands

const PARAMETERS = fc.oneof(
  { weight: 4, arbitrary: fc.constant('') },
  {
    weight: 1,
    arbitrary: oneOf(
      '·NOTIFY=NEVER ·ORCPT=rfc822;x@foreign.example ·SIZE=9 ·BODY=8BITMIME ·SMTPUTF8 ·XOORG=x · ·<u#@foreign.example>',
    ),
  },
);

const MAIL = fc
  .tuple(fc.oneof(oneOf('<> <s#@sender.example> <s#@foreign.example>'), RECIPIENT), PARAMETERS)
  .map(([path, rest]) => `MAIL FROM:${path}${rest}`);

const RCPT = fc
  .tuple(oneOf('RCPT·TO: RCPT·TO: RCPT·TO: rcpt·to: RCPT·TO:·'), RECIPIENT, PARAMETERS)
  .map((parts) => parts.join(''));

const OTHER = fc.oneof(
  {
    weight: 20,
    arbitrary:
      oneOf(`EHLO·c#.example EHLO·c#.example HELO·c# RSET RSET NOOP·u# NOOP·u# VRFY·u# EXPN·u# HELP·u# DATA DATA·x
      STARTTLS X-EXPS·NTLM XEXCH50·5·2 X-LINK2STATE·FIRST·CHUNK=x ETRN·u# BURL·x·LAST XCLIENT·ADDR=127.0.0.1
      AUTH·PLAIN·AGFsaWNlAHNlY3JldA== AUTH·PLAIN AUTH·LOGIN AUTH·LOGIN·YWxpY2U= AUTH·CRAM-MD5 AUTH·NTLM AUTH·GSSAPI
      * AGFsaWNlAHNlY3JldA== YWxpY2U= c2VjcmV0 YmFkAGJhZABiYWQ= FOO·u# SOML·FROM:<s#@sender.example> ·NOOP
      NOOP·RCPT·TO:<u#@foreign.example>`),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      ...['', 'QUIT', 'BDAT', 'BDAT -1 LAST', 'GET / HTTP/1.1', '\x16\x03\x01', `NOOP u#${'x'.repeat(2060)}`],
      `NOOP ${'x'.repeat(507)}RCPT TO:<u#@foreign.example>`,
      `NOOP ${'x'.repeat(2043)}RCPT TO:<u#@foreign.example>`,
    ),
  },
);

const LINE_END = fc.oneof(
  { weight: 30, arbitrary: fc.constant('\r\n') },
  { weight: 1, arbitrary: fc.constantFrom('\n', '\r', '\r\r\n', '\0\r\n', ' \r\n', '\r\n\r\n') },
);

const COMMAND = fc
  .tuple(
    fc.oneof({ weight: 1, arbitrary: MAIL }, { weight: 2, arbitrary: RCPT }, { weight: 3, arbitrary: OTHER }),
    LINE_END,
  )
  .map(([words, end]): Unit[] => [lines(words + end)]);

// --- messages

const TEXT = fc
  .array(
    fc.constantFrom(
      ...['text', 'x', '.', '.', '..', '\r\n', '\r\n', '\r\n', '\n', '\r', '\0', ' ', '\t', '\x8d\x8a', ' '.repeat(62)],
      ...['\r\n.', '\n.', '\r.', '.\n', '.\r', '.\0', '\0.', '. ', '\r\n.\r\n'],
      '\r\nRCPT TO:<u#@foreign.example>\r\n',
      '\nRCPT TO:<u#@foreign.example>\n',
    ),
    { maxLength: 8 },
  )
  .map((tokens) => tokens.join(''));

const END_OF_DATA = fc.oneof(
  { weight: 10, arbitrary: fc.constant('\r\n.\r\n') },
  {
    weight: 1,
    arbitrary: fc.constantFrom('.\r\n', '\n.\r\n', '\r\n.\n', '\n.\n', '\r\n.\r\r\n', '\r\n.\0\r\n', '\r.\r'),
  },
);

const MESSAGE = fc.tuple(TEXT, END_OF_DATA).map(([text, end]): Unit[] => [[line('DATA\r\n')], lines(text + end)]);

/** Chunks with exactly the octets that they announce. */
const CHUNKS = fc
  .array(fc.tuple(oneOf('· ·LAST ·last'), TEXT), { minLength: 1, maxLength: 3 })
  .map((chunks): Unit[] =>
    chunks.map(([last, text]) => [
      line(`BDAT ${text.length}${last.trimEnd()}\r\n`),
      { octets: text.replaceAll('#', 'z'), payload: true },
    ]),
  );

/** What must work, so that the states behind it are reached. */
const TRANSACTION = fc
  .tuple(
    fc.array(RCPT, { minLength: 1, maxLength: 3 }),
    fc.oneof({ weight: 2, arbitrary: MESSAGE }, { weight: 1, arbitrary: CHUNKS }),
  )
  .map(([recipients, message]): Unit[] => [
    [line('MAIL FROM:<s#@sender.example>\r\n')],
    ...recipients.map((words) => lines(`${words}\r\n`)),
    ...message,
  ]);

/** A handshake may follow, and the greeting that is due behind it. */
const SECURED: Unit[] = [[line('STARTTLS\r\n')], [line('EHLO c#.example\r\n')]];

// --- whole dialogues

interface Spoil {
  readonly unit: number;
  readonly place: number;
  readonly octets: string;
  /** Octets that give way. */
  readonly instead: number;
}

const SPOIL: fc.Arbitrary<Spoil> = fc.record({
  unit: fc.nat(30),
  place: fc.nat(60),
  octets: fc.constantFrom(...['\0', '\r', '\n', '\r\n', ' ', '\t', '\x80', '\x8a', '\xff'], ...'<>@%!"\\:.x'),
  instead: fc.nat(2),
});

/** Bursts of one unit or of several. */
export const DIALOGUE: fc.Arbitrary<Burst[]> = fc
  .tuple(
    fc.array(
      fc.oneof(
        { weight: 6, arbitrary: TRANSACTION },
        { weight: 8, arbitrary: COMMAND },
        { weight: 1, arbitrary: fc.constant(SECURED) },
      ),
      { maxLength: 6 },
    ),
    fc.option(SPOIL, { freq: 3 }),
    fc.array(fc.boolean(), { minLength: 8, maxLength: 40 }),
  )
  .map(([parts, spoil, ends]) => {
    const units = [[line('EHLO client.example\r\n')], ...parts.flat()];
    if (spoil !== null) spoilOne(units, spoil);
    return burstsOf(units.map(numbered), ends);
  });

function spoilOne(units: Unit[], { unit, place, octets, instead }: Spoil): void {
  const index = 1 + (unit % Math.max(1, units.length - 1));
  const [first, ...rest] = units[index] ?? [];
  if (first === undefined) return;
  const at = place % (first.octets.length + 1);
  const [command, ...behind] = lines(first.octets.slice(0, at) + octets + first.octets.slice(at + instead));
  // What a line end cut off a BDAT is part of its payload now.
  const payload = rest[0]?.payload ?? false;
  units[index] = [
    ...(command === undefined ? [] : [command]),
    ...behind.map((atom) => ({ ...atom, payload })),
    ...rest,
  ];
}

function numbered(unit: Unit, number: number): Unit {
  return unit.map(({ octets, payload }) => ({ octets: octets.replaceAll('#', `${number}n`), payload }));
}

function burstsOf(units: readonly Unit[], ends: readonly boolean[]): Burst[] {
  const bursts: Atom[][] = [[]];
  for (const [index, unit] of units.entries()) {
    bursts.at(-1)?.push(...unit);
    if (index === 0 || ends[index % ends.length]) bursts.push([]);
  }
  return bursts.filter((burst) => burst.length > 0);
}
