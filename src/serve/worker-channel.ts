// Two threads that call each other's functions by name: arguments and answers cross a message port as plain data.
//
// Invariant: calls arrive in the order in which they were made, and each is answered once or rejected when the line ends.
// What is called in one turn of the event loop crosses as one message, since a message wakes the other thread, which costs
// more than what is in it (bench/counters.ts). Not here: time-outs, which are the caller's, and any bound on what
// waits: whoever calls on behalf of a peer waits for the answer before it asks again.

import type { MessagePort, Worker } from 'node:worker_threads';

/** What one side lets the other call. */
export type Calls = { readonly [name: string]: (...args: never[]) => unknown };

/** A thread as its starter sees it, its `parentPort`, or one port of a channel. */
export type ChannelEnd = Worker | MessagePort;

type Call = readonly [id: number, name: string, args: readonly unknown[]];
type Answer = readonly [id: number, value: unknown, problem?: string];

interface Message {
  readonly calls: readonly Call[];
  readonly answers: readonly Answer[];
}

interface Waiting {
  resolve(value: never): void;
  reject(error: Error): void;
}

const NO_ANSWER = 0; // the id of a call whose answer nobody wants

export class WorkerChannel<Theirs extends Calls> {
  readonly #end: ChannelEnd;
  readonly #ours: Calls;
  readonly #waiting = new Map<number, Waiting>();
  #calls: Call[] = [];
  #answers: Answer[] = [];
  #lastId = NO_ANSWER;
  #leaves = false; // a message leaves at the end of this turn
  #ended: Error | null = null;

  constructor(end: ChannelEnd, ours: Calls) {
    this.#end = end;
    this.#ours = ours;
    (end as MessagePort).on('message', (message: Message) => this.#receive(message));
  }

  /** Rejects when the function does, or when the line ends before it has answered. */
  call<Name extends keyof Theirs & string>(
    name: Name,
    ...args: Parameters<Theirs[Name]>
  ): Promise<Awaited<ReturnType<Theirs[Name]>>> {
    if (this.#ended !== null) return Promise.reject(this.#ended);
    const id = ++this.#lastId;
    this.#calls.push([id, name, args]);
    this.#leave();
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
    });
  }

  /** A call whose answer nobody waits for. */
  tell<Name extends keyof Theirs & string>(name: Name, ...args: Parameters<Theirs[Name]>): void {
    this.#calls.push([NO_ANSWER, name, args]);
    this.#leave();
  }

  /** The other side is gone: whoever waits for it hears why. */
  end(why: string): void {
    this.#ended ??= new Error(why);
    for (const { reject } of this.#waiting.values()) reject(this.#ended);
    this.#waiting.clear();
  }

  /** Sends what waits for the end of this turn, where there may be none any more. */
  flush(): void {
    this.#leaves = false;
    if (this.#ended !== null || this.#calls.length + this.#answers.length === 0) return;
    const message: Message = { calls: this.#calls, answers: this.#answers };
    this.#calls = [];
    this.#answers = [];
    this.#end.postMessage(message);
  }

  #leave(): void {
    if (this.#leaves) return;
    this.#leaves = true;
    setImmediate(() => this.flush());
  }

  #receive({ calls, answers }: Message): void {
    for (const [id, value, problem] of answers) {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (problem === undefined) waiting?.resolve(value as never);
      else waiting?.reject(new Error(problem));
    }
    for (const [id, name, args] of calls) this.#answer(id, name, args);
    if (calls.length > 0) this.flush();
  }

  #answer(id: number, name: string, args: readonly unknown[]): void {
    const failed = (error: unknown): void => {
      this.#reply([id, undefined, error instanceof Error ? error.message : String(error)]);
    };
    try {
      const value = this.#ours[name]?.(...(args as never[]));
      if (value instanceof Promise) value.then((later) => this.#reply([id, later]), failed);
      else this.#reply([id, value]);
    } catch (error) {
      if (id === NO_ANSWER) throw error; // a fault that nobody else would hear of
      failed(error);
    }
  }

  #reply(answer: Answer): void {
    if (answer[0] === NO_ANSWER) return;
    this.#answers.push(answer);
    this.#leave();
  }
}
