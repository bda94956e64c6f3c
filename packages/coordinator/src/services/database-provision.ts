import { DATABASE_VARIABLE } from '@berth/shared/domain/database';
import { BerthError } from '@berth/shared/domain/errors';
import type { ServiceContext } from './context.ts';
import { passwordOf, tenantAddress } from './database-address.ts';
import { isProvided, refuseForeignAddress, type WantedDatabase } from './database-look.ts';
import { databaseNames } from './database-names.ts';
import { openServer, serverFor } from './database-servers.ts';
import type { DatabaseServerRecord, TenantDatabaseRecord } from './database-store.ts';
import type { Actor } from './records.ts';
import { vaultOf } from './secret-keys.ts';
import type { PostgresSession } from './postgres.ts';
import { insertAll, sealAll } from './secrets.ts';
import { requireApply } from './tenant-state.ts';

type Deps = Pick<ServiceContext, 'store' | 'vault' | 'clock' | 'random' | 'postgres'>;

/** Makes tenants' databases. */
export interface DatabaseProvision {
  /**
   * Sees to it that the tenant has what is wished for, and its address among its secrets. The tenant need not be there yet.
   * It may be cut off anywhere: done again, it goes on with the same role, password and database. Errors: `conflict`,
   * `unavailable`, `secret_unavailable`; what was begun then waits to be gone on with.
   */
  ensure(by: Actor, wanted: WantedDatabase): Promise<void>;
  /** The same for many; why it could not be done, by tenant. A server that does not answer is asked once. */
  ensureAll(by: Actor, wanted: readonly WantedDatabase[]): Promise<ReadonlyMap<string, BerthError>>;
}

const TRIES = 5;
const MADE = 'tenant-database.made';
const CHANGED = 'tenant-database.changed';
/** A tenant of a name that was deleted has what that one left. */
const TAKEN_UP = 'tenant-database.taken-up';

export function createDatabaseProvision(deps: Deps): DatabaseProvision {
  const { store, clock, random } = deps;

  return {
    async ensure(by, wanted) {
      const session = sessions(deps);
      try {
        await ensureOne(by, wanted, session);
      } finally {
        await session.close();
      }
    },
    async ensureAll(by, all) {
      const failed = new Map<string, BerthError>();
      const session = sessions(deps);
      try {
        for (const wanted of all) {
          try {
            await ensureOne(by, wanted, session);
          } catch (thrown) {
            if (!(thrown instanceof BerthError)) throw thrown;
            failed.set(wanted.tenant, thrown);
          }
        }
      } finally {
        await session.close();
      }
      return failed;
    },
  };

  async function ensureOne(by: Actor, wanted: WantedDatabase, session: Sessions): Promise<void> {
    await requireApply(store);
    const { tenant, wish } = wanted;
    const present = await store.tenantDatabase(tenant);
    const [address] = (await store.secretsOf(tenant)).filter(({ name }) => name === DATABASE_VARIABLE);
    if (isProvided(present, address, wish)) return;
    refuseOther(wanted, present);
    if (present?.state === 'ready' && address === undefined) await requireWord(wanted, present);
    const server = await serverFor(store, wanted, present);
    // Before anything is written down: a server that is away leaves nothing behind.
    const admin = await session.of(server);
    const { record, password } = await begun(by, wanted, server);
    const { role, database, schema, mark, app } = record;
    const plan = { role, database, schema, mark, app, tenant, password, connections: wish.connections };
    await admin.provision(plan);
    await store.mutate(by, clock.now(), async (tx) => {
      const now = await tx.tenantDatabase(tenant);
      // Somebody else was as fast: both have done the same.
      if (now === null || (now.state === 'ready' && now.connections === wish.connections))
        return { result: null, audit: null };
      const after: TenantDatabaseRecord = { ...now, state: 'ready', connections: wish.connections };
      await tx.putTenantDatabase(after);
      return {
        result: null,
        audit: {
          action: present?.state !== 'ready' ? MADE : address === undefined ? TAKEN_UP : CHANGED,
          subject: tenant,
          before: present?.state === 'ready' ? audited(present) : null,
          after: audited(after),
        },
      };
    });
  }

  /** Errors: `conflict` for a new tenant of which nobody said that it gets what a deleted one left. */
  async function requireWord({ tenant, left }: WantedDatabase, present: TenantDatabaseRecord): Promise<void> {
    if (left === 'take-up' || (await store.tenant(tenant)) !== null) return;
    throw new BerthError(
      'conflict',
      `A tenant ${tenant} was deleted, and its data are kept in ${present.schema ?? present.database} on server ${present.server}. To go on with them add --take-up-database; else name the new tenant otherwise, or have an administrator delete them: berth database drop-tenant ${tenant}`,
      { details: { tenant, server: present.server } },
    );
  }

  /** Writes down what is to be made, and its password, sealed, before anything is made. */
  async function begun(
    by: Actor,
    wanted: WantedDatabase,
    server: DatabaseServerRecord,
  ): Promise<{ record: TenantDatabaseRecord; password: string }> {
    const { tenant, app, pool, wish } = wanted;
    for (let left = TRIES; left > 0; left -= 1) {
      const present = await store.tenantDatabase(tenant);
      refuseOther(wanted, present);
      const [address] = (await store.secretsOf(tenant)).filter(({ name }) => name === DATABASE_VARIABLE);
      refuseForeignAddress(wanted, present, address);
      if (present !== null && address !== undefined)
        return { record: present, password: await keptPassword(tenant, address) };
      const names = databaseNames(tenant, app, wish.own);
      const password = Buffer.from(random(32)).toString('base64url');
      const url = tenantAddress(server, names.role, password, names.database);
      const value = { kind: 'value' as const, value: Buffer.from(url).toString('base64') };
      const version = (address?.version ?? 0) + 1;
      const [sealed] = await sealAll(deps, by, tenant, { [DATABASE_VARIABLE]: value }, () => version);
      if (sealed === undefined) break;
      const record: TenantDatabaseRecord = {
        tenant,
        app,
        pool,
        server: server.server,
        mark: present?.mark ?? Buffer.from(random(8)).toString('hex'),
        ...names,
        connections: wish.connections,
        state: 'making',
        secretId: sealed.id,
        createdAt: present?.createdAt ?? clock.now(),
      };
      const written = await store.mutate(by, clock.now(), async (tx) => {
        await requireApply(tx);
        const now = await tx.tenantDatabase(tenant);
        const unlike =
          JSON.stringify(now) !== JSON.stringify(present) ||
          (await tx.secretsOf(tenant)).some(({ name }) => name === DATABASE_VARIABLE) ||
          (await tx.databaseServer(server.server)) === null;
        if (unlike) return { result: 'others', audit: null };
        await tx.putTenantDatabase(record);
        await insertAll(tx, [sealed]);
        return { result: 'written', audit: 'bookkeeping' };
      });
      if (written === 'written') return { record, password };
    }
    throw new BerthError('conflict', `Others are changing the database of ${tenant} as well; try again.`);
  }

  async function keptPassword(
    tenant: string,
    place: { name: string; version: number; id: string },
  ): Promise<string> {
    const { name, version, id } = place;
    const kept = await store.secret({ tenant, name, version, id });
    if (kept?.content.kind !== 'sealed')
      throw new BerthError(
        'conflict',
        `The address of the database of ${tenant} changed just now; try again.`,
      );
    const value = await vaultOf(deps).open(kept, kept.content.sealed);
    try {
      return passwordOf(value.toString('utf8'));
    } finally {
      value.fill(0);
    }
  }
}

