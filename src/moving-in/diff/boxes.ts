// Cells of a space of several dimensions, put together into boxes: a box is a set of classes in each dimension, and all cells in it
// are meant. The boxes are few, not fewest: dimension by dimension, what is alike in all others becomes one.

/** For each dimension the classes, sorted. */
export type Box = readonly (readonly number[])[];

/** `boxes` are apart, and so are those that come back. */
export function joined(boxes: readonly Box[]): Box[] {
  let rest = [...boxes];
  const dimensions = rest[0]?.length ?? 0;
  for (let before = -1; before !== rest.length; ) {
    before = rest.length;
    for (let dimension = 0; dimension < dimensions; dimension++) rest = joinedAlong(rest, dimension);
  }
  return rest;
}

function joinedAlong(boxes: readonly Box[], dimension: number): Box[] {
  const byOthers = new Map<string, Box[]>();
  for (const box of boxes) {
    const key = box.map((classes, d) => (d === dimension ? '' : classes.join())).join(';');
    const alike = byOthers.get(key);
    if (alike === undefined) byOthers.set(key, [box]);
    else alike.push(box);
  }
  return [...byOthers.values()].map((alike) => {
    const [first = []] = alike;
    if (alike.length === 1) return first;
    const classes = [...new Set(alike.flatMap((box) => box[dimension] ?? []))].sort((a, b) => a - b);
    return first.map((others, d) => (d === dimension ? classes : others));
  });
}
