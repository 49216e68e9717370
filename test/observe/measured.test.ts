// The metrics of several threads as one answer.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { countersOf, formatMeasured, type Measured, sumOf } from '../../src/observe/measured.ts';
import { ends, parseSamples, taken, type Watched, watch } from './watched.ts';

async function samples(...threads: (readonly Measured[])[]): Promise<Map<string, number>> {
  return parseSamples(await formatMeasured(threads));
}

function message(watched: Watched): ReturnType<Watched['observer']['sessionOpened']> {
  const session = watched.observer.sessionOpened(ends, 'internet');
  session.event(taken());
  session.delay(0.00002);
  return session;
}

const MESSAGES = 'postern_messages_total{connector="internet"}';

describe('the metrics of several threads', () => {
  it('are summed: counters, histograms, and the sessions that are open', async () => {
    const [one, two] = [watch(), watch()];
    message(one);
    message(two);
    message(two);
    const found = await samples(await one.observer.measured(), await two.observer.measured());
    assert.equal(found.get(MESSAGES), 3);
    assert.equal(found.get('postern_sessions'), 3);
    assert.equal(found.get('postern_command_delay_seconds_count'), 3);
    assert.equal(found.get('postern_command_delay_seconds_bucket{le="0.00001"}'), 0);
    assert.equal(found.get('postern_command_delay_seconds_bucket{le="0.000025"}'), 3);
    assert.equal(found.get('postern_command_delay_seconds_bucket{le="+Inf"}'), 3);
  });

  it('do not count the process once for each thread, nor a policy twice', async () => {
    const [one, two] = [watch(), watch()];
    const memory = (await one.samples()).get('process_resident_memory_bytes') ?? 0;
    for (const { observer } of [one, two]) observer.policyLoaded('0123456789ab');
    const found = await samples(await one.observer.measured(), await two.observer.measured());
    assert.ok((found.get('process_resident_memory_bytes') ?? 0) < 1.5 * memory);
    assert.ok((found.get('process_start_time_seconds') ?? 0) <= Date.now() / 1000 + 1);
    const loaded = found.get('postern_policy_loaded_timestamp{version="0123456789ab"}') ?? 0;
    assert.ok(Math.abs(loaded - Date.now() / 1000) < 60);
  });

  it('take what the first, the main thread, knows of the upstream', async () => {
    const [main, worker] = [watch(), watch()];
    main.observer.upstreamUp('10.0.0.10:25', true);
    const found = await samples(await main.observer.measured(), await worker.observer.measured());
    assert.equal(found.get('postern_upstream_up{server="10.0.0.10:25"}'), 1);
  });

  it('keep the counters of a thread that is gone, and not its gauges', async () => {
    const [alive, dead] = [watch(), watch()];
    message(alive);
    message(dead);
    message(dead);
    const left = countersOf(await dead.observer.measured());
    const found = await samples(await alive.observer.measured(), left);
    assert.equal(found.get(MESSAGES), 3);
    assert.equal(found.get('postern_sessions'), 1);
    const twice = await samples(await alive.observer.measured(), await sumOf([left, left]));
    assert.equal(twice.get(MESSAGES), 5);
    assert.equal(twice.get('postern_command_delay_seconds_count'), 5);
  });

  it('read as those of one thread do', async () => {
    const one = watch();
    message(one).closed({ origin: 'client', what: 'quit' });
    const text = (await formatMeasured([await one.observer.measured()])).replaceAll(
      /^process.*$|.*loop_delay.*$/gm,
      '',
    );
    assert.equal((await one.observer.metrics()).replaceAll(/^process.*$|.*loop_delay.*$/gm, ''), text);
    assert.match(text, /^# TYPE postern_command_delay_seconds histogram$/m);
  });
});
