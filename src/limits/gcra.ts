// The generic cell rate algorithm as a leaky bucket of whole numbers: `limit` in each `window`, all of them at once if they
// like, and then as they leak out. No window begins or ends, so nobody gets twice the limit around the turn of one.
//
// A level counts in events × window and leaks `limit` in each millisecond: one event is `window`, a full bucket is
// limit × window. These are integers, so that the 120th of 120/1m always fits and the 121st never does; the usual form, with
// T = window/limit as a fraction, loses that to rounding. They are exact up to 2^53: 2 GiB/1h is, 10 GiB/24h is off by less
// than an octet. Pure: the time is an argument, in milliseconds; one that goes backwards counts as standing still.

/** How full, and when that was true; for which limit, since a reload may change it. */
export interface Bucket {
  at: number;
  level: number;
  limit: number;
  window: number;
}

export interface Rate {
  readonly limit: number;
  readonly window: number;
}

export function newBucket({ limit, window }: Rate, now: number): Bucket {
  return { at: Math.floor(now), level: 0, limit, window };
}

/** Lets out what has leaked until now. Another rate than before finds as many events in the bucket as there were. */
export function leak(bucket: Bucket, { limit, window }: Rate, now: number): void {
  const at = Math.floor(now);
  if (at > bucket.at) {
    bucket.level = Math.max(0, bucket.level - (at - bucket.at) * bucket.limit);
    bucket.at = at;
  }
  if (bucket.window !== window) bucket.level *= window / bucket.window;
  bucket.limit = limit;
  bucket.window = window;
}

/** How many more would go in; less than 1 (or 0) when it is full, negative when it overflowed. */
export function room({ level, limit, window }: Bucket): number {
  return Math.floor((limit * window - level) / window);
}

export function fill(bucket: Bucket, events: number): void {
  bucket.level += events * bucket.window;
}

/** How many are in it. */
export function used({ level, window }: Bucket): number {
  return level / window;
}

/** When it will say no more than a new one does. What leaks nothing is forgotten after a window. */
export function emptyAt({ at, level, limit, window }: Bucket): number {
  return at + (limit > 0 ? level / limit : window);
}
