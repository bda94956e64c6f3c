import { afterEach, beforeEach, expect, test } from 'vitest';
import { fakeApi } from './support/fake-api.ts';
import { run } from './support/run.ts';

let fake: Awaited<ReturnType<typeof fakeApi>>;
beforeEach(async () => {
  const variables = { REGION: 'eu-central-1' };
  fake = await fakeApi({
    listPools: () => ({
      items: [{ pool: 'eu-1', hosts: 2, tenants: 40, variables: ['REGION'] }],
      next: null,
    }),
    showPool: () => ({ pool: 'eu-1', hosts: 2, tenants: 40, variables }),
    setPool: () => ({ pool: 'eu-1', result: 'changed', variables }),
  });
});
afterEach(async () => {
  await fake.close();
});
const berth = (line: string) => run(fake.url, line.split(' '));

test('pool list and show say who is in a pool and what its tenants share', async () => {
  expect((await berth('pool list')).out).toBe(
    'POOL  HOSTS  TENANTS  VARIABLES\neu-1  2      40       REGION\n',
  );
  expect((await berth('pool show eu-1')).out).toBe(
    'pool     eu-1\nhosts    2\ntenants  40\n\nNAME    VALUE\nREGION  "eu-central-1"\n',
  );
  expect(JSON.parse((await berth('pool show eu-1 --json')).out)).toMatchObject({
    variables: { REGION: 'eu-central-1' },
  });
});

test('pool set sets and takes away, and says that nothing is deployed by it', async () => {
  const { code, out } = await berth('pool set eu-1 --var REGION=eu-central-1 --unset ZONE');
  expect(code).toBe(0);
  expect(out).toBe(
    'NAME    VALUE\nREGION  "eu-central-1"\nNothing is deployed by this: each tenant takes it up with its next change.\n',
  );
  expect(fake.askedOf('setPool')).toEqual([
    { params: { pool: 'eu-1' }, query: {}, body: { variables: { REGION: 'eu-central-1', ZONE: null } } },
  ]);
});

test('pool set without a change, or with what is no variable, asks nothing', async () => {
  expect(await berth('pool set eu-1')).toMatchObject({ code: 2 });
  expect(await berth('pool set eu-1 --unset a-b')).toMatchObject({ code: 2 });
  expect(fake.calls).toEqual([]);
});
