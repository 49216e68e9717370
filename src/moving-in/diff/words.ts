// Every name and range that stands in one of two policies, gathered by what it is said of.
//
// Long lists are taken up to a limit, and what is left out is told: a comparison never says more than it looked at.

import type { ConditionsDocument, PolicyDocument } from '../../policy/document.ts';

/** Entries that are taken of one kind; a comparison asks every one of them many times. */
export const MOST_WORDS = 100_000;

export class Words {
  readonly sources = new Set<string>();
  readonly locals = new Set<string>();
  /** Patterns that a sender or recipient is held against. */
  readonly domains = new Set<string>();
  readonly ptrs = new Set<string>();
  readonly helos = new Set<string>();
  readonly subjects = new Set<string>();
  readonly users = new Set<string>();
  /** Windows names and mail domains of user_domains. */
  readonly realms = new Set<string>();
  readonly senders = new Set<string>();
  readonly recipients = new Set<string>();
  readonly literals = new Set<string>();
  /** What was left out, each a sentence. */
  readonly leftOut = new Set<string>();

  constructor(documents: readonly PolicyDocument[]) {
    for (const document of documents) this.#take(document);
    for (const list of [this.senders, this.recipients]) {
      for (const address of list) {
        const domain = address.slice(address.lastIndexOf('@') + 1);
        if (domain !== '<>' && !domain.startsWith('[')) this.#add(this.domains, [domain], 'domains');
      }
    }
  }

  #take(document: PolicyDocument): void {
    const { accepted_domains, relay_domains, blocked_domains, accepted_literals, groups, user_domains } = document;
    for (const list of [accepted_domains, relay_domains, blocked_domains]) this.#add(this.domains, list, 'domains');
    this.#add(this.literals, accepted_literals, 'literals');
    for (const members of Object.values(groups)) this.#add(this.users, members, 'users');
    for (const [windows, mail] of Object.entries(user_domains)) this.#add(this.realms, [windows, mail], 'user domains');
    for (const { bindings, remote_ip_ranges, connect, submit, senders, rules } of document.connectors) {
      this.#add(this.locals, bindings, 'bindings');
      this.#add(this.sources, remote_ip_ranges, 'ranges');
      for (const entry of [...connect.allow, ...connect.deny])
        this.#add(/[a-z]/i.test(entry) && !entry.includes(':') ? this.ptrs : this.sources, [entry], 'ranges');
      if (typeof submit === 'object') this.#add(this.users, submit.users, 'users');
      for (const [user, own] of Object.entries(senders.login_must_match)) {
        this.#add(this.users, [user], 'users');
        this.#add(this.senders, own, 'senders');
      }
      for (const { allow, deny } of rules) this.#conditions(deny ?? allow ?? {});
    }
  }

  #conditions(conditions: ConditionsDocument): void {
    const { sources, ptr, local, users, tls_subject, senders, sender_domains } = conditions;
    const { recipients, recipient_domains, helo, not } = conditions;
    this.#add(this.sources, sources, 'ranges');
    this.#add(this.ptrs, ptr, 'names');
    this.#add(this.locals, local, 'local addresses');
    this.#add(this.users, users, 'users');
    this.#add(this.subjects, tls_subject, 'certificate names');
    this.#add(this.senders, senders, 'senders');
    this.#add(this.domains, sender_domains, 'domains');
    this.#add(this.recipients, recipients, 'recipients');
    this.#add(this.domains, recipient_domains, 'domains');
    this.#add(this.helos, helo, 'HELO names');
    if (not !== undefined) this.#conditions(not);
  }

  #add(to: Set<string>, list: readonly string[] | undefined, what: string): void {
    for (const entry of list ?? []) {
      if (to.size < MOST_WORDS) to.add(entry);
      else if (!to.has(entry))
        return void this.leftOut.add(
          `more than ${MOST_WORDS} ${what}: those behind are only compared as they are like others`,
        );
    }
  }
}
