import { RolloutPolicy } from '@berth/shared/domain/rollout';
import { parseWaves } from '@berth/shared/domain/waves-text';
import { COMPOSE, type TestServices } from './coordinator.ts';
import type { Names } from './fitting.ts';
import { BY } from './samples.ts';

/** One of two sides that must not see each other: an app, a pool with a host, a tenant, and a rollout that waits. */
export async function side(c: TestServices, app: string, tenant: string, pool: string): Promise<Names> {
  const compose = (text: string): string =>
    COMPOSE.replace('name: shop', `name: ${app}`).replace('hello', text);
  const host = await c.host(`host-of-${app}`, pool);
  for (const text of ['hello', 'ho'])
    await c.services.apps.apply(BY, app, { compose: compose(text), envFiles: {}, labels: {}, set: {} });
  const domains = [`${tenant}.example.com`];
  await c.services.tenants.create(BY, {
    tenant,
    app,
    domains,
    variables: {},
    pool,
    release: 1,
    tags: [],
  });
  const waves = parseWaves('100%');
  if (!waves.ok) throw new Error(waves.error);
  const policy = RolloutPolicy.parse({ waves: waves.waves, bakeMs: 5_000 });
  const { rollout } = await c.services.rollouts.start(BY, { app, to: 2, policy, whenBusy: 'refuse' });
  return { app, tenant, pool, host, rollout: String(rollout) };
}
