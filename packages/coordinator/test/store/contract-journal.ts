import { expect } from 'vitest';
import { EVENTS_KEPT } from '../../src/store/journal.ts';
import { INDEX_EVERY } from '../../src/store/event-index.ts';
import { contractContext, write, type OpenEmpty } from './contract.ts';

const PER_WRITE = 2_000;
const TENANTS = ['acme', 'globex', 'initech'];

/** A journal so long that most of it is in the index of tenants' events, its end is not, and its beginning is forgotten. */
export function journalContract(open: OpenEmpty): void {
  const { on } = contractContext(open);
  const tenantOf = (id: number): string | null => (id % 5 === 0 ? null : (TENANTS[id % 3] ?? null));
  const kindOf = (id: number): 'tenant.live' | 'tenant.step' =>
    id % 7 === 0 ? 'tenant.live' : 'tenant.step';

  on('of a long journal the newest events are kept, and a tenant has all of its own', async (store) => {
    const total = EVENTS_KEPT + 3 * INDEX_EVERY + 1_234;
    for (let from = 1; from <= total; from += PER_WRITE) {
      const ids = Array.from({ length: Math.min(PER_WRITE, total - from + 1) }, (_, index) => from + index);
      await write(store, (tx) =>
        tx.addEvents(
          ids.map((id) => ({
            at: id,
            kind: kindOf(id),
            tenant: tenantOf(id),
            app: null,
            host: null,
            generation: null,
            message: 'x',
            details: {},
          })),
        ),
      );
    }
    const oldest = (await store.events({}, 0, 1))[0]?.id ?? 0;
    expect(total - oldest).toBeGreaterThanOrEqual(EVENTS_KEPT - 1);
    expect(total - oldest).toBeLessThan(EVENTS_KEPT + INDEX_EVERY + PER_WRITE);
    expect(await store.lastEvent()).toBe(total);

    const kept = Array.from({ length: total - oldest + 1 }, (_, index) => oldest + index);
    const globex = kept.filter((id) => tenantOf(id) === 'globex');
    const read = async (
      filter: { tenant: string; kind?: string },
      after: number | undefined,
      limit: number,
    ) => (await store.events(filter, after, limit)).map((event) => event.id);
    expect(await read({ tenant: 'globex' }, 0, total)).toEqual(globex);
    expect(await read({ tenant: 'globex' }, undefined, total)).toEqual(globex);
    expect(await read({ tenant: 'nobody' }, 0, 10)).toEqual([]);
    // Where the index ends: both parts are needed, from either side.
    const edge = total - (total % INDEX_EVERY);
    for (const after of [0, oldest, edge - 20, edge - 1, edge, edge + 7, total - 3, total])
      for (const limit of [1, 30, 5_000]) {
        const expected = globex.filter((id) => id > after).slice(0, limit);
        expect(await read({ tenant: 'globex' }, after, limit)).toEqual(expected);
      }
    for (const limit of [1, 300, 2_000, 9_000])
      expect(await read({ tenant: 'globex' }, undefined, limit)).toEqual(globex.slice(-limit));
    const live = globex.filter((id) => kindOf(id) === 'tenant.live');
    expect(await read({ tenant: 'globex', kind: 'tenant.live' }, undefined, 1_500)).toEqual(
      live.slice(-1_500),
    );
  });
}
