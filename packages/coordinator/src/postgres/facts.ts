import { BerthError } from '@berth/shared/domain/errors';
import type { ServerFacts } from '../services/postgres.ts';
import type { Connected } from './client.ts';

/** The oldest that its makers still mend. */
const OLDEST = 13;

export interface AdminRights {
  user: string;
  /** May do all, and need not be a member of a role to own things in its name. */
  rank: 'superuser' | 'maker';
  /** The server's version, such as 150008. */
  number: number;
}

/** Who we are at the server. Errors: `conflict` when that is not enough to make databases and roles. */
export async function rightsOf(server: string, admin: Connected): Promise<AdminRights & { version: string }> {
  const [row] = await admin.query<{
    version: string;
    number: number;
    user: string;
    rolsuper: boolean;
    rolcreatedb: boolean;
    rolcreaterole: boolean;
    standby: boolean;
  }>(
    `select current_setting('server_version') as version, current_setting('server_version_num')::int as number,
       rolname as user, rolsuper, rolcreatedb, rolcreaterole, pg_is_in_recovery() as standby
     from pg_roles where rolname = current_user`,
  );
  if (row === undefined)
    throw new BerthError('conflict', `Database server ${server} does not say who is asking.`);
  const { number, user } = row;
  // Debian and others write the name of their package behind it.
  const version = row.version.split(' ')[0] ?? row.version;
  const fail = (why: string): never => {
    throw new BerthError('conflict', `Database server ${server}: ${why}`, { details: { server, version } });
  };
  if (number < OLDEST * 10_000) fail(`it is PostgreSQL ${version}; Berth needs ${OLDEST} or newer.`);
  if (row.standby) fail('it is a standby, which can only be read from; give the address of the primary.');
  const lacks = [...(row.rolcreatedb ? [] : ['CREATEDB']), ...(row.rolcreaterole ? [] : ['CREATEROLE'])];
  if (!row.rolsuper && lacks.length > 0)
    fail(
      `its user ${user} may not make ${lacks.length === 2 ? 'databases and roles' : lacks[0] === 'CREATEDB' ? 'databases' : 'roles'}. On the server: ALTER ROLE "${user}" ${lacks.join(' ')};`,
    );
  return { version, number, user, rank: row.rolsuper ? 'superuser' : 'maker' };
}

export async function factsOf(server: string, admin: Connected): Promise<ServerFacts> {
  const { version } = await rightsOf(server, admin);
  const [count] = await admin.query<{ most: number; used: number }>(
    `select current_setting('max_connections')::int as most,
       (select count(*)::int from pg_stat_activity where backend_type = 'client backend') as used`,
  );
  const open = await admin.query<{ datname: string }>(
    `select datname from pg_database
     where datallowconn and has_database_privilege('public', oid, 'CONNECT') order by datname`,
  );
  return {
    version,
    tls: admin.tls,
    connections: { most: count?.most ?? 0, used: count?.used ?? 0 },
    open: open.map(({ datname }) => datname),
  };
}
