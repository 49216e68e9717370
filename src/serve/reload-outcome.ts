// What became of a reload: a shape that reload.ts makes, and the log, POST /reload and GET /status tell.

/** What became of a reload. `needs_restart`: keys that changed in the file and that only a new start puts in force. */
export type ReloadOutcome =
  | { readonly reloaded: true; readonly policy_version: string; readonly needs_restart: readonly string[] }
  | { readonly reloaded: false; readonly error: string; readonly findings: readonly string[] };
