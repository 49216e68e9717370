import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Health } from '../../src/proxy/health.ts';

describe('the back-off of a server', () => {
  it('doubles from one second to one minute, and stays there', () => {
    const health = new Health();
    const waits: number[] = [];
    let now = 5_000;
    for (let times = 0; times < 9; times++) {
      assert.equal(health.failed('away', now), true);
      waits.push(health.retryAt - now);
      now = health.retryAt;
    }
    assert.deepEqual(waits, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]);
  });

  it('is not prolonged by those who fail beside each other', () => {
    const health = new Health();
    assert.equal(health.failed('away', 0), true);
    for (const now of [0, 1, 999]) assert.equal(health.failed('away', now), false);
    assert.equal(health.retryAt, 1_000);
    assert.equal(health.failed('away', 1_000), true);
    assert.equal(health.retryAt, 3_000);
  });

  it('is forgotten by a session that was served, not by a greeting', () => {
    const health = new Health();
    health.failed('away', 0);
    health.greeted(1_000);
    assert.equal(health.isUp, true);
    health.failed('away', 2_000);
    assert.equal(health.retryAt, 4_000);
    health.greeted(4_000);
    health.served();
    health.failed('away', 5_000);
    assert.equal(health.retryAt, 6_000);
  });
});

describe('a server that greets and then falls silent', () => {
  it('is down with the fifth session in a row that waits in vain', () => {
    const health = new Health();
    for (let times = 0; times < 4; times++) assert.equal(health.fellSilent(0), false);
    assert.equal(health.isUp, true);
    assert.equal(health.fellSilent(0), true);
    assert.equal(health.why, 'it does not answer commands');
  });

  it('counts anew behind a session that was served', () => {
    const health = new Health();
    for (let times = 0; times < 4; times++) health.fellSilent(0);
    health.served();
    for (let times = 0; times < 4; times++) assert.equal(health.fellSilent(0), false);
    assert.equal(health.fellSilent(0), true);
  });

  it('is down again with the first one when it has come back and is silent still', () => {
    const health = new Health();
    for (let times = 0; times < 5; times++) health.fellSilent(0);
    health.greeted(1_000);
    assert.equal(health.fellSilent(2_000), true);
    assert.equal(health.retryAt, 4_000);
  });
});

describe('the slow start of a server that has come back', () => {
  /** How many of 100 new sessions it takes at that time. */
  function taken(health: Health, now: number): number {
    return Array.from({ length: 100 }, () => health.takes(now)).filter(Boolean).length;
  }

  it('gives it a share that grows for half a minute', () => {
    const health = new Health();
    health.failed('away', 0);
    health.greeted(10_000);
    assert.ok(taken(health, 10_000) <= 1);
    assert.ok(Math.abs(taken(health, 25_000) - 50) <= 2);
    assert.ok(taken(health, 39_900) >= 98);
    assert.equal(taken(health, 40_000), 100);
  });

  it('is only for one that was away', () => {
    const health = new Health();
    assert.equal(taken(health, 0), 100);
    health.greeted(50);
    assert.equal(taken(health, 60), 100);
  });
});
