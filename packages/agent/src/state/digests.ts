import {
  EMPTY_DIGEST,
  entryDigest,
  toggleDigest,
  type DesiredState,
  type DesiredTenant,
  type Tombstone,
} from '@berth/shared/domain/desired';

/** Entries are never changed in place, so each is hashed once in its life. */
const known = new WeakMap<DesiredTenant | Tombstone, string>();

/** SHA-256 of one entry, remembered. */
export function digestOfEntry(entry: DesiredTenant | Tombstone): string {
  const before = known.get(entry);
  if (before !== undefined) return before;
  const digest = entryDigest(entry);
  known.set(entry, digest);
  return digest;
}

/** The same as `stateDigest`, but a one-tenant change costs one hash however many tenants there are. */
export function digestOfState(state: Pick<DesiredState, 'tenants' | 'tombstones'>): string {
  let digest = EMPTY_DIGEST;
  for (const tenant of Object.values(state.tenants)) digest = toggleDigest(digest, digestOfEntry(tenant));
  for (const tombstone of Object.values(state.tombstones))
    digest = toggleDigest(digest, digestOfEntry(tombstone));
  return digest;
}
