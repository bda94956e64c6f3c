import { describe, expect, test } from 'vitest';
import { RolloutPolicy, type TenantProgress } from '@berth/shared/domain/rollout';
import { decide } from '../../src/rollout/decide.ts';
import type { Facts, Rollout, TenantFact } from '../../src/rollout/types.ts';

const NOW = 1_000_000;

function rolloutOf(progress: readonly TenantProgress[], atOnce: number): Rollout {
  return {
    rollout: 5,
    app: 'shop',
    to: 13,
    policy: RolloutPolicy.parse({
      waves: [{ target: { kind: 'share', percent: 100 } }],
      bakeMs: 0,
      atOnce,
      perHost: 10,
    }),
    state: { kind: 'running' },
    wave: 0,
    waves: [{ kind: 'moving', since: 1 }],
    forgiven: 0,
    reversal: 'free',
    tenants: progress.map((each, position) => ({
      tenant: `t${position}`,
      wave: 0,
      position,
      fromRelease: 12,
      fromGeneration: 1,
      progress: each,
      before: null,
    })),
  };
}

/** Tenants that have begun say what `said` gives. */
function factsOf(rollout: Rollout, said: TenantFact['reported']): Facts {
  return {
    frozen: null,
    ahead: null,
    counted: () => ({ kind: 'complete' }),
    tenant: (name) => {
      const kind = rollout.tenants.find((row) => row.tenant === name)?.progress.kind;
      const begun = kind === 'moving' || kind === 'live';
      return {
        host: 'h1',
        connection: 'online',
        release: begun ? 13 : 12,
        generation: begun ? 2 : 1,
        state: 'running',
        pinned: null,
        window: null,
        reported: begun ? said : { generation: 1, live: 1, phase: 'settled', problem: null },
        after: null,
      };
    },
  };
}

const moving: TenantProgress = { kind: 'moving', generation: 2, since: 1 };
const live: TenantProgress = { kind: 'live', generation: 2, since: 1 };
const pending: TenantProgress = { kind: 'pending' };
const SERVES = { generation: 2, live: 2, phase: 'baking', problem: null } as const;

describe('one look at a rollout', () => {
  test('says who serves now and who begins because of it, and no more than may move at once', () => {
    const rollout = rolloutOf([live, live, live, live, live, live, live, live, moving, pending, pending], 1);
    const decisions = decide(rollout, factsOf(rollout, SERVES), NOW);
    expect(decisions.map((each) => ('tenant' in each ? [each.kind, each.tenant] : each.kind))).toEqual([
      ['progress', 't8'],
      ['begin', 't9'],
    ]);
  });

  test('says only who failed: what the failure means for the rollout is decided when it is on record', () => {
    const rollout = rolloutOf([moving, pending], 5);
    const problem = { code: 'health_failed' as const, message: 'It never became healthy.' };
    const failed = { generation: 2, live: 1, phase: 'failed', problem } as const;
    const decisions = decide(rollout, factsOf(rollout, failed), NOW);
    expect(decisions.map((each) => each.kind)).toEqual(['progress', 'restore']);
  });

  test('says only who serves when the last one does: that the wave is over is decided when it is on record', () => {
    const rollout = rolloutOf([live, moving], 5);
    expect(decide(rollout, factsOf(rollout, SERVES), NOW)).toMatchObject([
      { kind: 'progress', tenant: 't1', progress: { kind: 'live' } },
    ]);
  });
});
