import { randomBytes } from 'node:crypto';
import { BerthError } from '@berth/shared/domain/errors';
import type { ServerAddress } from '../services/database-address.ts';
import type { DatabasePlan } from '../services/postgres.ts';
import { connect, type Connected } from './client.ts';
import { rightsOf, type AdminRights } from './facts.ts';
import { scramVerifier } from './scram.ts';
import { refused } from './trouble.ts';

/** Who makes things takes this first, in the database that the address names. Any number that Berth uses for nothing else. */
const MAKING_LOCK = 7_112_020;

export const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;
/** None of our texts has a backslash. */
const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`;

export const noteOf = (plan: Pick<DatabasePlan, 'tenant' | 'app' | 'mark'>): string =>
  `Berth: tenant ${plan.tenant} of app ${plan.app} (${plan.mark})`;
const appNote = (app: string): string => `Berth: schemas of the tenants of app ${app}`;

/** Runs work that no other coordinator does at the same time on this server. */
export async function alone<T>(admin: Connected, work: () => Promise<T>): Promise<T> {
  await admin.query('select pg_advisory_lock($1)', [MAKING_LOCK]);
  try {
    return await work();
  } finally {
    // With a connection that is gone, so is the lock.
    await admin.query('select pg_advisory_unlock($1)', [MAKING_LOCK]).catch(() => undefined);
  }
}

/**
 * Makes a role and its database, or its schema in the app's database. Nobody else is let in at any moment: a database takes
 * no connections before the right to connect is taken from everybody. Each step looks at what is there, so that it may be
 * cut off anywhere and done again. Errors: `conflict` for something of this name that is not ours.
 */
export async function provision(
  server: string,
  address: ServerAddress,
  admin: Connected,
  plan: DatabasePlan,
): Promise<void> {
  try {
    const rights = await rightsOf(server, admin);
    await alone(admin, async () => {
      await makeRole(server, admin, plan);
      // To own things in its name one must be a member; whoever may do all need not.
      if (rights.rank === 'maker') await admin.query(`grant ${quoted(plan.role)} to current_user`);
      if (plan.schema === null) {
        await makeDatabase(server, admin, rights, plan.database, plan.role, noteOf(plan), 'owner');
        return;
      }
      await makeDatabase(server, admin, rights, plan.database, rights.user, appNote(plan.app), 'note');
      await admin.query(
        `grant connect, temporary on database ${quoted(plan.database)} to ${quoted(plan.role)}`,
      );
      await makeSchema(server, address, { ...plan, schema: plan.schema });
    });
  } catch (thrown) {
    throw refused(server, `make the database of tenant ${plan.tenant}`, thrown);
  }
}

async function makeRole(server: string, admin: Connected, plan: DatabasePlan): Promise<void> {
  const role = quoted(plan.role);
  const verifier = literal(scramVerifier(plan.password, randomBytes(16)));
  // From PostgreSQL 15 on the rights on the schema public come to a database's owner by inheritance, and by nothing else.
  const inherits = plan.schema === null ? 'inherit' : 'noinherit';
  const limit = `${inherits} connection limit ${plan.connections} password ${verifier}`;
  const present = await noteOfRole(admin, plan.role);
  if (present === undefined) {
    // Together, so that there is never a role of which nobody knows whose it is.
    await admin.query('begin');
    try {
      await admin.query(
        `create role ${role} with login nosuperuser nocreatedb nocreaterole noreplication nobypassrls ${limit}`,
      );
      await admin.query(`comment on role ${role} is ${literal(noteOf(plan))}`);
      await admin.query('commit');
    } catch (thrown) {
      await admin.query('rollback').catch(() => undefined);
      throw thrown;
    }
    return;
  }
  if (present !== noteOf(plan)) throw notOurs(server, `a role ${plan.role}`, plan.tenant);
  await admin.query(`alter role ${role} with login ${limit}`);
}

/** The comment of a role, null without one; undefined: there is no such role. */
export async function noteOfRole(admin: Connected, role: string): Promise<string | null | undefined> {
  const [found] = await admin.query<{ note: string | null }>(
    `select shobj_description(oid, 'pg_authid') as note from pg_roles where rolname = $1`,
    [role],
  );
  return found?.note ?? (found === undefined ? undefined : null);
}

async function makeDatabase(
  server: string,
  admin: Connected,
  { user, rank }: AdminRights,
  name: string,
  owner: string,
  note: string,
  proof: 'owner' | 'note',
): Promise<void> {
  const database = quoted(name);
  const look = async () =>
    (
      await admin.query<{ owner: string; datallowconn: boolean; note: string | null }>(
        `select pg_get_userbyid(datdba) as owner, datallowconn, shobj_description(oid, 'pg_database') as note
         from pg_database where datname = $1`,
        [name],
      )
    )[0];
  let found = await look();
  if (found === undefined) {
    await admin.query(
      `create database ${database} owner ${quoted(owner)} template template0 allow_connections false`,
    );
    found = await look();
  } else {
    // What a tenant owns it may call what it likes; an app's has no note only until it takes connections.
    const begun = found.owner === owner && found.note === null && !found.datallowconn;
    const ours = proof === 'owner' ? found.owner === owner : found.note === note || begun;
    if (!ours) throw notOurs(server, `a database ${name}`, null);
  }
  if (found?.note !== note) await admin.query(`comment on database ${database} is ${literal(note)}`);
  await admin.query(`revoke all on database ${database} from public`);
  if (rank === 'maker') await admin.query(`grant connect on database ${database} to ${quoted(user)}`);
  if (found?.datallowconn !== true)
    await admin.query(`alter database ${database} with allow_connections true`);
}

async function makeSchema(
  server: string,
  address: ServerAddress,
  { role, database, schema, tenant }: DatabasePlan & { schema: string },
): Promise<void> {
  const inside = await connect(server, address, database);
  try {
    await inside.query('revoke all on schema public from public');
    const [found] = await inside.query<{ owner: string }>(
      'select pg_get_userbyid(nspowner) as owner from pg_namespace where nspname = $1',
      [schema],
    );
    if (found === undefined)
      await inside.query(`create schema ${quoted(schema)} authorization ${quoted(role)}`);
    else if (found.owner !== role) throw notOurs(server, `a schema ${schema} in ${database}`, tenant);
    await inside.query(
      `alter role ${quoted(role)} in database ${quoted(database)} set search_path = ${quoted(schema)}`,
    );
    const [rights] = await inside.query<{ makes: boolean }>(
      `select has_schema_privilege($1, 'public', 'CREATE') or has_database_privilege($1, $2, 'CREATE') as makes`,
      [role, database],
    );
    if (rights?.makes !== false)
      throw new BerthError(
        'conflict',
        `Database server ${server}: every role may write to the schema public of ${database}, and the user of its address cannot change that. On the server, in that database: REVOKE ALL ON SCHEMA public FROM PUBLIC;`,
        { details: { server } },
      );
  } finally {
    await inside.close();
  }
}

function notOurs(server: string, what: string, tenant: string | null): BerthError {
  return new BerthError(
    'conflict',
    `Database server ${server} has ${what} already, and this coordinator did not make it: another Berth may use the server, or this one was restored from an older backup. Rename or remove it there${tenant === null ? '' : `, or name the tenant otherwise`}.`,
    { details: { server } },
  );
}
