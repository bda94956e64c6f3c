import type { Kysely } from 'kysely';
import {
  KeptSignature,
  type AppRecord,
  type ReleaseRecord,
  type ReleaseSource,
} from '../services/records.ts';
import type { StoreReads, StoreWrites } from '../services/store.ts';
import type { Dialect } from './dialect.ts';
import { pins, textMap, texts } from './json.ts';
import { inScope } from './scope.ts';
import type { ReleaseTable, Tables } from './tables.ts';

type Db = Kysely<Tables>;

function appQuery(db: Db) {
  return db.selectFrom('apps').select((eb) => [
    'apps.app',
    'apps.release',
    'apps.frozen',
    'apps.current',
    'apps.created_at',
    'apps.updated_at',
    eb
      .selectFrom('tenants')
      .whereRef('tenants.app', '=', 'apps.app')
      .select((inner) => inner.fn.countAll<number>().as('n'))
      .as('tenants'),
  ]);
}

interface AppRow {
  app: string;
  release: number;
  frozen: string | null;
  current: number | null;
  created_at: number;
  updated_at: number;
  tenants: number | null;
}

const appOf = (row: AppRow): AppRecord => ({
  app: row.app,
  release: row.release,
  frozen: row.frozen,
  current: row.current ?? row.release,
  tenants: row.tenants ?? 0,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
});

const releaseOf = (
  row: Omit<ReleaseTable, 'compose' | 'env_files' | 'variables' | 'signature'>,
): ReleaseRecord => ({
  app: row.app,
  release: row.release,
  digest: row.digest,
  services: texts(row.services),
  labels: textMap(row.labels),
  images: row.pins === null ? 'as-named' : 'pinned',
  createdAt: row.created_at,
  createdBy: row.created_by,
});

export function catalogReads(
  db: Db,
  dialect: Dialect,
): Pick<StoreReads, 'app' | 'apps' | 'release' | 'releases' | 'signingHosts'> {
  return {
    async app(app) {
      const row = await appQuery(db)
        .where('apps.app', '=', app)
        .$if(db.isTransaction, (query) => query.modifyEnd(dialect.forUpdate))
        .executeTakeFirst();
      return row === undefined ? null : appOf(row);
    },
    async apps({ after, limit, scope }) {
      let query = appQuery(db).orderBy('apps.app').limit(limit);
      const visible = inScope(scope, { app: 'apps.app' });
      if (visible !== null) query = query.where(visible);
      if (after !== undefined) query = query.where('apps.app', '>', after);
      return (await query.execute()).map(appOf);
    },
    async release(app, release): Promise<ReleaseSource | null> {
      const row = await db
        .selectFrom('releases')
        .selectAll()
        .where('app', '=', app)
        .where('release', '=', release)
        .executeTakeFirst();
      if (row === undefined) return null;
      return {
        ...releaseOf(row),
        compose: row.compose,
        envFiles: textMap(row.env_files),
        pins: pins(row.pins),
        variables: textMap(row.variables ?? '{}'),
        signature: row.signature === null ? undefined : KeptSignature.parse(JSON.parse(row.signature)),
      };
    },
    async signingHosts() {
      const rows = await db
        .selectFrom('hosts')
        .select(['host', 'facts'])
        .where('facts', 'like', '%"releaseKeys"%')
        .execute();
      return new Map(
        rows.flatMap(({ host, facts }) => {
          const keys = textMap(facts)['releaseKeys'];
          return keys === undefined ? [] : [[host, keys.split(',')] as const];
        }),
      );
    },
    async releases(app, before, limit) {
      let query = db
        .selectFrom('releases')
        .select(['app', 'release', 'digest', 'labels', 'services', 'pins', 'created_at', 'created_by'])
        .where('app', '=', app)
        .orderBy('release', 'desc')
        .limit(limit);
      if (before !== undefined) query = query.where('release', '<', before);
      return (await query.execute()).map(releaseOf);
    },
  };
}

export function catalogWrites(
  db: Db,
): Pick<StoreWrites, 'insertApp' | 'insertRelease' | 'setSignature' | 'deleteApp'> {
  return {
    async insertApp(app, at) {
      await db
        .insertInto('apps')
        .values({ app, release: 0, frozen: null, current: null, created_at: at, updated_at: at })
        .execute();
    },
    async insertRelease(release) {
      await db
        .insertInto('releases')
        .values({
          app: release.app,
          release: release.release,
          digest: release.digest,
          compose: release.compose,
          env_files: JSON.stringify(release.envFiles),
          labels: JSON.stringify(release.labels),
          services: JSON.stringify(release.services),
          pins: release.images === 'pinned' ? JSON.stringify(release.pins) : null,
          variables: JSON.stringify(release.variables),
          signature: null,
          created_at: release.createdAt,
          created_by: release.createdBy,
        })
        .execute();
      await db
        .updateTable('apps')
        .set({ release: release.release, updated_at: release.createdAt })
        .where('app', '=', release.app)
        .execute();
    },
    async setSignature(app, release, signature) {
      await db
        .updateTable('releases')
        .set({ signature: JSON.stringify(signature) })
        .where('app', '=', app)
        .where('release', '=', release)
        .execute();
    },
    async deleteApp(app) {
      await db.deleteFrom('variables').where('scope', '=', 'app').where('owner', '=', app).execute();
      await db.deleteFrom('apps').where('app', '=', app).execute();
    },
  };
}
