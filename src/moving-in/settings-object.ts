// One object of the old server's configuration as names and values, whatever file it stood in.

import type { Place } from '../policy/problem.ts';

export interface Setting {
  /** As it was spelled. */
  readonly name: string;
  /** Several where the setting has several; octets where the file said that it is octets. */
  readonly values: readonly (string | Uint8Array)[];
  readonly where: Place;
}

export class SettingsObject {
  readonly name: string;
  readonly where: Place;
  /** Whose values it has where it has none of its own. */
  readonly parent: SettingsObject | null;
  readonly #settings = new Map<string, Setting>();
  readonly #asked = new Set<string>();

  constructor(name: string, where: Place, parent: SettingsObject | null = null) {
    this.name = name;
    this.where = where;
    this.parent = parent;
  }

  set(setting: Setting): void {
    const key = setting.name.toLowerCase();
    const there = this.#settings.get(key);
    this.#settings.set(key, there === undefined ? setting : { ...there, values: [...there.values, ...setting.values] });
  }

  /** The first of these names that it has, or that its parent has. */
  get(...names: readonly string[]): Setting | null {
    for (const name of names) this.#asked.add(name.toLowerCase());
    for (const name of names) {
      const found = this.#settings.get(name.toLowerCase());
      if (found !== undefined) return found;
    }
    return this.parent?.get(...names) ?? null;
  }

  text(...names: readonly string[]): string | null {
    const value = this.get(...names)?.values[0];
    return typeof value === 'string' ? value.trim() : null;
  }

  /** A whole number; null: it has none, or what it has is no number. */
  number(...names: readonly string[]): number | null {
    const text = this.text(...names);
    if (text === null) return null;
    if (/^true$/i.test(text)) return 1;
    if (/^false$/i.test(text)) return 0;
    return /^-?[0-9]{1,12}$/.test(text)
      ? Number(text)
      : /^0x[0-9a-f]{1,8}$/i.test(text)
        ? Number.parseInt(text, 16)
        : null;
  }

  /** What nobody asked for. */
  others(): readonly Setting[] {
    return [...this.#settings].filter(([key]) => !this.#asked.has(key)).map(([, setting]) => setting);
  }
}
