import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { type ConnectionLimits, Connections } from '../../src/limits/connections.ts';

const NONE: ConnectionLimits = { source: Number.POSITIVE_INFINITY, connector: Number.POSITIVE_INFINITY };

function open(connections: Connections, times: number, connector = 'internet', source = '192.0.2.1'): (() => void)[] {
  return Array.from({ length: times }, () => connections.open(connector, source));
}

test('a source may have as many connections as its limit says, and not one more', () => {
  const connections = new Connections();
  open(connections, 2);
  assert.equal(connections.reached('internet', '192.0.2.1', { ...NONE, source: 3 }), null);
  assert.equal(connections.reached('internet', '192.0.2.1', { ...NONE, source: 2 }), 'source');
});

test('the connections of another source do not count for a source', () => {
  const connections = new Connections();
  open(connections, 5, 'internet', '192.0.2.2');
  assert.equal(connections.reached('internet', '192.0.2.1', { ...NONE, source: 1 }), null);
});

test('a source is counted for each connector by itself', () => {
  const connections = new Connections();
  open(connections, 5, 'lan');
  assert.equal(connections.reached('internet', '192.0.2.1', { ...NONE, source: 1 }), null);
});

test('a connector may have as many connections as its limit says, whoever has them', () => {
  const connections = new Connections();
  open(connections, 1, 'internet', '192.0.2.1');
  open(connections, 1, 'internet', '192.0.2.2');
  open(connections, 7, 'lan', '192.0.2.2');
  assert.equal(connections.reached('internet', '192.0.2.3', { ...NONE, connector: 3 }), null);
  assert.equal(connections.reached('internet', '192.0.2.3', { ...NONE, connector: 2 }), 'connector');
});

test('the narrowest limit is named first', () => {
  const connections = new Connections();
  open(connections, 1);
  assert.equal(connections.reached('internet', '192.0.2.1', { source: 1, connector: 1 }), 'source');
  assert.equal(connections.reached('internet', '192.0.2.2', { source: 1, connector: 1 }), 'connector');
});

test('a limit of 0 lets nobody in', () => {
  assert.equal(new Connections().reached('internet', '192.0.2.1', { ...NONE, source: 0 }), 'source');
  assert.equal(new Connections().reached('internet', '192.0.2.1', { ...NONE, connector: 0 }), 'connector');
});

test('to ask is not to count', () => {
  const connections = new Connections();
  for (let asked = 0; asked < 10; asked++) {
    assert.equal(connections.reached('internet', '192.0.2.1', { source: 1, connector: 1 }), null);
  }
});

test('a connector and a source that look alike when written together are not the same', () => {
  const connections = new Connections();
  open(connections, 1, 'a', 'b');
  assert.equal(connections.reached('ab', '', { ...NONE, source: 1 }), null);
  assert.equal(connections.reached('a b', '', { ...NONE, connector: 1 }), null);
});

test('whatever comes and goes, the counts are those of what is open now', () => {
  const step = fc.record({
    connector: fc.constantFrom('internet', 'lan'),
    source: fc.constantFrom('192.0.2.1', '192.0.2.2', '2001db8000000000'),
    leaves: fc.option(fc.nat(), { nil: null }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const connections = new Connections();
      const model: { connector: string; source: string; close: () => void }[] = [];
      for (const { connector, source, leaves } of steps) {
        if (leaves !== null && model.length > 0) model.splice(leaves % model.length, 1)[0]?.close();
        else model.push({ connector, source, close: connections.open(connector, source) });
        const ofConnector = model.filter((one) => one.connector === connector);
        const ofSource = ofConnector.filter((one) => one.source === source);
        const reached = (room: { source: number; connector: number }) =>
          connections.reached(connector, source, {
            source: ofSource.length + room.source,
            connector: ofConnector.length + room.connector,
          });
        assert.equal(reached({ source: 1, connector: 1 }), null);
        assert.equal(reached({ source: 0, connector: 1 }), 'source');
        assert.equal(reached({ source: 1, connector: 0 }), 'connector');
      }
    }),
  );
});
