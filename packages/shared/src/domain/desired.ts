import { z } from 'zod';
import { AppName, Domain, TenantName } from './ids.ts';
import { digestOf } from './digest.ts';
import { Egress } from './egress.ts';
import { ReleaseSignature } from './signature.ts';
import { TenantSpec } from './spec.ts';

/** What the coordinator wants of one tenant on one host. A new generation is a new colour of its containers. */
export const DesiredTenant = z.strictObject({
  tenant: TenantName,
  app: AppName,
  release: z.int().min(1),
  /**
   * Grows whenever the containers must change (release, variables, restart); a number never means two things. It goes
   * back only to an earlier entry word for word, while the agent still has that generation: a rollout's return.
   */
  generation: z.int().min(1),
  state: z.enum(['running', 'paused']),
  domains: z.array(Domain),
  spec: TenantSpec,
  /** An operator's word on a release command whose outcome nobody knows; `key` is the step's. */
  decision: z
    .strictObject({ key: z.string().max(100), choice: z.enum(['succeeded', 'run-again']) })
    .optional(),
  /** Who signed what is to run; a host that requires it runs nothing without. */
  signature: ReleaseSignature.optional(),
  /** An operator's word on where it may connect to, over what its release says; it needs no new generation. */
  egress: Egress.optional(),
});
export type DesiredTenant = z.infer<typeof DesiredTenant>;

/** What a tenant's release command is for: it runs once for each; null when there is none to run. */
export function releaseKeyOf(desired: DesiredTenant): string | null {
  const wanted = desired.spec.release;
  const service = desired.spec.services.find((each) => each.name === wanted?.service);
  if (wanted === undefined || service === undefined) return null;
  return digestOf({ release: desired.release, image: service.image, command: wanted.command });
}

/**
 * The only thing that removes a tenant. `proposed`: the agent lists what it is about to stop and waits. `confirmed`: the
 * coordinator has seen that list and agreed. Volumes stay in either case.
 */
export const Tombstone = z.strictObject({
  tenant: TenantName,
  generation: z.int().min(1),
  state: z.enum(['proposed', 'confirmed']),
});
export type Tombstone = z.infer<typeof Tombstone>;

/** All of one host's desired state, as the agent keeps it. */
export const DesiredState = z.strictObject({
  epoch: z.int().min(0),
  revision: z.int().min(0),
  tenants: z.record(TenantName, DesiredTenant),
  tombstones: z.record(TenantName, Tombstone),
});
export type DesiredState = z.infer<typeof DesiredState>;

/** What is desired of a tenant; undefined: nothing. One may be called `constructor`: what every object has is no entry. */
export function wantedIn(state: Pick<DesiredState, 'tenants'>, tenant: string): DesiredTenant | undefined {
  return Object.hasOwn(state.tenants, tenant) ? state.tenants[tenant] : undefined;
}

/** The order to remove a tenant; undefined: there is none. */
export function tombstoneIn(state: Pick<DesiredState, 'tombstones'>, tenant: string): Tombstone | undefined {
  return Object.hasOwn(state.tombstones, tenant) ? state.tombstones[tenant] : undefined;
}

export const EMPTY_DIGEST = '0'.repeat(64);

/** SHA-256 of one entry of a host's desired state. */
export function entryDigest(entry: DesiredTenant | Tombstone): string {
  return digestOf(entry);
}

/**
 * Adds or takes away one entry's digest from a host's digest (XOR, so that order does not matter and a one-tenant change
 * costs one hash however many tenants the host has). It finds lost or torn entries; it is no defence against forgery.
 */
export function toggleDigest(hostDigest: string, entry: string): string {
  return (BigInt(`0x${hostDigest}`) ^ BigInt(`0x${entry}`)).toString(16).padStart(64, '0');
}

/** The digest of a host's whole desired state. */
export function stateDigest(state: Pick<DesiredState, 'tenants' | 'tombstones'>): string {
  let digest = EMPTY_DIGEST;
  for (const tenant of Object.values(state.tenants)) digest = toggleDigest(digest, entryDigest(tenant));
  for (const tombstone of Object.values(state.tombstones))
    digest = toggleDigest(digest, entryDigest(tombstone));
  return digest;
}
