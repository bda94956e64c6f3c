import type { SetVariables } from '@berth/shared/api/releases';
import type { Mutation, StoreReads, StoreWrites } from './store.ts';
import { checkNames } from './variables.ts';

interface Shared {
  result: 'changed' | 'unchanged';
  variables: Record<string, string>;
}

/**
 * Changes what the tenants of an app or of a pool share. Nothing is rendered anew: each tenant takes it up with its next
 * change. The caller has seen that the owner is there.
 */
export async function changeShared(
  tx: StoreWrites,
  given: { scope: 'app' | 'pool'; owner: string; change: SetVariables['variables']; at: number },
): Promise<Mutation<Shared>> {
  const { scope, owner, change, at } = given;
  checkNames(Object.keys(change));
  const set: string[] = [];
  for (const [name, value] of Object.entries(change))
    if (await tx.setVariable(scope, owner, name, value, at)) set.push(name);
  const variables = await sharedBy(tx, scope, owner);
  if (set.length === 0) return { result: { result: 'unchanged', variables }, audit: null };
  return {
    result: { result: 'changed', variables },
    // Values may be private; the audit names what was set, not to what.
    audit: { action: `${scope}.variables`, subject: owner, before: null, after: { variables: set.sort() } },
  };
}

/** All variables of one app or pool. */
export async function sharedBy(
  reads: StoreReads,
  scope: 'app' | 'pool',
  owner: string,
): Promise<Record<string, string>> {
  return (await reads.sharedVariables(scope, [owner])).get(owner) ?? {};
}
