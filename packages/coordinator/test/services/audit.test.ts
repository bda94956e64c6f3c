import { afterEach, beforeEach, expect, test } from 'vitest';
import { createAudit } from '../../src/services/audit.ts';
import type { Store } from '../../src/services/store.ts';
import { openStore } from '../../src/store/open.ts';

let store: Store;
beforeEach(async () => {
  store = await openStore({ kind: 'sqlite', path: ':memory:' });
  for (let n = 1; n <= 25; n++)
    await store.mutate(
      { actor: n % 10 === 0 ? 'token:t_1 ci' : 'coordinator', requestId: 'r' },
      n,
      async (tx) => {
        await tx.setMode('apply', null);
        return { result: null, audit: { action: 'test.done', subject: 'x', before: null, after: null } };
      },
    );
});
afterEach(async () => {
  await store.close();
});

test('a page is the same however few rows are looked at in one go', async () => {
  for (const rowsAtOnce of [1, 3, 7, 100]) {
    const audit = createAudit(store, rowsAtOnce);
    const ids = async (query: object) =>
      (await audit.page({ limit: 100, ...query })).items.map((record) => record.id);
    expect(await ids({ by: 'ci' })).toEqual([20, 10]);
    expect(await ids({ by: 'ci', limit: 1 })).toEqual([20]);
    expect(await ids({ by: 'ci', before: 20 })).toEqual([10]);
    expect(await ids({ by: 'ci', before: 1_000_000 })).toEqual([20, 10]);
    expect(await ids({ by: 'nobody' })).toEqual([]);
    expect(await ids({ limit: 4 })).toEqual([25, 24, 23, 22]);
    expect(await ids({ before: 3 })).toEqual([2, 1]);
    expect(await ids({ before: 1 })).toEqual([]);
    expect(await ids({ after: 23 })).toEqual([24, 25]);
    expect(await ids({ since: 24 })).toEqual([25, 24]);
  }
});

test('the head of a page stands for every record of it', async () => {
  const { items, head } = await createAudit(store).page({ limit: 1 });
  expect(head).toEqual({ number: 25, hash: items[0]?.hash });
});
