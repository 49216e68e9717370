// Lets the model read every field of a session: src/smtp/ is loaded with its `#names` as ordinary properties `_names`.
//
// So the canonical state (state.ts) is made of what is really there, and a field that somebody adds is met and not
// forgotten. Not chosen: a snapshot method in every class of the product, for the sake of a test alone. Nothing else of
// the source is changed. Must run before anything imports src/smtp/: whoever wants it imports the rest dynamically.

import { registerHooks } from 'node:module';

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    if (!/\/src\/smtp\/[\w-]+\.ts$/.test(url) || loaded.source === undefined || loaded.source === null) return loaded;
    return { ...loaded, source: withPlainFields(loaded.source.toString()) };
  },
});

/** Only names that the file declares as private, as members or methods. */
function withPlainFields(source: string): string {
  const declared = new Set(source.match(/(?<=^ {2}(?:(?:readonly|get|set|async|static) )*#)[a-z]\w*/gim) ?? []);
  return source.replace(/(?<=[\s.(!{,])#([a-z]\w*)/gi, (whole, name: string) =>
    declared.has(name) ? `_${name}` : whole,
  );
}
