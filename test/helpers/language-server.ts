// An editor, as far as yaml-language-server sees one: the Language Server Protocol over stdio.
//
// Nothing is fetched: the store of schemas is off, so a file has the schema that it names and no other.

import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { pathToFileURL } from 'node:url';

const SERVER = join(import.meta.dirname, '../../node_modules/yaml-language-server/bin/yaml-language-server');

export interface Diagnostic {
  readonly message: string;
  readonly range: { readonly start: { readonly line: number; readonly character: number } };
}

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: unknown;
  readonly result?: unknown;
  readonly error?: { readonly message: string };
}

export class LanguageServer {
  readonly #child: ChildProcess;
  #rest = Buffer.alloc(0);
  #last = 0;
  readonly #waiting = new Map<number, (message: Message) => void>();
  readonly #diagnosed = new Map<string, (found: readonly Diagnostic[]) => void>();

  private constructor(child: ChildProcess) {
    this.#child = child;
    child.stdout?.on('data', (chunk: Buffer) => this.#take(chunk));
  }

  static async start(t: TestContext, folder: string): Promise<LanguageServer> {
    const child = spawn(process.execPath, [SERVER, '--stdio'], { stdio: ['pipe', 'pipe', 'inherit'] });
    t.after(() => child.kill('SIGKILL'));
    const server = new LanguageServer(child);
    await server.#ask('initialize', {
      processId: process.pid,
      rootUri: pathToFileURL(folder).href,
      capabilities: {
        workspace: { configuration: true },
        textDocument: {
          hover: { contentFormat: ['markdown'] },
          completion: { completionItem: { snippetSupport: true, documentationFormat: ['markdown'] } },
        },
      },
    });
    server.#send({ method: 'initialized', params: {} });
    server.#send({ method: 'workspace/didChangeConfiguration', params: { settings: SETTINGS } });
    return server;
  }

  /** Opens a file with this text, and resolves with what is wrong with it. */
  open(file: string, text: string): Promise<readonly Diagnostic[]> {
    const uri = pathToFileURL(file).href;
    const found = new Promise<readonly Diagnostic[]>((resolve) => this.#diagnosed.set(uri, resolve));
    this.#send({
      method: 'textDocument/didOpen',
      params: { textDocument: { uri, languageId: 'yaml', version: 1, text } },
    });
    return found;
  }

  /** What it offers there: labels and their documentation. Lines and characters from 0. */
  async complete(file: string, line: number, character: number): Promise<ReadonlyMap<string, string>> {
    const where = { textDocument: { uri: pathToFileURL(file).href }, position: { line, character } };
    const { items } = (await this.#ask('textDocument/completion', where)) as {
      items: { label: string; documentation?: string | { value: string } }[];
    };
    const told = (text: string | { value: string } | undefined) =>
      typeof text === 'object' ? text.value : (text ?? '');
    return new Map(items.map(({ label, documentation }) => [label, told(documentation)]));
  }

  /** Markdown; empty where there is nothing to say. */
  async hover(file: string, line: number, character: number): Promise<string> {
    const where = { textDocument: { uri: pathToFileURL(file).href }, position: { line, character } };
    const found = (await this.#ask('textDocument/hover', where)) as { contents: { value: string } } | null;
    return found?.contents.value ?? '';
  }

  #ask(method: string, params: object): Promise<unknown> {
    const id = ++this.#last;
    this.#send({ id, method, params });
    return new Promise((resolve, reject) =>
      this.#waiting.set(id, ({ result, error }) =>
        error === undefined ? resolve(result) : reject(new Error(error.message)),
      ),
    );
  }

  #send(message: Message): void {
    const body = JSON.stringify({ jsonrpc: '2.0', ...message });
    this.#child.stdin?.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  }

  #take(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    for (;;) {
      const end = this.#rest.indexOf('\r\n\r\n');
      const length = Number(/Content-Length: (\d+)/i.exec(this.#rest.subarray(0, end).toString())?.[1]);
      if (end === -1 || this.#rest.length < end + 4 + length) return;
      const body = this.#rest.subarray(end + 4, end + 4 + length).toString();
      this.#rest = this.#rest.subarray(end + 4 + length);
      this.#read(JSON.parse(body) as Message);
    }
  }

  #read(message: Message): void {
    const { id, method, params } = message;
    if (method === undefined) this.#waiting.get(id as number)?.(message);
    else if (method === 'textDocument/publishDiagnostics') {
      const { uri, diagnostics } = params as { uri: string; diagnostics: Diagnostic[] };
      this.#diagnosed.get(uri)?.(diagnostics);
    } else if (method === 'workspace/configuration') {
      const { items } = params as { items: { section?: string }[] };
      this.#answer(
        id,
        items.map(({ section }) => (SETTINGS as Record<string, unknown>)[section ?? ''] ?? {}),
      );
    } else if (id !== undefined) this.#answer(id, null);
  }

  #answer(id: number | undefined, result: unknown): void {
    const body = JSON.stringify({ jsonrpc: '2.0', id, result });
    this.#child.stdin?.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
  }
}

const SETTINGS = {
  yaml: { schemaStore: { enable: false }, validate: true, hover: true, completion: true },
};
