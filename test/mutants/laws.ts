// Each rule of the dialogue, switched off: the edit of the source that does it, as small as can be. `npm run mutants --
// --laws` makes each in a copy of the project and asks whether a quick test turns red.
//
// `from` stands in its file exactly once; who changes that line changes this table. Rule numbers are those of the
// dialogue's rules (test/README.md lists them).

export interface Law {
  readonly rule: string;
  readonly off: string;
  readonly file: string;
  readonly from: string;
  readonly to: string;
  /** Where the model is not the one to ask: it has not got such octets, or not so many. */
  readonly tests?: readonly string[];
}

const WARNINGS = ['test/config/faults.test.ts'];
const ADDRESSES = ['test/proxy/address.test.ts'];

export const LAWS: readonly Law[] = [
  {
    rule: '1 approved bytes only',
    off: 'what the judge refuses is forwarded',
    file: 'src/smtp/execute.ts',
    from: `  if (decision.action === 'proceed') {
    if (decision.observed) observeRecipient`,
    to: `  if (decision.action !== 'disconnect') {
    if ('observed' in decision && decision.observed) observeRecipient`,
  },
  {
    rule: '1 approved bytes only',
    off: 'a line that is no command is forwarded',
    file: 'src/smtp/execute.ts',
    from: '      dialogue.refuse(REFUSALS[command.verb]);',
    to: '      dialogue.forwardAndHold(line, TO_PLAIN);',
  },
  {
    rule: '2 the reply changes the mode',
    off: '354 is taken for the answer to anything',
    file: 'src/smtp/answers.ts',
    from: '(code >= 300 && code < 400 && code !== wanted)',
    to: '(code >= 300 && code < 400 && code !== wanted && code !== 354)',
  },
  {
    rule: '2 the reply changes the mode',
    off: 'a 250 to DATA passes',
    file: 'src/smtp/answers.ts',
    from: ' || (kind === TO_DATA && code < 300)',
    to: '',
  },
  {
    rule: '3 held',
    off: 'DATA does not wait for the replies to the RCPTs',
    file: 'src/smtp/execute.ts',
    from: '`EHLO HELO DATA BDAT AUTH',
    to: '`EHLO HELO BDAT AUTH',
  },
  {
    rule: '3 held',
    off: 'nothing is held behind a command that changes the mode',
    file: 'src/smtp/dialogue.ts',
    from: `    this.forward(line, kind);
    this.hold = HOLD_REPLIES;`,
    to: '    this.forward(line, kind);',
  },
  {
    rule: '3 held',
    off: 'pipelined on to a server that did not offer it',
    file: 'src/smtp/dialogue.ts',
    from: "    if (!this.offered.has('PIPELINING')) this.hold = HOLD_REPLIES;\n    else if",
    to: '    if',
  },
  {
    rule: '4 end of mail data',
    off: 'CRLF.CRLF is text',
    file: 'src/smtp/mail-data.ts',
    from: 'AMBIGUOUS, END,  ',
    to: 'AMBIGUOUS, L0,   ',
  },
  {
    rule: '4 end of mail data',
    off: 'the dot right behind the 354 is text',
    file: 'src/smtp/mail-data.ts',
    from: '  #state = L0;',
    to: '  #state = T;',
  },
  {
    rule: '5 no ambiguous terminator',
    off: 'a lone dot beside a bare LF passes',
    file: 'src/smtp/mail-data.ts',
    from: "if (strict || this.#options.bareLf === 'reject') {",
    to: 'if (strict) {',
  },
  {
    rule: '5 no ambiguous terminator',
    off: 'more than 64 octets are held',
    file: 'src/smtp/mail-data.ts',
    from: 'const HELD_LIMIT = 64;',
    to: 'const HELD_LIMIT = 6400;',
    tests: ['test/smtp/mail-data.test.ts'],
  },
  {
    rule: '6 no unknown keyword',
    off: 'keywords that are not in the table pass',
    file: 'src/smtp/capabilities.ts',
    from: 'if (row === undefined || row.allowed',
    to: 'if (row === undefined) return line;\n  if (row.allowed',
    tests: ['test/smtp/capabilities.test.ts'],
  },
  {
    rule: '6 no opaque stream',
    off: 'a tunnel opens where nobody may relay anywhere',
    file: 'src/smtp/capabilities.ts',
    from: "profile.starttls === 'passthrough' && profile.relaysAnywhere && !tls",
    to: "profile.starttls === 'passthrough' && !tls",
    tests: ['test/smtp/capabilities.test.ts', 'test/smtp/dialogues.test.ts'],
  },
  {
    rule: '7 CRLF and nothing else',
    off: 'a bare CR or NUL may stand in a line',
    file: 'src/smtp/client-octets.ts',
    from: ' && !/[\\0\\r]/.test(text)',
    to: '',
  },
  {
    rule: '7 CRLF and nothing else',
    off: 'a bare LF ends a line',
    file: 'src/smtp/client-octets.ts',
    from: 'line[line.length - 2] === CR && ',
    to: '',
  },
  {
    rule: '7 CRLF and nothing else',
    off: 'lines of any length go on',
    file: 'src/smtp/client-octets.ts',
    from: 'if (line.length > this.#lineLimit(line)) {',
    to: 'if (line.length > 1e9 + this.#lineLimit(line)) {',
  },
  {
    rule: '8 addresses',
    off: 'hidden addresses are not looked for',
    file: 'src/smtp/path.ts',
    from: 'const hidden = MAY_HIDE.test(local.decoded) ?',
    to: 'const hidden = local.decoded === "" ?',
    tests: ['test/smtp/path.test.ts'],
  },
  {
    rule: '8 addresses',
    off: 'a forward-path may have words behind it',
    file: 'src/smtp/path.ts',
    from: "  if (end < text.length && text[end] !== ' ') return badPath(text, at, false);\n  const hidden",
    to: '  const hidden',
    tests: ['test/smtp/path.test.ts', 'test/smtp/command.test.ts'],
  },
  {
    rule: '9 first in, first out',
    off: 'a reply of ours does not wait its turn',
    file: 'src/smtp/dialogue.ts',
    from: '    if (this.queue.isEmpty) {\n      this.deliver(bytes);',
    to: '    if (this.queue.length < 1e9) {\n      this.deliver(bytes);',
  },
  {
    rule: '9 first in, first out',
    off: 'a surplus reply is handed on',
    file: 'src/smtp/answers.ts',
    from: '  if (owed === -1 || flowing) {',
    to: '  if (owed === -1 && !flowing) return dialogue.deliver(bytes);\n  if (flowing) {',
  },
  {
    rule: '9 first in, first out',
    off: 'mail data goes on behind an early reply',
    file: 'src/smtp/answers.ts',
    from: '  if (owed === -1 || flowing) {',
    to: '  if (flowing) return dialogue.deliver(bytes);\n  if (owed === -1) {',
  },
  {
    rule: '9 first in, first out',
    off: 'half a surplus reply holds nothing',
    file: 'src/smtp/session.ts',
    from: 'if (this.#isUncalledFor && RUNS_OR_WILL.has(dialogue.hold)) dialogue.hold = HOLD_EARLY;',
    to: '',
  },
  {
    rule: '10 state is reset',
    off: 'RSET resets nothing',
    file: 'src/smtp/execute.ts',
    from: '  transaction.reset();\n  transaction.remains = NOTHING;\n  dialogue.forward(line, kind);',
    to: '  dialogue.forward(line, kind);',
  },
  {
    rule: '10 state is reset',
    off: 'an EHLO in a transaction is taken to end it everywhere',
    file: 'src/smtp/answers.ts',
    from: '  if (!transaction.isClean) dialogue.resumeWith = () => dialogue.resetUpstream(() => {});',
    to: '  transaction.reset();',
  },
  {
    rule: '10 state is reset',
    off: 'a refused DATA is taken to change nothing',
    file: 'src/smtp/answers.ts',
    from: '        transaction.remains = PERHAPS; // over at Haraka',
    to: '        // over at Haraka',
  },
  {
    rule: '10 state is reset',
    off: 'a MAIL in a transaction goes up',
    file: 'src/smtp/execute.ts',
    from: 'dialogue.transaction.state !== NONE && dialogue.transaction.remains === NOTHING',
    to: 'dialogue.transaction.number < 0',
  },
  {
    rule: '11 fail closed',
    off: 'a FIN inside mail data waits for its end',
    file: 'src/smtp/session.ts',
    from: '(quiet || cutShort || ',
    to: '((quiet && !cutShort) || ',
  },
  {
    rule: '11 fail closed',
    off: 'a lost server is answered with 250',
    file: 'src/smtp/session.ts',
    from: "this.#dialogue.endNow(lossReply(doing), { origin: 'upstream', what });",
    to: "this.#dialogue.endNow({ code: 250, enhanced: null, text: 'ok' }, { origin: 'upstream', what });",
  },
  {
    rule: '12 no inherited trust',
    off: 'check does not say that the server behind trusts this host',
    file: 'src/config/same-host.ts',
    from: '  if (!seesUs(upstream)) return;',
    to: '  if (upstream !== null) return;',
    tests: WARNINGS,
  },
  {
    rule: '13 bytes stay bytes',
    off: 'a line is decoded and encoded again',
    file: 'src/smtp/dialogue.ts',
    from: '    this.up.add(line);\n    this.expect(kind);',
    to: "    this.up.add(Buffer.from(line.toString('utf8')));\n    this.expect(kind);",
    tests: ['test/smtp/octets.test.ts'],
  },
  {
    rule: '13 bytes stay bytes',
    off: 'what is echoed may be anything',
    file: 'src/smtp/replies.ts',
    from: "const filled = toPrintable(fill[piece as keyof Fill] ?? '')",
    to: "const filled = (fill[piece as keyof Fill] ?? '')",
    tests: ['test/smtp/bounded.test.ts', 'test/smtp/dialogues.test.ts'],
  },
  {
    rule: '14 everything is bounded',
    off: 'a line without end is thrown away for ever',
    file: 'src/smtp/client-octets.ts',
    from: 'const DISCARD_LIMIT = 65536;',
    to: 'const DISCARD_LIMIT = Number.POSITIVE_INFINITY;',
    tests: ['test/smtp/bounded.test.ts'],
  },
  {
    rule: '14 everything is bounded',
    off: 'a reply may be of any length',
    file: 'src/smtp/reply.ts',
    from: 'return this.#carry.length - this.#lineStart > LINE_LIMIT || this.#carry.length > REPLY_LIMIT;',
    to: 'return this.#carry.length < 0;',
    tests: ['test/smtp/reply.test.ts'],
  },
  {
    rule: '14 everything is bounded',
    off: 'the queue of replies grows without end',
    file: 'src/smtp/reply-queue.ts',
    from: 'return this.length >= QUEUE_LIMIT || this.#octets >= OCTETS_LIMIT;',
    to: 'return this.length < 0;',
    tests: ['test/smtp/bounded.test.ts'],
  },
  {
    rule: '15 the source address',
    off: 'a mapped IPv4 address stays IPv6',
    file: 'src/proxy/address.ts',
    from: 'mapped === null ? plain',
    to: 'mapped !== undefined ? plain',
    tests: ADDRESSES,
  },
  {
    rule: '16 byte-identical',
    off: 'mail data is decoded and encoded again',
    file: 'src/smtp/dialogue.ts',
    from: '      this.up.add(bytes);\n    }\n  }',
    to: "      this.up.add(Buffer.from(bytes.toString('utf8')));\n    }\n  }",
    tests: ['test/smtp/dialogues.test.ts'],
  },
  {
    rule: 'verbs: BDAT',
    off: 'sizes above 2³¹−1 are forwarded',
    file: 'src/smtp/command.ts',
    from: 'const BDAT_LIMIT = 0x7fffffff;',
    to: 'const BDAT_LIMIT = 0x7fffffffff;',
    tests: ['test/smtp/command.test.ts'],
  },
  {
    rule: 'verbs: BDAT',
    off: 'the octets of a refused chunk are read as commands',
    file: 'src/smtp/data-commands.ts',
    from: '  dialogue.mode = SWALLOWED;\n  if (dialogue.left === 0) dialogue.countedEnded();',
    to: '  dialogue.mode = SWALLOWED;\n  dialogue.countedEnded();',
  },
  {
    rule: 'verbs: STARTTLS',
    off: 'what stands behind it in clear text is kept',
    file: 'src/smtp/session.ts',
    from: `    if (this.#client.isWaiting) {
      this.#endInClear();
    } else if (this.#clientEnded) {`,
    to: '    if (this.#clientEnded) {',
  },
  {
    rule: 'verbs: AUTH',
    off: 'an authzid may differ from the authcid',
    file: 'src/smtp/sasl.ts',
    from: "return authcid !== '' && (authzid === '' || authzid === authcid) && this.#named(textOf(authcid));",
    to: "return authcid !== '' && this.#named(textOf(authcid));",
    tests: ['test/smtp/sasl.test.ts'],
  },
  {
    rule: 'verbs: AUTH',
    off: 'base64 need not be canonical',
    file: 'src/smtp/sasl.ts',
    from: "    if (octets.toString('base64') !== line) return false;\n",
    to: '',
    tests: ['test/smtp/sasl.test.ts'],
  },
];
