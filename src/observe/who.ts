// Who a line of a session is about. Made anew only when the client has said something new of itself: every message needs it.

import type { ConnectionEnds, Login } from '../smtp/types.ts';
import type { FieldsOf } from './lines.ts';
import { harmless } from './log.ts';

export type Who = FieldsOf<'opaque'>;

export class Client {
  readonly #number: number;
  readonly #ends: ConnectionEnds;
  readonly #connector: string;
  #helo = '';
  #login: Login | null = null;
  #fields: Who | null = null;

  /** `number`: of the session. */
  constructor(number: number, ends: ConnectionEnds, connector: string) {
    this.#number = number;
    this.#ends = ends;
    this.#connector = connector;
  }

  /** `helo`: as received; '' before it. */
  fields(helo: string, login: Login | null): Who {
    if (this.#fields !== null && helo === this.#helo && login === this.#login) return this.#fields;
    this.#helo = helo;
    this.#login = login;
    this.#fields = {
      session: this.#number,
      client_address: this.#ends.clientAddress,
      client_port: this.#ends.clientPort,
      connector: this.#connector,
      helo_name: helo === '' ? undefined : harmless(helo),
      sasl_method: login === null ? undefined : harmless(login.mechanism),
      sasl_username: login?.name == null ? undefined : harmless(login.name),
    };
    return this.#fields;
  }
}
