import fc from 'fast-check';
import { expect, test } from 'vitest';
import { digestOf } from '@berth/shared/domain/digest';
import { openStatuses } from '../../src/state/status.ts';
import { Died, DyingDisk } from './dying-disk.ts';
import { clock, status } from './samples.ts';

const open = async (disk: DyingDisk) => openStatuses('/s', disk, clock);

test('a crash at any step of a save leaves that save or the one before', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 2 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.option(fc.integer({ min: 0, max: 5 }), { nil: null }),
      async (saves, diesAt, torn, kept) => {
        const first = new DyingDisk();
        const { statuses: before } = await open(first);
        for (let live = 1; live <= saves; live += 1) await before.save(status('acme', live));
        const disk = new DyingDisk(first.afterKill());
        const { statuses } = await open(disk);
        disk.diesAt = diesAt;
        disk.torn = torn;
        const died = await statuses.save(status('acme', saves + 1)).then(
          () => false,
          (thrown: unknown) => thrown instanceof Died,
        );
        const left = new DyingDisk(kept === null ? disk.afterKill() : disk.afterPowerLoss(kept));
        const found = await open(left);
        expect(found.quarantined).toEqual([]);
        const live = found.statuses.get('acme')?.live;
        if (died) expect([saves, saves + 1]).toContain(live);
        else expect(live).toBe(saves + 1);
      },
    ),
    { numRuns: 300, verbose: 1 },
  );
});

test('a save costs one fsync once both slots are there', async () => {
  const disk = new DyingDisk();
  const { statuses } = await open(disk);
  await statuses.save(status('acme', 1));
  await statuses.save(status('acme', 2));
  const before = disk.syncs;
  await statuses.save(status('acme', 3));
  expect(disk.syncs - before).toBe(1);
});

test('saves of one tenant happen in the order of the calls, and all tenants are loaded', async () => {
  const disk = new DyingDisk();
  const { statuses } = await open(disk);
  await Promise.all([1, 2, 3, 4].map((live) => statuses.save(status('acme', live))));
  await statuses.save(status('constructor', 7));
  expect(statuses.get('acme')?.live).toBe(4);
  const again = await open(disk);
  expect(again.statuses.get('acme')).toEqual(status('acme', 4));
  expect(again.statuses.get('constructor')?.live).toBe(7);
  expect(again.statuses.get('globex')).toBeNull();
  await again.statuses.remove('acme');
  expect((await open(disk)).statuses.all().size).toBe(1);
});

test('a status that an older agent wrote is read: its one release command begins the list', async () => {
  const disk = new DyingDisk();
  const write = (name: string, released: unknown): void => {
    const old = { ...status(name, 1), released };
    const sum = digestOf({ sequence: 1, status: old });
    disk.set(`/s/status/${name}.0.json`, `${JSON.stringify({ sum, sequence: 1, status: old })}\n`);
  };
  write('acme', { key: 'abc', outcome: 'succeeded' });
  write('globex', null);
  const { statuses, quarantined } = await open(disk);
  expect(quarantined).toEqual([]);
  const one = { key: 'abc', outcome: 'succeeded', generation: null, runs: 1 };
  expect(statuses.get('acme')).toEqual({ ...status('acme', 1), released: [one] });
  expect(statuses.get('globex')).toEqual(status('globex', 1));
  const kept = statuses.get('acme');
  if (kept === null) throw new Error('no status of acme');
  await statuses.save(kept);
  expect((await open(disk)).statuses.get('acme')).toEqual(kept);
});

test('a tenant of which both slots are garbage is set aside; the others are not touched', async () => {
  const disk = new DyingDisk();
  const { statuses } = await open(disk);
  for (const name of ['acme', 'globex']) {
    await statuses.save(status(name, 1));
    await statuses.save(status(name, 2));
  }
  disk.set('/s/status/acme.0.json', '{"sum":');
  disk.set('/s/status/acme.1.json', '\u0000\u0000');
  const found = await open(disk);
  expect(found.quarantined).toEqual(['/s/status/acme.0.json']);
  expect([...found.statuses.all().keys()]).toEqual(['globex']);
  await found.statuses.save(status('acme', 3));
  expect((await open(disk)).statuses.get('acme')?.live).toBe(3);
});

test('a status is lost when both of its saves are, and not when its first one was torn', async () => {
  const disk = new DyingDisk();
  const { statuses } = await open(disk);
  for (const live of [1, 2]) await statuses.save(status('acme', live));
  await statuses.save(status('globex', 1));
  for (const name of ['acme.0', 'acme.1', 'globex.0', 'globex.1']) {
    const path = `/s/status/${name}.json`;
    if ((await disk.read(path)) !== null) await disk.write(path, '{"torn');
  }
  const found = await open(disk);
  expect([...found.lost]).toEqual(['acme']);
  expect(found.quarantined).toHaveLength(2);
});
