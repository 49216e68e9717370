// Whether the end of the process would wait for somebody: the system's resolver (getaddrinfo), which nothing can interrupt, and
// which DNS that is silent keeps for ten seconds and more. Node waits for it at exit; main.ts does not.

let heldThreads = false;

/** A worker thread could not be ended. */
export function threadIsHeld(): void {
  heldThreads = true;
}

export function isHeld(): boolean {
  return heldThreads || process.getActiveResourcesInfo().includes('GetAddrInfoReqWrap');
}
