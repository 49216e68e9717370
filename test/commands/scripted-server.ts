// A mail server for tests: says what the test tells it to, and remembers what it heard.
//
// Invariant: it answers line by line and has no opinion of its own. It deliberately knows no mail data: a client that
// sends DATA finds its message read as commands, and the test sees them in `heard`.

import { type AddressInfo, createServer, type Socket } from 'node:net';

export interface ScriptedServer {
  readonly port: number;
  /** HOST:PORT. */
  readonly target: string;
  /** The commands of each connection, in order. */
  readonly heard: readonly (readonly string[])[];
  readonly clientAddresses: readonly string[];
  close(): Promise<void>;
}

/** Each answer is one reply without its CRLF; null hangs up, and '' says nothing. */
export interface Script {
  readonly greeting?: string | null;
  readonly ehlo?: string;
  readonly mail?: (path: string) => string | null;
  readonly rcpt: (path: string, connection: number) => string | null;
  readonly other?: (command: string) => string | null;
}

export async function startScriptedServer(script: Script): Promise<ScriptedServer> {
  const heard: string[][] = [];
  const clientAddresses: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    const commands: string[] = [];
    const connection = heard.push(commands);
    clientAddresses.push(socket.remoteAddress ?? '');
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    const say = (reply: string | null) => {
      if (reply === null) socket.destroy();
      else if (reply !== '') socket.write(`${reply}\r\n`, 'latin1');
    };
    let text = '';
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => {
      text += chunk;
      for (let end = text.indexOf('\r\n'); end !== -1; end = text.indexOf('\r\n')) {
        const command = text.slice(0, end);
        text = text.slice(end + 2);
        commands.push(command);
        say(answerTo(script, command, connection));
      }
    });
    say(script.greeting === undefined ? '220 mx.local.example ESMTP' : script.greeting);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    target: `127.0.0.1:${port}`,
    heard,
    clientAddresses,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

function answerTo(script: Script, command: string, connection: number): string | null {
  const path = command.slice(command.indexOf(':') + 1);
  if (/^EHLO /i.test(command)) return script.ehlo ?? '250 mx.local.example';
  if (/^MAIL FROM:/i.test(command)) return script.mail?.(path) ?? (script.mail ? null : '250 2.1.0 Ok');
  if (/^RCPT TO:/i.test(command)) return script.rcpt(path, connection);
  if (/^RSET$/i.test(command)) return '250 2.0.0 Ok';
  if (/^QUIT$/i.test(command)) return '221 2.0.0 Bye';
  return script.other?.(command) ?? '502 5.5.1 Command not available';
}
