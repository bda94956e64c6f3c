import { afterEach, beforeEach, expect, test } from 'vitest';
import { fakeApi } from './support/fake-api.ts';
import { run } from './support/run.ts';

const record = (id: number, actor: string) => ({
  id,
  at: Date.UTC(2026, 10, 20, 6, 49, id),
  actor,
  action: 'tenant.changed',
  subject: 'acme',
  requestId: 'r',
  before: null,
  after: null,
});
let fake: Awaited<ReturnType<typeof fakeApi>>;
beforeEach(async () => {
  const items = [record(2, 'token:t_andtmh1qitdm ci\u001b[2J'), record(1, 'rollout:7')];
  fake = await fakeApi({ listAudit: () => ({ items }) });
});
afterEach(async () => {
  await fake.close();
});

test('audit names the token that somebody came with; its id is in the JSON', async () => {
  const { out } = await run(fake.url, ['audit']);
  expect(out).toBe(
    [
      'ID  WHEN                 WHO                 WHAT            SUBJECT',
      '2   2026-11-20 06:49:02  ci                  tenant.changed  acme',
      '1   2026-11-20 06:49:01  rollout 7 (system)  tenant.changed  acme\n',
    ].join('\n'),
  );
  expect((await run(fake.url, ['audit', '--json'])).out).toContain('token:t_andtmh1qitdm ci');
});
