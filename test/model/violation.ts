/** An invariant of protocol.md that does not hold: which, and what was seen. */
export class Violation extends Error {
  readonly invariant: string;

  constructor(invariant: string, seen: string) {
    super(`${invariant}: ${seen}`);
    this.invariant = invariant;
  }
}
