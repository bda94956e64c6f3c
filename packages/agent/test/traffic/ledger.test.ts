import fc from 'fast-check';
import { expect, test } from 'vitest';
import { noTraffic, TRAFFIC_SLOT_MS, type Traffic, type TrafficSample } from '@berth/shared/domain/traffic';
import { createLedger } from '../../src/traffic/ledger.ts';

const START = 3_000 * TRAFFIC_SLOT_MS;
const nobody = (): boolean => false;
const everybody = (): boolean => true;
const requests = (count: number): Traffic => ({ ...noTraffic(), requests: count });
const short = (samples: readonly TrafficSample[]) =>
  samples.map(({ tenant, generation, slot, traffic }) => [tenant, generation, slot, traffic.requests]);

test('what somebody asks for is told at once, and only what he was not told before', () => {
  const ledger = createLedger(7);
  ledger.add('acme', 1, { ...noTraffic(), requests: 3 }, 1_000);
  expect(ledger.due(1_000, () => false)).toHaveLength(1);
  ledger.add('acme', 1, { ...noTraffic(), requests: 2 }, 1_100);
  expect(ledger.due(1_100, () => false)).toEqual([]);
  expect(ledger.changed(1_200)).toMatchObject([{ tenant: 'acme', traffic: { requests: 5 } }]);
  expect(ledger.changed(1_300)).toEqual([]);
});

test('a sample is cumulative within its slot, and told again only after it has changed', () => {
  const ledger = createLedger(7);
  ledger.add('acme', 3, requests(2), START + 1);
  expect(short(ledger.due(START + 1, nobody))).toEqual([['acme', 3, START, 2]]);
  expect(ledger.due(START + 100_000, nobody)).toEqual([]);
  ledger.add('acme', 3, requests(5), START + 100_001);
  expect(ledger.due(START + 100_002, nobody)[0]).toMatchObject({ run: 7, traffic: { requests: 7 } });
});

test('a tenant at rest is told of every 30 s, one that is watched every 2 s', () => {
  const ledger = createLedger(7);
  ledger.add('acme', 3, requests(1), START);
  ledger.due(START, nobody);
  ledger.add('acme', 3, requests(1), START + 1);
  expect(ledger.due(START + 29_999, nobody)).toEqual([]);
  expect(ledger.due(START + 1_999, everybody)).toEqual([]);
  expect(ledger.due(START + 2_000, everybody)).toHaveLength(1);
  ledger.add('acme', 3, requests(1), START + 2_001);
  expect(ledger.due(START + 32_000, nobody)).toHaveLength(1);
});

test('generations and slots are counted apart, and a slot that is over is told at once', () => {
  const ledger = createLedger(7);
  const next = START + TRAFFIC_SLOT_MS;
  ledger.add('acme', 3, requests(1), next - 2_000);
  ledger.due(next - 2_000, nobody);
  ledger.add('acme', 3, requests(1), next - 1_000);
  ledger.add('acme', 4, requests(8), next - 1_000);
  ledger.add('acme', 3, requests(32), next + 1);
  expect(short(ledger.due(next + 1, nobody))).toEqual([
    ['acme', 3, START, 2],
    ['acme', 4, START, 8],
    ['acme', 3, next, 32],
  ]);
});

test('what was told does not change afterwards', () => {
  const ledger = createLedger(7);
  ledger.add('acme', 3, requests(1), START);
  const [told] = ledger.due(START, everybody);
  ledger.add('acme', 3, requests(9), START + 1);
  expect(told?.traffic.requests).toBe(1);
});

test('slots that are long over are forgotten, but not before they were told', () => {
  const ledger = createLedger(7);
  ledger.add('acme', 3, requests(1), START);
  ledger.due(START, nobody);
  ledger.add('globex', 1, requests(1), START + TRAFFIC_SLOT_MS);
  expect(ledger.due(START + 5 * TRAFFIC_SLOT_MS, nobody)).toHaveLength(1);
  ledger.due(START + 7 * TRAFFIC_SLOT_MS, nobody);
  expect(ledger.all()).toEqual([]);
});

test('whatever happens, agents come and go, and words are lost, the last words add up to every request', () => {
  const move = fc.oneof(
    fc.record({
      kind: fc.constant('add' as const),
      tenant: fc.constantFrom('acme', 'globex'),
      generation: fc.constantFrom(1, 2),
      count: fc.integer({ min: 1, max: 9 }),
    }),
    fc.record({ kind: fc.constantFrom('restart' as const, 'told' as const, 'tell lost' as const) }),
    fc.record({ kind: fc.constant('wait' as const), ms: fc.nat({ max: TRAFFIC_SLOT_MS }) }),
  );
  fc.assert(
    fc.property(fc.array(move, { maxLength: 60 }), (story) => {
      let now = START;
      let ledger = createLedger(7);
      let sum = 0;
      const heard = new Map<string, number>();
      const hear = (): void => {
        for (const each of ledger.due(now, everybody))
          heard.set(`${each.tenant} ${each.generation} ${each.slot} ${each.run}`, each.traffic.requests);
      };
      for (const each of story) {
        if (each.kind === 'add') {
          ledger.add(each.tenant, each.generation, requests(each.count), now);
          sum += each.count;
        } else if (each.kind === 'wait') {
          hear();
          now += each.ms;
        } else if (each.kind === 'told') hear();
        else {
          // Nobody knows what of it arrived; it is told once more.
          ledger.due(now, everybody);
          ledger = createLedger(7, ledger.all());
        }
      }
      now += TRAFFIC_SLOT_MS;
      hear();
      expect([...heard.values()].reduce((a, b) => a + b, 0)).toBe(sum);
    }),
    { verbose: 1 },
  );
});
