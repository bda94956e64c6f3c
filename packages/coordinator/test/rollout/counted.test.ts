import { describe, expect, test } from 'vitest';
import { RolloutPolicy } from '@berth/shared/domain/rollout';
import { LATENCY_BOUNDS_MS, type Traffic } from '@berth/shared/domain/traffic';
import { advance } from '../../src/rollout/advance.ts';
import type { Counted, Facts, Rollout } from '../../src/rollout/types.ts';

const SINCE = 1_000_000;
const UNTIL = SINCE + 5_000;

const traffic = (requests: number, errors = 0): Traffic => ({
  requests,
  errors,
  latency: [requests, ...LATENCY_BOUNDS_MS.map(() => 0)],
});

/** One tenant that serves the new release, in a wave whose time to bake ends at `UNTIL`. */
const rollout: Rollout = {
  rollout: 5,
  app: 'shop',
  to: 13,
  policy: RolloutPolicy.parse({ waves: [{ target: { kind: 'share', percent: 100 } }], bakeMs: 5_000 }),
  state: { kind: 'running' },
  wave: 0,
  waves: [{ kind: 'baking', since: SINCE, until: UNTIL }],
  forgiven: 0,
  reversal: 'free',
  tenants: [
    {
      tenant: 'acme',
      wave: 0,
      position: 0,
      fromRelease: 12,
      fromGeneration: 1,
      progress: { kind: 'live', generation: 2, since: SINCE },
      before: traffic(1_000),
    },
  ],
};

function facts(after: Traffic, counted: Counted): Facts {
  return {
    frozen: null,
    ahead: null,
    counted: (wave, until) => (wave === 0 && until === UNTIL ? counted : { kind: 'awaited' }),
    tenant: () => ({
      host: 'h1',
      connection: 'online',
      release: 13,
      generation: 2,
      state: 'running',
      pinned: null,
      window: null,
      reported: { generation: 2, live: 2, phase: 'baking', problem: null },
      after,
    }),
  };
}

const missing: Counted = { kind: 'missing', why: 'the last counts of host h1 did not come: it is offline' };

describe('a wave whose time to bake has passed', () => {
  test('is not judged before all that it served until then is counted', () => {
    expect(advance(rollout, facts(traffic(12), { kind: 'awaited' }), UNTIL + 1_000)).toEqual([]);
    expect(advance(rollout, facts(traffic(500), { kind: 'awaited' }), UNTIL + 1_000)).toEqual([]);
  });

  test('is judged on all of it, and keeps the figures', () => {
    const decisions = advance(rollout, facts(traffic(45 + 12), { kind: 'complete' }), UNTIL + 1_000);
    expect(decisions).toContainEqual({
      kind: 'wave',
      wave: 0,
      state: {
        kind: 'passed',
        at: UNTIL + 1_000,
        judged: 'good',
        traffic: { before: traffic(1_000), after: traffic(57), verdict: { kind: 'good' } },
      },
    });
  });

  test('is never good when some of it did not come', () => {
    const state = (after: Traffic): unknown =>
      advance(rollout, facts(after, missing), UNTIL + 1_000).find((each) => each.kind === 'wave');
    expect(state(traffic(500))).toMatchObject({
      state: {
        kind: 'passed',
        judged: `not judged: ${missing.why}`,
        traffic: { verdict: { kind: 'not-judged', why: missing.why } },
      },
    });
    expect(state(traffic(12))).toMatchObject({
      state: { judged: `not judged: 12 requests since the move; 50 are needed; ${missing.why}` },
    });
  });

  test('halts when what did come is bad, and does not wait for the rest', () => {
    for (const counted of [missing, { kind: 'awaited' }] as const)
      expect(advance(rollout, facts(traffic(500, 100), counted), UNTIL + 1_000)).toMatchObject([
        { kind: 'return', tenant: 'acme', cause: 'failure' },
      ]);
  });
});
