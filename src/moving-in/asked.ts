// What a policy says to a recipient that stands in a log, as though it enforced, asked as a session would ask it.
//
// What the log does not tell (login, TLS, the name in DNS, the address of ours, the sender, HELO) is asked in every way that the
// policy could tell apart; where the answers differ nobody can tell. A login that the log does not name is taken to show a name to
// us as well. Answers are remembered: the same clients send to the same people. Rules count as they stand today. Not asked: limits, bans.

import { formatIp, parseIp } from '../policy/ip.ts';
import { ANY_LOCAL, answerQuestion, type PolicyQuestion, parseLocal, type Verdict } from '../policy/policy-question.ts';
import { fromOctets } from '../policy/spellings.ts';
import { CONNECT_CANNOT_TELL } from '../smtp/replies.ts';
import { type Classes, classesOf } from './diff/classes.ts';
import type { Compared, World } from './diff/compared.ts';
import { Words } from './diff/words.ts';
import type { LoggedMessage } from './logged.ts';

export type Saying = 'passes' | 'refused' | 'put off' | 'cannot tell';

export interface Said {
  readonly saying: Saying;
  /** Null: none answers. */
  readonly connector: string | null;
  readonly reason: string;
  readonly rule: string | null;
  /** As the client would hear it, with {recipient} and {sender}; null: it passes, or nobody can tell. */
  readonly reply: string | null;
}

const REMEMBERED = 50_000;
const MOST_DIFFERENT = 10_000;
const MOST_WAYS = 256; // to ask one question

export class AskedOfLogs {
  readonly #compared: Compared;
  readonly #world: World;
  readonly #classes: Classes;
  readonly #remembered = new Map<string, Said>();
  /** There are few different ones: each is kept once. */
  readonly #different = new Map<string, Said>();
  #message: LoggedMessage | null = null;
  #messageKey = '';
  /** The policy looks at whole addresses, not only at their domains. */
  readonly #namesRecipients: boolean;
  readonly #namesSenders: boolean;

  private constructor(compared: Compared, world: World, classes: Classes, words: Words) {
    this.#namesRecipients = words.recipients.size > 0 || compared.document.valid_recipients !== undefined;
    this.#namesSenders = words.senders.size > 0 || compared.atoms.asksOwnAddress;
    this.#compared = compared;
    this.#world = world;
    this.#classes = classes;
  }

  static async of(compared: Compared, world: World): Promise<AskedOfLogs> {
    const words = new Words([compared.document]);
    return new AskedOfLogs(compared, world, await classesOf([compared], words, world), words);
  }

  /** An answer that is remembered is there at once. */
  said(message: LoggedMessage, recipient: string): Said | Promise<Said> {
    if (this.#message !== message) this.#begin(message);
    const key = `${this.#messageKey}\n${this.#namesRecipients ? recipient : domainAlone(recipient)}`;
    return this.#remembered.get(key) ?? this.#ask(message, recipient, key);
  }

  /** What is alike for all recipients of a message. */
  #begin(message: LoggedMessage): void {
    const { source, local, login, tls, sender, ptr, helo } = message;
    const told = this.#classes.helos.length > 1 ? helo : '';
    const from = this.#namesSenders ? sender : domainAlone(sender);
    this.#message = message;
    this.#messageKey = [source, from, login === undefined ? '\0?' : login, tls, local, ptr, told]
      .map(spelled)
      .join('\n');
  }

  async #ask(message: LoggedMessage, recipient: string, key: string): Promise<Said> {
    const said = this.#kept(await this.#askEveryWay(message, recipient));
    if (this.#remembered.size >= REMEMBERED) this.#remembered.clear();
    this.#remembered.set(key, said);
    return said;
  }

  #kept(said: Said): Said {
    const key = JSON.stringify(said);
    const known = this.#different.get(key);
    if (known !== undefined) return known;
    if (this.#different.size < MOST_DIFFERENT) this.#different.set(key, said);
    return said;
  }

