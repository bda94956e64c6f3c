import type { Rollout, RolloutTenant } from '@berth/shared/api/rollouts';
import { RolloutPolicy } from '@berth/shared/domain/rollout';
import { parseWaves } from '@berth/shared/domain/waves-text';
import type { z } from 'zod';
import type { Fleet } from './fleet.ts';

type Policy = Partial<Omit<z.input<typeof RolloutPolicy>, 'waves'>>;

/** Starts a rollout with waves as on the command line and, unless told otherwise, a short bake. */
export async function startRollout(
  fleet: Fleet,
  given: { app: string; to: number; waves: string; policy?: Policy },
): Promise<Rollout> {
  const parsed = parseWaves(given.waves);
  if (!parsed.ok) throw new Error(parsed.error);
  const policy = RolloutPolicy.parse({ bakeMs: 500, ...given.policy, waves: parsed.waves });
  return await fleet.api().startRollout({ body: { app: given.app, to: given.to, policy } });
}

/** Resolves when the rollout fits; asks again soon after each event and twice a second. */
export async function untilRollout(
  fleet: Fleet,
  what: string,
  rollout: number,
  fits: (now: Rollout) => boolean,
  timeoutMs = 60_000,
): Promise<Rollout> {
  const until = Date.now() + timeoutMs;
  let last: Rollout | null = null;
  for (;;) {
    last = await fleet
      .api()
      .showRollout({ params: { rollout } })
      .catch(() => last);
    if (last !== null && fits(last)) return last;
    if (Date.now() > until) break;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const tenants = await tenantsOf(fleet, rollout).catch(() => []);
  throw new Error(
    `waited in vain until rollout ${rollout} ${what}: ${JSON.stringify(last)}\n${JSON.stringify(tenants)}\n${fleet.logs()}`,
  );
}

export async function tenantsOf(fleet: Fleet, rollout: number): Promise<RolloutTenant[]> {
  return (await fleet.api().rolloutTenants({ params: { rollout }, query: { limit: 1000 } })).items;
}

/** The rollout's own events so far: `wave 1 moving`, `acme live`, `state paused`. */
export function storyOf(fleet: Fleet, rollout: number): string[] {
  return fleet.journal.events.flatMap((event) => {
    if (event.details['rollout'] !== rollout) return [];
    const kindOf = (key: string): string => {
      const value = event.details[key];
      return typeof value === 'object' && value !== null && 'kind' in value ? String(value.kind) : '?';
    };
    if (event.kind === 'rollout.wave') return [`wave ${Number(event.details['wave'])} ${kindOf('state')}`];
    if (event.kind === 'rollout.tenant') return [`${event.tenant} ${kindOf('progress')}`];
    if (event.kind === 'rollout.state') return [`state ${kindOf('state')}`];
    return [];
  });
}
