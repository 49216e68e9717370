// One mail transaction as both sides see it: from MAIL to the reply that ends it (RFC 5321 §3.3).
//
// Each gets a number. A reply that comes late, behind a RSET already sent, is recognised by the number it was expected
// under and changes nothing: a pipelined MAIL, RSET, MAIL never mixes two senders.
//
// Servers do not agree on what ends a transaction: a refused DATA does at Haraka and not at Postfix; an EHLO in the middle
// does at Postfix and not at Courier. So beside our view stands what the server may still hold: `remains`.

import type { Address } from './types.ts';

export const NONE = 0; //    no transaction
export const PENDING = 1; // MAIL sent, not answered
export const OPEN = 2; //    MAIL answered 2yz

// What the server may still hold of a transaction, whatever `state` says.
export const NOTHING = 0;
export const PERHAPS = 1; // some servers do, some do not: the next MAIL goes up, and the answer tells
export const SURELY = 2; //  it is over for the client, and the server has not heard of it
export const SELDOM = 3; //  it is over by RFC 5321 §4.1.1.4, but not at every Postfix: nothing is pipelined behind the next MAIL

const NUMBERS = 0x7fffff; // numbers fit above the kind in one small integer

export class Transaction {
  state = NONE;
  number = 0;
  sender = '';
  senderAddress: Address | null = null;
  /** This MAIL gave SMTPUTF8. */
  utf8 = false;
  /** RCPT commands seen, refused ones included. */
  tried = 0;
  /** A DATA or BDAT came when no recipient was accepted: who pipelines cannot know. Another one has its price. */
  failed = false;
  /** RCPTs sent upstream and not refused by it; the unanswered ones count. */
  recipients = 0;
  /** RCPTs that the upstream answered 2yz; not 0 only while OPEN. */
  accepted = 0;
  /** BDAT began: only BDAT, RSET, NOOP and QUIT may follow until LAST (RFC 3030 §2). */
  chunking = false;
  /** Octets of mail data so far: sent behind DATA, announced by BDAT. */
  octets = 0;
  /** Beyond max_message_size: nothing more of it goes on. */
  tooLarge = false;
  /** NOTHING, PERHAPS, SURELY or SELDOM. A RSET that the server takes makes it NOTHING. */
  remains = NOTHING;

  /** Nobody holds anything: no RSET is needed. */
  get isClean(): boolean {
    return this.state === NONE && this.remains === NOTHING;
  }

  begin(sender: string, senderAddress: Address | null, utf8: boolean): void {
    this.reset();
    this.state = PENDING;
    this.sender = sender;
    this.senderAddress = senderAddress;
    this.utf8 = utf8;
  }

  reset(): void {
    this.state = NONE;
    this.number = (this.number + 1) & NUMBERS;
    this.sender = '';
    this.senderAddress = null;
    this.utf8 = false;
    this.tried = 0;
    this.failed = false;
    this.recipients = 0;
    this.accepted = 0;
    this.chunking = false;
    this.octets = 0;
    this.tooLarge = false;
  }
}
