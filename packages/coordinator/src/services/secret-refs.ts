import type { DesiredTenant } from '@berth/shared/domain/desired';
import { BerthError } from '@berth/shared/domain/errors';
import { SecretRef } from '@berth/shared/domain/secret';
import type { TenantSpec } from '@berth/shared/domain/spec';
import { SEALING_FACT, sealingKeyOf } from '@berth/shared/secrets/sealed';
import type { HostView, VariableRecord } from './records.ts';
import type { StoreReads } from './store.ts';

/** The secrets among a tenant's rows, by name. */
export function secretRefsIn(rows: readonly VariableRecord[]): ReadonlyMap<string, SecretRef> {
  return new Map(
    rows.flatMap((row) =>
      row.scope === 'secret' ? [[row.name, SecretRef.parse(JSON.parse(row.value))] as const] : [],
    ),
  );
}

/** Every secret that a spec refers to. */
export function refsOf(spec: TenantSpec): SecretRef[] {
  return spec.services.flatMap((service) => [
    ...(service.secrets ?? []),
    ...Object.values(service.secretEnv ?? {}),
  ]);
}

/**
 * A host that is given a tenant with secrets must be one that they can be sealed to. Errors: `conflict` for one whose agent
 * has shown no key: an older one, or one that has never been here.
 */
export async function requireSealing(
  reads: Pick<StoreReads, 'host'>,
  hostId: string,
  desired: DesiredTenant,
): Promise<void> {
  if (refsOf(desired.spec).length === 0) return;
  const host = await reads.host(hostId);
  if (!canSeal(host)) refuseWithoutKey(host?.name ?? hostId, desired);
}

/** Of the hosts of these tenants those that secrets cannot be sealed to. */
export async function hostsWithoutKeys(
  reads: Pick<StoreReads, 'host'>,
  records: readonly { host: string }[],
): Promise<ReadonlySet<string>> {
  const unable = new Set<string>();
  for (const host of new Set(records.map((each) => each.host)))
    if (!canSeal(await reads.host(host))) unable.add(host);
  return unable;
}

/** Errors: `conflict` when the tenant needs a secret. */
export function refuseWithoutKey(host: string, desired: DesiredTenant): void {
  const [first] = refsOf(desired.spec);
  if (first === undefined) return;
  throw new BerthError(
    'conflict',
    `Tenant ${desired.tenant} needs the secret ${first.name}, and its host ${host} has shown no key to seal it to: its agent is older than secrets, or has not been connected yet. Update it, or choose another host.`,
  );
}

function canSeal(host: HostView | null): boolean {
  return host !== null && sealingKeyOf(host.facts[SEALING_FACT], host.host, host.publicKey) !== null;
}
