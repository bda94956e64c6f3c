import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { DesiredState } from '@berth/shared/domain/desired';
import { BerthError } from '@berth/shared/domain/errors';
import { openDesired } from '../../src/state/desired.ts';
import { unwritable } from '../../src/state/disk.ts';
import { digestOfState } from '../../src/state/digests.ts';
import { Died, DyingDisk } from './dying-disk.ts';
import { clock, desired, tenant, tombstone } from './samples.ts';

const open = async (disk: DyingDisk) => openDesired('/s', disk, clock);

async function filled(state: DesiredState): Promise<DyingDisk> {
  const disk = new DyingDisk();
  await (await open(disk)).desired.commit(state);
  return new DyingDisk(disk.afterKill());
}

const names = ['acme', 'globex', 'initech', 'hooli'];
const states = (revision: number) =>
  fc
    .array(
      fc.record({ generation: fc.integer({ min: 1, max: 3 }), buried: fc.boolean(), there: fc.boolean() }),
      {
        minLength: names.length,
        maxLength: names.length,
      },
    )
    .map((entries) => {
      const there = entries.flatMap((entry, index) =>
        entry.there ? [{ ...entry, name: names[index] ?? '' }] : [],
      );
      return desired(
        revision,
        there.filter((entry) => !entry.buried).map((entry) => tenant(entry.name, entry.generation)),
        there.filter((entry) => entry.buried).map((entry) => tombstone(entry.name, entry.generation)),
      );
    });

test('what was committed is there after a restart, with its mode', async () => {
  const state = desired(3, [tenant('acme', 2), tenant('constructor')], [tombstone('globex')]);
  const disk = await filled(state);
  const first = await open(disk);
  await first.desired.setMode('observe');
  const again = await open(disk);
  expect(again.desired.current()).toEqual(state);
  expect(again.desired.mode()).toBe('observe');
  expect(again.desired.digest()).toBe(digestOfState(state));
  expect(again.quarantined).toEqual([]);
});

test('a crash at any step of a commit leaves the state before or the state after, nothing in between', async () => {
  await fc.assert(
    fc.asyncProperty(
      states(1),
      states(2),
      fc.integer({ min: 1, max: 40 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.option(fc.integer({ min: 0, max: 40 }), { nil: null }),
      async (before, after, diesAt, torn, kept) => {
        const disk = await filled(before);
        const { desired: store } = await open(disk);
        disk.diesAt = disk.steps + diesAt;
        disk.torn = torn;
        const died = await store.commit(after).then(
          () => false,
          (thrown: unknown) => thrown instanceof Died,
        );
        // A commit that resolved must survive a power loss as well; what it only tidies up afterwards need not.
        const left = new DyingDisk(kept === null ? disk.afterKill() : disk.afterPowerLoss(kept));
        const found = await open(left);
        expect(found.quarantined).toEqual([]);
        const wanted = died && found.desired.current().revision === 1 ? before : after;
        expect(found.desired.current()).toEqual(wanted);
        if (!died) expect(found.desired.current()).toEqual(after);
      },
    ),
    { numRuns: 400, verbose: 1 },
  );
});

test('a torn entry costs that tenant only, and says so', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 0, max: 2 }), fc.nat({ max: 2000 }), async (victim, length) => {
      const state = desired(5, [tenant('acme'), tenant('globex'), tenant('initech')]);
      const disk = await filled(state);
      const files = [...disk.afterKill()]
        .filter(([path]) => path.startsWith('/s/desired/'))
        .sort(([a], [b]) => (a < b ? -1 : 1));
      const [path = '', text = ''] = files[victim] ?? [];
      if (length >= text.length - 1) return;
      disk.set(path, text.slice(0, length));
      const { desired: store, quarantined } = await open(disk);
      expect(quarantined).toEqual([path]);
      expect(Object.keys(store.current().tenants)).toHaveLength(2);
      expect(store.current()).toMatchObject({ epoch: 1, revision: 5 });
      expect(store.damaged()).toBe(true);
      expect(store.digest()).not.toBe(digestOfState(state));
      const kept = [...disk.afterKill().keys()];
      expect(kept).toContain(`${path}.corrupt-${clock.now()}`);
      await store.commit(state);
      expect(store.damaged()).toBe(false);
      expect((await open(disk)).desired.current()).toEqual(state);
    }),
    { numRuns: 100, verbose: 1 },
  );
});

test('an entry whose bytes changed under its name is not believed', async () => {
  const disk = await filled(desired(1, [tenant('acme', 1, 'one'), tenant('globex')]));
  const [path = '', text = ''] = [...disk.afterKill()].find(([name]) => name.includes('/acme.')) ?? [];
  disk.set(path, text.replace('"one"', '"two"'));
  const { desired: store, quarantined } = await open(disk);
  expect(quarantined).toEqual([path]);
  expect(Object.keys(store.current().tenants)).toEqual(['globex']);
});

test('a lost head keeps every tenant at its newest generation and no tombstone', async () => {
  for (const garbage of ['', '{', '{"sum":"x"}', 'null']) {
    const disk = await filled(
      desired(7, [tenant('acme', 4), tenant('globex')], [tombstone('hooli', 1, 'confirmed')]),
    );
    disk.set('/s/head.json', garbage);
    const { desired: store, quarantined } = await open(disk);
    expect(quarantined).toEqual(['/s/head.json']);
    expect(store.current()).toMatchObject({ epoch: 0, revision: 0, tombstones: {} });
    expect(store.current().tenants['acme']?.generation).toBe(4);
    expect(Object.keys(store.current().tenants).sort()).toEqual(['acme', 'globex']);
    expect(store.damaged()).toBe(true);
  }
});

test('a full disk is told with its place and its remedy, and nothing is lost', async () => {
  const state = desired(1, [tenant('acme')]);
  const disk = await filled(state);
  const { desired: store } = await open(disk);
  disk.failure = unwritable('/s/desired', Object.assign(new Error('no'), { code: 'ENOSPC' }));
  const failed = await store.commit(desired(2, [tenant('acme', 2)])).catch((thrown: unknown) => thrown);
  expect(failed).toBeInstanceOf(BerthError);
  expect(failed).toMatchObject({
    code: 'state_unwritable',
    message: expect.stringMatching(/\/s\/desired: the disk is full; free some space/),
  });
  expect(store.current()).toEqual(state);
  disk.failure = null;
  expect((await open(disk)).desired.current()).toEqual(state);
});

test('a one-tenant change among 500 writes that tenant and the head, not the others', async () => {
  const all = Array.from({ length: 500 }, (_, index) => tenant(`t${index}`));
  const disk = await filled(desired(1, all));
  const { desired: store } = await open(disk);
  const before = disk.afterKill();
  const current = store.current();
  await store.commit({ ...current, revision: 2, tenants: { ...current.tenants, t9: tenant('t9', 2) } });
  const changed = [...disk.afterKill()].filter(([path, text]) => before.get(path) !== text);
  expect(changed.map(([path]) => path).sort()).toEqual([
    expect.stringMatching(/^\/s\/desired\/t9\./),
    '/s/head.json',
  ]);
  expect(changed.reduce((sum, [, text]) => sum + text.length, 0)).toBeLessThan(60_000);
});
