import { expect, test } from 'vitest';
import { runFleet, type Run } from './fleet-run.ts';

/** `BERTH_SEED=123` runs that one fleet only. */
const only = process.env['BERTH_SEED'];

function fleets(from: number, count: number, shape: Parameters<typeof runFleet>[1]): Run[] {
  const seeds =
    only === undefined ? Array.from({ length: count }, (_unused, index) => from + index) : [Number(only)];
  return seeds.map((seed) => {
    try {
      return runFleet(seed, shape);
    } catch (thrown) {
      const replay = `BERTH_SEED=${seed} npx vitest run packages/coordinator/test/rollout/fleet.test.ts`;
      throw new Error(
        `seed ${seed}: ${thrown instanceof Error ? thrown.message : String(thrown)}\nreplay: ${replay}`,
        {
          cause: thrown,
        },
      );
    }
  });
}

test('small fleets with every kind of misfortune come to rest in an orderly state', () => {
  const runs = fleets(1, 2000, { hosts: 6, perHost: 4 });
  if (only !== undefined) return;
  const ends = new Set(runs.map(({ rollout }) => rollout.state.kind));
  // Otherwise these fleets would prove little.
  for (const kind of ['completed', 'paused', 'rolled-back', 'aborted', 'waiting'] as const)
    expect(ends).toContain(kind);
});

test('fleets of up to five hundred hosts do too', () => {
  const runs = fleets(100_000, 12, { hosts: 500, perHost: 3 });
  expect(runs.every((run) => run.decisions > 0)).toBe(true);
});

test('without misfortune and with a sound release every tenant is moved', () => {
  const runs = fleets(200_000, 200, { hosts: 5, perHost: 4, calm: true });
  if (only !== undefined) return;
  const sound = runs.filter(({ world }) =>
    [...world.tenants.values()].every((each) => each.fate === 'serves'),
  );
  expect(sound.length).toBeGreaterThan(50);
  for (const { rollout } of sound) {
    expect(rollout.state.kind).toBe('completed');
    expect(rollout.tenants.every(({ progress }) => progress.kind === 'moved')).toBe(true);
  }
});

test('a release that fails everywhere hurts one tenant more than the budget allows, and no further one', () => {
  for (const fate of ['fails', 'silent'] as const)
    for (const { rollout, begun } of fleets(300_000, 100, { hosts: 20, perHost: 5, calm: true, fate })) {
      expect(begun).toBeLessThanOrEqual(rollout.policy.maxFailures + 1);
      expect(begun).toBeGreaterThan(0);
      expect(rollout.tenants.some(({ progress }) => progress.kind === 'moved')).toBe(false);
    }
});
