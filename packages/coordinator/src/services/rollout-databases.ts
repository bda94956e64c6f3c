import type { BerthError } from '@berth/shared/domain/errors';
import { DATABASE_VARIABLE } from '@berth/shared/domain/database';
import type { Decision } from '../rollout/types.ts';
import { isAddress, isProvided, withAddressStandIn, type WantedDatabase } from './database-look.ts';
import type { DatabaseProvision } from './database-provision.ts';
import type { Actor, VariableRecord } from './records.ts';
import type { RolloutRecord } from './rollout-store.ts';
import { secretRefsIn } from './secret-refs.ts';
import type { Store } from './store.ts';
import { renderRows } from './tenant-state.ts';
import type { TemplateCache } from './templates.ts';

/**
 * Before tenants begin: makes the databases that the rollout's release is the first to ask for. Answers who cannot have one,
 * and why. Who has what is asked for is only looked at.
 */
export async function makeDatabases(
  deps: { store: Store; cache: TemplateCache; databases?: DatabaseProvision | undefined },
  by: Actor,
  { app, to }: RolloutRecord,
  decisions: readonly Decision[],
): Promise<ReadonlyMap<string, BerthError> | undefined> {
  const { store, cache, databases } = deps;
  const names = decisions.flatMap((each) => (each.kind === 'begin' ? [each.tenant] : []));
  if (databases === undefined || names.length === 0) return undefined;
  const release = await store.release(app, to);
  if (release === null || cache.of(release).database !== 'managed') return undefined;
  const template = cache.of(release);
  const present = new Map((await store.tenantDatabasesNamed(names)).map((each) => [each.tenant, each]));
  const secrets = await store.secretsOfTenants(names);
  const wanted: WantedDatabase[] = [];
  for (const record of await store.tenantsNamed(names)) {
    const rows: VariableRecord[] = await store.variables(record);
    let wish;
    try {
      const moved = { ...record, release: to };
      wish = renderRows(moved, release, template, withAddressStandIn(rows)).desired.spec.database;
    } catch {
      // Where it does not work out, that is told when it begins.
      continue;
    }
    const address = secretRefsIn((secrets.get(record.tenant) ?? []).filter(isAddress)).get(DATABASE_VARIABLE);
    if (wish?.kind === 'managed' && !isProvided(present.get(record.tenant), address, wish))
      wanted.push({ tenant: record.tenant, app, pool: record.pool, wish, left: 'refuse' });
  }
  return wanted.length === 0 ? undefined : await databases.ensureAll(by, wanted);
}