  async #askEveryWay(message: LoggedMessage, recipient: string): Promise<Said> {
    if (parseIp(message.source) === null)
      return { saying: 'cannot tell', connector: null, reason: 'the source is no address', rule: null, reply: null };
    let first: Said | null = null;
    let ways = 0;
    for (const asked of this.#waysOf(message, recipient)) {
      if (++ways > MOST_WAYS) return cannotTell(first as Said);
      this.#world.names = message.ptr === null ? null : [message.ptr.toLowerCase().replace(/\.$/, '')];
      const said = saidIn(await answerQuestion(this.#compared.policy, asked), asked);
      if (said.saying === 'cannot tell') return said;
      if (first !== null && first.saying !== said.saying) return cannotTell(first);
      first ??= said;
    }
    return first as Said;
  }

  *#waysOf(message: LoggedMessage, recipient: string): Generator<PolicyQuestion> {
    const { source, helo, login, tls, sender } = message;
    const logins = this.#loginsOf(login);
    const secured = this.#classes.secured.filter(({ value }) => tls === null || value.tls === tls);
    const helos = helo === null ? this.#classes.helos.map(({ value }) => fromOctets(value)) : [helo];
    const senders = sender === null ? this.#classes.senders.map(({ written }) => written) : [sender];
    for (const local of this.#localsOf(message))
      for (const name of logins)
        for (const { value } of secured)
          for (const said of helos)
            for (const from of senders)
              yield {
                source,
                local,
                helo: said,
                login: name,
                tls: value.tls,
                tlsSubject: value.subject.map(fromOctets),
                sender: from,
                recipient,
              };
  }

  #loginsOf(login: LoggedMessage['login']): (string | null)[] {
    if (login === null) return [null];
    if (login !== undefined && login !== '?') return [login];
    const named = this.#classes.logins.filter(({ value }) => value?.name != null).map(({ written }) => written);
    return login === '?' ? named : [null, ...named];
  }

  #localsOf({ source, local }: LoggedMessage): { address: string; port: number }[] {
    const told = local === null ? null : parseLocal(local);
    if (told !== null) return [told];
    const isFour = typeof parseIp(source) === 'number';
    const ours = this.#classes.locals.flatMap(({ ipv4, ipv6, port }) => {
      const ip = isFour ? ipv4 : ipv6;
      return ip === null ? [] : [{ address: formatIp(ip), port }];
    });
    return ours.length > 1 ? ours : [ANY_LOCAL];
  }
}

function cannotTell(said: Said): Said {
  return { ...said, saying: 'cannot tell', reply: null };
}

/** Of what is not told or is not, something that nobody says. */
function spelled(value: string | boolean | null): string {
  return value === null ? '\0' : String(value);
}

/** `@example.com` of a plain address; what may be read otherwise, and postmaster, whole. */
function domainAlone(address: string | null): string | null {
  if (address === null || !PLAIN.test(address)) return address;
  return address.slice(address.indexOf('@'));
}

const PLAIN = /^(?!postmaster@|imcea)[a-z0-9_.-]{1,64}@/i;

function saidIn(
  { answer, connector, decision, grammar, reply, refusedAt }: Verdict,
  { recipient, sender }: PolicyQuestion,
): Said {
  const isRefused = answer !== 'proceed' || reply !== null; // observe: it would be
  const reason = grammar ?? (refusedAt === 'connection' ? 'connection' : (decision?.reason ?? 'connection'));
  const code = Number(reply?.slice(0, 3) ?? 0);
  const isUnknown = reason === 'cannot_tell' || reply?.endsWith(CONNECT_CANNOT_TELL.text) === true;
  return {
    saying: !isRefused ? 'passes' : isUnknown ? 'cannot tell' : code < 500 ? 'put off' : 'refused',
    connector: connector?.name ?? null,
    reason,
    rule: decision?.rule ?? null,
    reply: isUnknown || reply === null ? null : withPlaceholders(reply, recipient, sender),
  };
}

/** What is remembered is for others as well. */
function withPlaceholders(reply: string, recipient: string, sender: string): string {
  const filled = recipient === '' ? reply : reply.replaceAll(recipient, '{recipient}');
  return sender === '' ? filled : filled.replaceAll(sender, '{sender}');
}
