import type { TenantHistoryEntry } from '@berth/shared/api/rollouts';
import { RolloutTenant } from '@berth/shared/api/rollouts';
import type { TenantProgress } from '@berth/shared/domain/rollout';
import { describe, expect, test } from 'vitest';
import { attemptOf } from '../../src/services/explain-attempt.ts';
import type { EventRecord, TenantView } from '../../src/services/records.ts';
import { historyShown, type Told } from '../../src/services/tenant-history.ts';
import { record } from '../support/samples.ts';

function entry(change: Partial<TenantHistoryEntry>): TenantHistoryEntry {
  const about = { release: 12, generation: 2, rollout: 7, message: 'Words.' };
  return { at: 1_000, by: 'test', what: 'returned', ms: null, ...about, ...change };
}

function view(change: Partial<TenantView> = {}): TenantView {
  const reported = { generation: 1, live: 1, phase: 'settled' as const, problem: null, at: 900 };
  const own = { ...record('acme'), generation: 1 };
  return { ...own, hostName: 'box', connection: 'online', ingress: null, reported, ...change };
}

const told = (kind: Told['kind'], at: number, generation = 2): Told => ({
  kind,
  generation,
  at,
  message: 'It said so.',
});

describe('a tenant’s history', () => {
  test('calls a way back returning until its agent is heard and serves what it goes back to', () => {
    const ways = [entry({}), entry({ what: 'moved', ms: 5 })];
    const first = (of: TenantView | null, said: readonly Told[] = []) => historyShown(ways, of, said)[0];
    expect(first(view({ connection: 'offline' }))).toMatchObject({ what: 'returning', hold: 'offline' });
    const behind = { generation: 2, live: 2, phase: 'baking' as const, problem: null, at: 900 };
    expect(first(view({ reported: behind }))).toMatchObject({ what: 'returning', hold: null });
    expect(first(view())).toMatchObject({ what: 'returned', hold: null, ms: null });
    expect(first(view(), [told('tenant.returned', 1_400)])).toMatchObject({ what: 'returned', ms: 400 });
    // The generation that it left is a later one than the one that it goes back to.
    expect(first(view(), [told('tenant.returned', 1_500, 3)])).toMatchObject({ what: 'returned', ms: 500 });
    expect(first(view(), [told('tenant.returned', 1_500, 1)])).toMatchObject({ ms: null });
    expect(first(null)).toMatchObject({ what: 'returned' });
    // What came after it says that it is over.
    const later = [entry({ what: 'changed', ms: 1, at: 2_000, generation: 3 }), ...ways];
    expect(historyShown(later, view({ connection: 'offline' }), [])[1]).toMatchObject({ what: 'returned' });
    const alone = [entry({ what: 'rolled-back', rollout: null })];
    expect(historyShown(alone, view({ connection: 'offline' }), [])).toMatchObject([{ what: 'returning' }]);
  });

  test('takes no word about it from before it, after the next entry or of another generation', () => {
    const both = [entry({ what: 'changed', at: 2_000, ms: 1, generation: 3 }), entry({})];
    const others = [
      told('tenant.returned', 900),
      told('tenant.returned', 2_100),
      told('tenant.live', 1_500, 9),
    ];
    expect(historyShown(both, view(), others)[1]).toMatchObject({ ms: null });
  });

  test('says what came of a move once somebody had said how its release command ended', () => {
    const decided = [entry({ what: 'moved' })];
    expect(historyShown(decided, view(), [told('tenant.live', 3_000)])).toMatchObject([
      { what: 'moved', ms: 2_000 },
    ]);
    const failed = [told('tenant.live', 3_000), told('tenant.failed', 4_000)];
    expect(historyShown(decided, view(), failed)).toMatchObject([
      { what: 'failed', ms: null, message: 'Words. It said so.' },
    ]);
    // Of what a rollout saw fail nothing else is said.
    expect(historyShown([entry({ what: 'failed' })], view(), [told('tenant.live', 3_000)])).toMatchObject([
      { what: 'failed', ms: null },
    ]);
  });
});

describe('what a rollout tried in vain', () => {
  const event = (progress: TenantProgress): EventRecord => ({
    id: 1,
    kind: 'rollout.tenant',
    at: 5_000,
    tenant: 'acme',
    app: 'shop',
    host: null,
    generation: null,
    message: '',
    details: { rollout: 7, wave: 1, progress },
  });
  const problem = { code: 'health_failed' as const, message: 'it does not answer' };
  const failed = { kind: 'failed' as const, generation: 2, at: 4_000, problem, stays: null };
  const release = (rollout: number) => Promise.resolve(rollout === 7 ? 13 : null);

  test('is told with what became of it', async () => {
    const why = 'It fared worse.';
    const cases: [TenantProgress, string, string][] = [
      [failed, 'taken-back', 'it does not answer'],
      [{ ...failed, generation: null }, 'not-begun', 'it does not answer'],
      [{ ...failed, stays: 'somebody has to say' }, 'stays', 'it does not answer'],
      [{ kind: 'returning', generation: 1, since: 1, why, cause: 'failure' }, 'returning', why],
      [{ kind: 'returned', generation: 1, at: 1, why, cause: 'rollback' }, 'taken-back', why],
      [{ kind: 'stuck', at: 1, problem, cause: 'failure' }, 'stuck', 'it does not answer'],
    ];
    for (const [progress, became, reason] of cases)
      expect(await attemptOf(event(progress), entry({}), release)).toEqual({
        rollout: 7,
        release: 13,
        at: 5_000,
        became,
        reason,
      });
    for (const kind of RolloutTenant.shape.progress.options.map((option) => option.shape.kind.value))
      expect([
        'pending',
        'skipped',
        'moving',
        'live',
        'moved',
        ...cases.map(([each]) => each.kind),
      ]).toContain(kind);
  });

  test('is not told once somebody has changed the tenant himself, or where nothing was in vain', async () => {
    const own = entry({ what: 'changed', rollout: null, at: 6_000 });
    expect(await attemptOf(event(failed), own, release)).toBeNull();
    expect(await attemptOf(event({ kind: 'moved', generation: 2, at: 1 }), entry({}), release)).toBeNull();
    expect(await attemptOf(undefined, undefined, release)).toBeNull();
    expect(await attemptOf(event(failed), undefined, () => Promise.resolve(null))).toBeNull();
  });
});
