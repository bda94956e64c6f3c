import { afterEach, beforeEach, expect, test } from 'vitest';
import { AwsRule } from '@berth/shared/api/enrolment';
import { fakeApi } from './support/fake-api.ts';
import { run } from './support/run.ts';

const HOST = 'h_0123456789abcdef';
const RULE = AwsRule.parse({
  account: '123456789012',
  regions: ['eu-central-1'],
  roles: ['berth-host'],
  images: ['ami-0123456789abcdef0'],
  tags: { env: 'prod' },
  maxAgeMs: 3_600_000,
});

let fake: Awaited<ReturnType<typeof fakeApi>>;
beforeEach(async () => {
  fake = await fakeApi({
    showPool: () => ({ pool: 'prod', hosts: 0, tenants: 0, variables: {}, join: { aws: RULE } }),
    setPoolJoin: () => ({ pool: 'prod', aws: RULE, result: 'changed' }),
    showHost: () => ({
      host: HOST,
      name: 'web-1',
      pool: 'prod',
      scheduling: 'open',
      connection: 'offline',
      lastSeenAt: null,
      agentVersion: null,
      tenants: 0,
      capacity: { memoryBytes: 1, cpus: 1 },
      reserved: { memoryBytes: 0, cpus: 0 },
      revision: 0,
      ackedRevision: 0,
      ingress: null,
      facts: {},
      report: null,
      instance: 'i-0123456789abcdef0',
      createdAt: 1,
    }),
    reenrolHost: () => ({ host: HOST, instance: 'i-0123456789abcdef0', until: 900_000 }),
  });
});
afterEach(async () => {
  await fake.close();
});
const berth = (line: string) => run(fake.url, line.split(' '));

const FITS = '--aws-account 123456789012 --region eu-central-1 --role berth-host';

test('pool join says who may join, and pool show shows it', async () => {
  const { code, out } = await berth(
    `pool join prod ${FITS} --image ami-0123456789abcdef0 --tag env=prod --max-age 1h`,
  );
  expect(code).toBe(0);
  expect(out).toContain('by itself, an instance of AWS that fits');
  expect(fake.askedOf('setPoolJoin')).toEqual([{ params: { pool: 'prod' }, query: {}, body: { aws: RULE } }]);
  const shown = (await berth('pool show prod')).out;
  for (const part of ['123456789012', 'eu-central-1', 'berth-host', 'ami-0123456789abcdef0', 'env=prod'])
    expect(shown).toContain(part);
});

test('pool join --none takes the rule away', async () => {
  await berth('pool join prod --none');
  expect(fake.askedOf('setPoolJoin')).toMatchObject([{ body: { aws: null } }]);
});

test('pool join without account, region or role, or with half a tag, asks nothing', async () => {
  for (const line of [
    'pool join prod',
    'pool join prod --aws-account 123456789012',
    `pool join prod ${FITS} --tag env`,
    `pool join prod ${FITS} --none`,
    `pool join prod ${FITS} --max-age soon`,
  ])
    expect(await berth(line), line).toMatchObject({ code: 2 });
  expect(fake.calls).toEqual([]);
});

test('host reenrol opens the window for one instance, and host show names it', async () => {
  const { code, out } = await berth(`host reenrol ${HOST} -y`);
  expect(code).toBe(0);
  expect(out).toContain('i-0123456789abcdef0 may bind a new key as host web-1 until');
  expect(fake.askedOf('reenrolHost')).toMatchObject([{ params: { host: HOST } }]);
  expect((await berth(`host show ${HOST}`)).out).toContain('i-0123456789abcdef0');
});
