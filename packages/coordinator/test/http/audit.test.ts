import { afterEach, beforeEach, expect, test } from 'vitest';
import { createClient } from '@berth/shared/api/client';
import { chainHash } from '@berth/shared/domain/audit';
import { COMPOSE, testCoordinator, type TestCoordinator } from '../support/coordinator.ts';

let c: TestCoordinator;
beforeEach(async () => {
  c = await testCoordinator();
});
afterEach(async () => {
  await c.close();
});

test('records are found by who, what, of what and when, and come with what their chain is made of', async () => {
  const admin = await c.client();
  const made = await admin.createToken({ body: { name: 'ci of shop', role: 'operator' } });
  const ci = createClient({ url: c.url, token: made.token });
  c.clock.time += 1_000;
  for (const app of ['shop', 'blog'])
    await ci.applyApp({ params: { app }, body: { compose: COMPOSE.replace('name: shop', `name: ${app}`) } });
  const found = async (query: object) =>
    (await admin.listAudit({ query })).items.map(({ action, subject }) => `${action} ${subject}`);
  expect(await found({ by: 'ci of shop' })).toEqual(['app.created blog', 'app.created shop']);
  expect(await found({ by: made.id, subject: 'blog' })).toEqual(['app.created blog']);
  expect(await found({ action: 'app', since: c.clock.time + 1 })).toEqual([]);
  expect(await found({ by: "' or 1=1 --" })).toEqual([]);

  const { items, head } = await admin.listAudit({ query: { after: 0 } });
  const [first, second] = items;
  if (first === undefined || second === undefined) throw new Error('there are records');
  expect(second.hash).toBe(chainHash(first.hash, second));
  expect(head).toEqual({ number: items.length, hash: items.at(-1)?.hash });
});

test('what no record can have is refused in a sentence', async () => {
  const admin = await c.client();
  const wrong: [object, RegExp][] = [
    [{ by: 'a\0b' }, /by: must not contain a NUL/],
    [{ subject: '' }, /subject: /],
    [{ subject: 'x'.repeat(254) }, /subject: /],
    [{ since: -1 }, /since: /],
    [{ after: 1.5 }, /after: /],
    [{ before: 0 }, /before: /],
    [{ limit: 1001 }, /limit: /],
  ];
  for (const [query, message] of wrong) {
    const call = admin.listAudit({ query });
    await expect(call, JSON.stringify(query)).rejects.toMatchObject({ code: 'invalid_request' });
    await expect(call).rejects.toThrow(message);
  }
});
