import type { DesiredTenant } from '@berth/shared/domain/desired';
import { DEFAULT_EGRESS, egressText, unionOf, type Egress } from '@berth/shared/domain/egress';
import type { TenantNetwork } from '@berth/shared/domain/network';
import type { ObservedContainer, ObservedHost } from '@berth/shared/domain/observed';
import type { TenantStatus } from '@berth/shared/domain/status';
import type { Step } from '@berth/shared/domain/step';
import { isUp } from './containers.ts';
import type { TenantPlan } from './input.ts';

/**
 * Where a tenant may connect to now. An operator's word is all that counts. Otherwise its release says so; while two
 * generations run, both share the bridge, and what either of them may reach is allowed: the one that serves must not
 * lose its database because another is tried beside it.
 */
export function egressOf(
  desired: DesiredTenant,
  status: TenantStatus | undefined,
  containers: readonly ObservedContainer[],
): Egress {
  if (desired.egress !== undefined) return desired.egress;
  const own = desired.spec.egress ?? DEFAULT_EGRESS;
  // A tenant at rest has nothing but what is desired.
  if (status === undefined || (status.live === desired.generation && status.move.kind === 'idle')) return own;
  const running = new Set(
    containers.filter((each) => isUp(each) && each.role === 'colour').map((each) => each.generation),
  );
  if (status.live !== null) running.add(status.live);
  const others = status.known.filter(
    (each) => each.generation !== desired.generation && running.has(each.generation),
  );
  return unionOf([own, ...others.map((each) => each.spec.egress ?? DEFAULT_EGRESS)]);
}

/** The plan with the policy in it: where the network is made, or first of all when another one holds. */
export function withEgress(
  plan: TenantPlan,
  egress: Egress,
  { network, present }: { network: TenantNetwork; present: boolean },
  now: ObservedHost['egress'],
): TenantPlan {
  const holds = egressText(now?.get(network.bridge) ?? DEFAULT_EGRESS);
  const differs = now !== undefined && holds !== egressText(egress);
  const makes = plan.steps.some((step) => step.kind === 'network.ensure');
  if (!makes && !(present && differs)) return plan;
  const policy = egressText(egress) === DEFAULT_EGRESS ? {} : { egress };
  const steps = plan.steps.map((step): Step =>
    step.kind === 'network.ensure' ? { ...step, ...policy } : step,
  );
  if (makes) return { ...plan, steps };
  const ensure: Step = { kind: 'network.ensure', tenant: plan.tenant, network, ...policy };
  return { ...plan, steps: [ensure, ...steps] };
}