/** What the audit keeps of it. */
export function audited(record: TenantDatabaseRecord): Record<string, unknown> {
  const { server, database, schema, role, connections } = record;
  return { server, database, schema, role, connections };
}

/** Errors: `conflict` when what is there is another's, or something else than is asked for now. */
function refuseOther(
  { tenant, app, pool, wish }: WantedDatabase,
  present: TenantDatabaseRecord | null,
): void {
  if (present === null) return;
  const conflict = (why: string): never => {
    throw new BerthError('conflict', why, { details: { tenant, server: present.server } });
  };
  // Not whose they were: whoever asks may be somebody who must not see that.
  if (present.app !== app || present.pool !== pool)
    throw new BerthError(
      'conflict',
      `The data of a deleted tenant ${tenant} are kept, and it was of another app or another pool. Name the new tenant otherwise, or have an administrator delete them: berth database drop-tenant ${tenant}`,
    );
  if (present.secretId === '')
    conflict(
      `The data of a deleted tenant ${tenant} are about to be deleted, which is not done yet: berth database drop-tenant ${tenant}`,
    );
  if (wish.server !== null && wish.server !== present.server)
    conflict(
      `The database of tenant ${tenant} is on server ${present.server}, and its release asks for ${wish.server}. Berth moves no data by itself; write server: ${present.server}.`,
    );
  if ((wish.own === 'schema') !== (present.schema !== null))
    conflict(
      `Tenant ${tenant} has ${present.schema === null ? 'a database' : 'a schema'} of its own, and its release asks for ${wish.own === 'schema' ? 'a schema' : 'a database'}. Berth moves no data by itself; write own: ${present.schema === null ? 'database' : 'schema'}.`,
    );
}

interface Sessions {
  of(server: DatabaseServerRecord): Promise<PostgresSession>;
  close(): Promise<void>;
}

/** One connection to each server, opened when it is first needed; why there is none is remembered as well. */
function sessions(deps: Deps): Sessions {
  const open = new Map<string, Promise<PostgresSession>>();
  return {
    of(server) {
      const known = open.get(server.server) ?? openServer(deps, server);
      open.set(server.server, known);
      return known;
    },
    async close() {
      for (const each of open.values()) {
        try {
          await (await each).close();
        } catch {
          // It was told where it was asked for.
        }
      }
    },
  };
}
