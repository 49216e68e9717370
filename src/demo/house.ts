// What a stand-in is told about its clients, and asked: whom it lets do what, and what it writes down.
//
// Shapes, and the house that is open to everybody. The houses of Exchange 2003 and 2010 are in files of their own.

import { EXCHANGE_2003, type Tongue } from './tongues.ts';

/** The client of a session, as far as it has said who it is. */
export interface Caller {
  readonly session: number;
  readonly address: string;
  readonly port: number;
  readonly localAddress: string;
  readonly localPort: number;
  heloName: string;
  /** Null: not logged in. */
  login: string | null;
}

/** What a server lets its clients do, and what it writes down. A reply refuses, without its line end. */
export interface House {
  readonly tongue: Tongue;
  hasAccount(name: string, password: string): boolean;
  whyNotFrom(caller: Caller, sender: string): string | null;
  whyNotTo(caller: Caller, recipient: string): string | null;
  readonly journal: Journal;
}

export interface Journal {
  came(caller: Caller): void;
  /** A command; what follows a login or DATA is none. */
  said(caller: Caller, line: string): void;
  answered(caller: Caller, reply: string): void;
  loggedIn(caller: Caller): void;
  left(caller: Caller): void;
}

export type Ends = Pick<Caller, 'address' | 'port' | 'localAddress' | 'localPort'>;

export interface ReceivedMessage {
  readonly clientAddress: string;
  readonly heloName: string;
  /** '' is the null reverse-path. */
  readonly sender: string;
  /** As written between the brackets. */
  readonly recipients: readonly string[];
  /** As sent: stuffed dots counted, the final dot not. */
  readonly octets: number;
}

export const OPEN_HOUSE: House = {
  tongue: EXCHANGE_2003,
  hasAccount: () => false,
  whyNotFrom: () => null,
  whyNotTo: () => null,
  journal: { came: () => {}, said: () => {}, answered: () => {}, loggedIn: () => {}, left: () => {} },
};
