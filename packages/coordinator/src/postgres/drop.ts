import { BerthError } from '@berth/shared/domain/errors';
import type { ServerAddress } from '../services/database-address.ts';
import type { DatabasePlan } from '../services/postgres.ts';
import { connect, type Connected } from './client.ts';
import { alone, noteOf, noteOfRole, quoted } from './provision.ts';
import { refused } from './trouble.ts';

/**
 * Takes a tenant's data and role away for good. A role that is not ours is left alone, and so is what it owns: `conflict`.
 * Cut off anywhere, it can be done again.
 */
export async function drop(
  server: string,
  address: ServerAddress,
  admin: Connected,
  plan: Omit<DatabasePlan, 'password' | 'connections'>,
): Promise<void> {
  try {
    await alone(admin, async () => {
      const note = await noteOfRole(admin, plan.role);
      if (note === undefined) return;
      if (note !== noteOf(plan))
        throw new BerthError(
          'conflict',
          `Database server ${server}: the role ${plan.role} is not the one that this coordinator made, so nothing was removed.`,
          { details: { server } },
        );
      // It comes back to nothing while its things go.
      await admin.query(`alter role ${quoted(plan.role)} with nologin`);
      await admin.query(
        'select pg_terminate_backend(pid) from pg_stat_activity where usename = $1 and pid <> pg_backend_pid()',
        [plan.role],
      );
      if (plan.schema === null)
        await admin.query(`drop database if exists ${quoted(plan.database)} with (force)`);
      else await emptied(server, address, admin, plan);
      await admin.query(`drop role ${quoted(plan.role)}`);
    });
  } catch (thrown) {
    throw refused(server, `remove the database of tenant ${plan.tenant}`, thrown);
  }
}

/** All that the role owns or may do in the app's database, its schema with it. */
async function emptied(
  server: string,
  address: ServerAddress,
  admin: Connected,
  { role, database }: Pick<DatabasePlan, 'role' | 'database'>,
): Promise<void> {
  const [present] = await admin.query('select 1 from pg_database where datname = $1', [database]);
  if (present === undefined) return;
  const inside = await connect(server, address, database);
  try {
    await inside.query(`drop owned by ${quoted(role)} cascade`);
  } finally {
    await inside.close();
  }
}
