import { BerthError } from '@berth/shared/domain/errors';
import { afterEach, expect, test } from 'vitest';
import { fakeApi } from './support/fake-api.ts';
import { tenant } from './support/long.ts';
import { run } from './support/run.ts';

const WHY = 'Pool prod runs only releases that are signed by ci-2026, and release 2 of shop is not.';
let fake: Awaited<ReturnType<typeof fakeApi>> | undefined;
afterEach(async () => {
  await fake?.close();
});

test('a change that is refused has its error alone; its plan says that it would be refused, and why', async () => {
  fake = await fakeApi({
    showTenant: () => tenant(),
    planTenant: () => ({
      tenant: 'globex',
      effect: 'new-generation',
      fromGeneration: 1,
      toGeneration: 2,
      changes: [{ path: 'services.web.environment.GREETING', before: null, after: 'x' }],
      warnings: [],
      steps: [],
      stepsFrom: 'unavailable',
      stepsMissing: { why: 'refused', message: WHY },
    }),
    changeTenant: () => {
      throw new BerthError('release_not_signed', WHY);
    },
  });
  const set = await run(fake.url, ['tenant', 'set', 'globex', '--var', 'GREETING=x']);
  expect(set).toMatchObject({ code: 1, out: '' });
  expect(set.err).toContain(WHY);
  expect(set.err).not.toContain('offline');
  const plan = await run(fake.url, ['tenant', 'plan', 'globex', '--var', 'GREETING=x']);
  expect(plan.code).toBe(0);
  expect(plan.out.replaceAll(/\s+/g, ' ')).toContain(`It would be refused: ${WHY}`);
  expect(plan.out).not.toContain('offline');
});
