import { sql, type RawBuilder } from 'kysely';
import { isEverything, type AccessScope } from '@berth/shared/domain/access';

/** Where a table says which app, pool and tenant a row belongs to; null where it does not. */
export interface ScopeColumns {
  app?: string;
  pool?: string;
  tenant?: string;
}

/** The condition that a row is in a scope; null when everything is. */
export function inScope(
  scope: AccessScope | undefined,
  { app, pool, tenant }: ScopeColumns,
): RawBuilder<boolean> | null {
  if (scope === undefined || isEverything(scope)) return null;
  return anyOf([among(app, scope.apps), among(pool, scope.pools), among(tenant, scope.tenants)]);
}

/**
 * The same of events, which name no pool: a pool's are those of its hosts and of the tenants that are in it.
 */
export function eventInScope(scope: AccessScope | undefined): RawBuilder<boolean> | null {
  if (scope === undefined || isEverything(scope)) return null;
  const pools =
    scope.pools.length === 0
      ? null
      : sql<boolean>`(events.host in (select host from hosts where ${among('hosts.pool', scope.pools)})
          or events.tenant in (select tenant from tenants where ${among('tenants.pool', scope.pools)}))`;
  return anyOf([among('events.app', scope.apps), pools, among('events.tenant', scope.tenants)]);
}

function among(column: string | undefined, names: readonly string[]): RawBuilder<boolean> | null {
  if (column === undefined || names.length === 0) return null;
  return sql<boolean>`${sql.ref(column)} in (${sql.join([...names])})`;
}

/** Nothing is in a scope that names nothing of this kind. */
function anyOf(conditions: readonly (RawBuilder<boolean> | null)[]): RawBuilder<boolean> {
  const given = conditions.filter((each) => each !== null);
  if (given.length === 0) return sql<boolean>`1 = 0`;
  return sql<boolean>`(${sql.join(given, sql` or `)})`;
}
