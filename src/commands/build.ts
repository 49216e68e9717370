// Of which commit this program was built: `npm run build` and `npm run package` write it in here, in what they make.

/** Null: run from its source, or built where there was no git. */
export const COMMIT: string | null = null;
