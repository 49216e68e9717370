// An answer that may be there already, or come later: what is done with it is done at once where it can be.

export function when<T, U>(value: T | Promise<T>, then: (value: T) => U | Promise<U>): U | Promise<U> {
  return value instanceof Promise ? value.then(then) : then(value);
}
