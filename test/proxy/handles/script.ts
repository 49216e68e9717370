// What a lawful client says in one session, made by chance: messages by DATA and by BDAT, recipients of which some are foreign,
// words that no server knows, and all of it in a pipeline or not.

export interface Part {
  readonly said: Buffer;
  /** Not refused by the firewall. */
  readonly isHeard: boolean;
  /** The code of its reply; null: it has none. */
  readonly code: string | null;
  /** It is said only when everything before it was answered. */
  readonly waits: boolean;
}

type Below = (bound: number) => number;

/** Every line of a message says whose it is and where it stands, and some look like what must never be heard as a command. */
export function scriptOf(name: string, messages: number, below: Below): Part[] {
  const parts: Part[] = [];
  const add = (said: string | Buffer, code: string | null, waits = below(3) === 0): void => {
    parts.push({ said: Buffer.from(said), isHeard: code === null || !code.startsWith('5'), code, waits });
  };
  add(`EHLO ${name}\r\n`, '250');
  for (let message = 0; message < messages; message++) {
    if (below(4) === 0) add('FROB\r\n', '500', true); // behind what is open it may be another code
    if (below(4) === 0) add('NOOP\r\n', '250');
    add(`MAIL FROM:<${message}@sender.example>\r\n`, '250');
    for (let foreign = below(3); foreign > 0; foreign--) add(`RCPT TO:<${name}@foreign.example>\r\n`, '554');
    for (let local = below(3); local >= 0; local--) add(`RCPT TO:<${name}@local.example>\r\n`, '250');
    if (below(8) === 0) {
      add('RSET\r\n', '250');
      continue;
    }
    const text = textOf(`${name} ${message}`, below);
    if (below(3) > 0) {
      add('DATA\r\n', '354');
      add(text, null, below(5) > 0);
      add('.\r\n', '250', false);
      continue;
    }
    for (let at = 0; at < text.length; ) {
      const end = Math.min(text.length, at + 1 + below(text.length));
      add(`BDAT ${end - at}${end === text.length ? ' LAST' : ''}\r\n`, null);
      add(text.subarray(at, end), '250', false);
      at = end;
    }
  }
  add('QUIT\r\n', '221');
  return parts;
}

const SIZES = [50, 5_000, 70_000, 200_000, 300_000];
const COMMANDS = ['RCPT TO:<victim@foreign.example>\r\n', 'QUIT\r\n', '..\r\n', '.. DATA\r\n', 'MAIL FROM:<>\r\n'];

function textOf(whose: string, below: Below): Buffer {
  const lines: string[] = [];
  const size = 1 + below(SIZES[below(SIZES.length)] as number);
  for (let octets = 0; octets < size; ) {
    const line =
      below(6) === 0
        ? (COMMANDS[below(COMMANDS.length)] as string)
        : `${whose} ${octets}\r\n`.padStart(2 + below(90), '-');
    lines.push(line);
    octets += line.length;
  }
  return Buffer.from(lines.join(''));
}
