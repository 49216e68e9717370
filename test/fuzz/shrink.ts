// The smallest case found that still shows a fault of the same kind: fewer steps, fewer octets, a plainer setting and server.
//
// Every try plays on a new bed, since the setting may be another; sockets are not repeatable to the last packet, so a try that
// shows nothing is made once more.

import { Bed } from './bed.ts';
import type { Case, Session, Setting, Step } from './case.ts';
import { play } from './play.ts';
import { CLOSED } from './settings.ts';
import { faultsOf } from './verdict.ts';

/** `policy`: by which it is judged, where that is another one. */
export async function playOnce({ setting, before, session }: Case, policy = setting.policy): Promise<string[]> {
  let bed: Bed;
  try {
    bed = await Bed.open(setting);
  } catch {
    return []; // a policy that the product does not take
  }
  let faults: string[] = [];
  try {
    if (before !== undefined) await play(bed, before);
    const heard = await play(bed, session);
    faults = faultsOf({ ...heard, setting: { ...heard.setting, policy } });
  } finally {
    await bed.close().catch((error: Error) => faults.push(`defect ${error.message}`));
  }
  return faults;
}

const kindOf = (fault: string): string => fault.split(' ')[0] as string;

export async function shrink(found: Case, fault: string, withinMs: number): Promise<Case> {
  const until = performance.now() + withinMs;
  const shows = async (tried: Case): Promise<boolean> => {
    for (let times = 0; times < 2; times++) {
      if (performance.now() > until) return false;
      if ((await playOnce(tried)).some((other) => kindOf(other) === kindOf(fault))) return true;
    }
    return false;
  };
  let best = found;
  if (!(await shows(best))) return best;
  for (let progress = true; progress && performance.now() < until; ) {
    progress = false;
    for (const tried of smaller(best)) {
      if (performance.now() > until) break;
      if (!(await shows(tried))) continue;
      best = tried;
      progress = true;
      break;
    }
  }
  return best;
}

function* smaller({ before, ...rest }: Case): Generator<Case> {
  if (before === undefined) return yield* smallerAlone(rest);
  yield rest;
  for (const { setting, session } of smallerAlone({ setting: rest.setting, session: before })) {
    if (setting === rest.setting) yield { ...rest, before: session };
  }
  for (const one of smallerAlone(rest)) yield { ...one, before: headerFor(one.setting, before) };
}

function* smallerAlone({ setting, session }: Case): Generator<Case> {
  for (const plainer of plainerSettings(setting, session.legitimate))
    yield { setting: plainer, session: headerFor(plainer, session) };
  if (Object.keys(session.backend).length > 0) yield { setting, session: { ...session, backend: {} } };
  if (session.legitimate) {
    const steps = session.steps.map((step) => ({ ...step, cuts: [] }));
    if (session.steps.some(({ cuts = [] }) => cuts.length > 0)) yield { setting, session: { ...session, steps } };
    return; // what it hears belongs to its octets
  }
  for (const steps of fewerSteps(session.steps)) yield { setting, session: { ...session, steps } };
  for (const [at, step] of session.steps.entries()) {
    for (const less of fewerOctets(step))
      yield { setting, session: { ...session, steps: session.steps.with(at, less) } };
  }
}

function headerFor(setting: Setting, session: Session): Session {
  return setting.proxied ? session : { ...session, header: null };
}

/** `isJudged`: what a legitimate client hears belongs to the policy, too. */
function* plainerSettings(setting: Setting, isJudged: boolean): Generator<Setting> {
  if (setting.runs !== 'here') yield { ...setting, runs: 'here' };
  if (setting.identity !== 'none') yield { ...setting, identity: 'none' };
  if (setting.upstreamTls !== 'none') yield { ...setting, upstreamTls: 'none' };
  if (setting.spare) yield { ...setting, spare: false };
  if (setting.dialect !== 'lf') yield { ...setting, dialect: 'lf' };
  if (isJudged) return;
  if (setting.next !== null) yield { ...setting, next: null };
  if (setting.observes) yield { ...setting, observes: false };
  if (setting.lists) yield { ...setting, lists: false };
  if (setting.policy !== CLOSED && setting.policy.connectors.length > 0) yield { ...setting, policy: CLOSED };
  if (setting.proxied) yield { ...setting, proxied: false };
  if (setting.clientTls !== 'none') yield { ...setting, clientTls: 'none' };
  if (setting.tight) yield { ...setting, tight: false };
}

function* fewerSteps(steps: readonly Step[]): Generator<Step[]> {
  for (let size = Math.ceil(steps.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let at = 0; at < steps.length; at += size) yield [...steps.slice(0, at), ...steps.slice(at + size)];
  }
}

function* fewerOctets(step: Step): Generator<Step> {
  const { say = '', cuts = [] } = step;
  if (cuts.length > 0) yield { ...step, cuts: [] };
  for (let size = Math.ceil(say.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let at = 0; at < say.length; at += size) yield { ...step, say: say.slice(0, at) + say.slice(at + size) };
  }
}
