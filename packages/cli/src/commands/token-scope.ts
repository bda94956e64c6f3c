import type { AccessScope } from '@berth/shared/domain/access';
import { BerthError } from '@berth/shared/domain/errors';
import type { Context } from '../context.ts';

/**
 * What a token's scope names and nobody has made yet, as `app shop`: allowed, since a token may be made first, and more
 * often a slip of the hand. Where the coordinator does not say, nothing is said: the token is there already.
 */
export async function unknownIn(context: Context, scope: AccessScope): Promise<string[]> {
  const api = context.api();
  const { signal } = context;
  const looks: [string, () => Promise<unknown>][] = [
    ...scope.apps.map((app): [string, () => Promise<unknown>] => [
      `app ${app}`,
      () => api.showApp({ params: { app } }, signal),
    ]),
    ...scope.pools.map((pool): [string, () => Promise<unknown>] => [
      `pool ${pool}`,
      () => api.showPool({ params: { pool } }, signal),
    ]),
    ...scope.tenants.map((tenant): [string, () => Promise<unknown>] => [
      `tenant ${tenant}`,
      () => api.showTenant({ params: { tenant } }, signal),
    ]),
  ];
  const unknown: string[] = [];
  for (const [name, look] of looks) {
    try {
      await look();
    } catch (thrown) {
      if (!(thrown instanceof BerthError)) throw thrown;
      if (thrown.code === 'not_found') unknown.push(name);
    }
  }
  return unknown;
}
