// The clients that people really use, each made to send one message: octets in, one recipient, over 127.0.0.1:port.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createTransport } from 'nodemailer';
import { run } from './children.ts';
import { missing, needUnpacked, postfixEnvironment } from './tools.ts';

export interface Mailer {
  readonly name: string;
  readonly missing: string | false;
  /** `content` is latin-1 with CRLF line ends. Throws when the client says that it could not send. */
  send(port: number, sender: string, recipient: string, content: string): Promise<void>;
}

const swaks: Mailer = {
  name: 'swaks',
  missing: missing(['swaks']),
  send: (port, sender, recipient, content) =>
    withFile(withoutLastLineEnd(content), (file) =>
      succeed('swaks', ['--server', `127.0.0.1:${port}`, '--from', sender, '--to', recipient, '--data', `@${file}`]),
    ),
};

const smtpSource: Mailer = {
  name: 'smtp-source',
  missing: missing([], ['postfix']),
  // It reads a file with bare LF line ends, and sends CRLF.
  send: (port, sender, recipient, content) =>
    withFile(withoutLastLineEnd(content).replaceAll('\r\n', '\n'), (file) =>
      succeed(
        needUnpacked('postfix', 'usr/sbin/smtp-source'),
        ['-F', file, '-f', sender, '-t', recipient, `127.0.0.1:${port}`],
        postfixEnvironment(),
      ),
    ),
};

const nodemailer: Mailer = {
  name: 'nodemailer',
  missing: false,
  async send(port, sender, recipient, content) {
    const transport = createTransport({ host: '127.0.0.1', port, ignoreTLS: true });
    const envelope = { from: sender, to: recipient };
    await transport.sendMail({ envelope, raw: Buffer.from(content, 'latin1') });
    transport.close();
  },
};

const SMTPLIB = `
import smtplib, sys
port, sender, recipient, file = sys.argv[1:]
with open(file, 'rb') as message, smtplib.SMTP('127.0.0.1', int(port)) as server:
    server.sendmail(sender, [recipient], message.read())
`;

const smtplib: Mailer = {
  name: "Python's smtplib",
  missing: missing(['python3']),
  send: (port, sender, recipient, content) =>
    withFile(content, (file) => succeed('python3', ['-c', SMTPLIB, String(port), sender, recipient, file])),
};

export const MAILERS: readonly Mailer[] = [swaks, smtpSource, nodemailer, smtplib];

/** swaks and smtp-source put a line end of their own behind the file. */
function withoutLastLineEnd(content: string): string {
  return content.slice(0, -'\r\n'.length);
}

async function withFile(content: string, use: (file: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'postern-message-'));
  try {
    const file = join(folder, 'message.eml');
    writeFileSync(file, content, 'latin1');
    await use(file);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function succeed(command: string, args: readonly string[], env?: NodeJS.ProcessEnv): Promise<void> {
  const { code, output } = await run(command, args, env);
  if (code !== 0) throw new Error(`${command} failed with ${code}:\n${output}`);
}
