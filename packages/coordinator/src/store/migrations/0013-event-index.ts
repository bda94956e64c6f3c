import { sql } from 'kysely';
import type { Migration } from '../migrate.ts';

/**
 * Which events are a tenant's is entered into an index of its own, thousands at a time (`event-index.ts`): entered one by
 * one they were a third of all pages that a rollout over thousands of tenants wrote. In SQLite the number of an event is
 * the row's own from now on, which spares another index.
 */
export const eventIndex: Migration = {
  number: 13,
  name: 'event-index',
  async up(db, { name, rowNumber, clustered }) {
    await sql`alter table events rename to events_before`.execute(db);
    await sql`drop index events_tenant`.execute(db);
    await sql`drop index events_source`.execute(db);
    await db.schema
      .createTable('events')
      .addColumn('id', rowNumber, (c) => c.primaryKey())
      .addColumn('at', 'bigint', (c) => c.notNull())
      .addColumn('kind', 'text', (c) => c.notNull())
      .addColumn('tenant', name)
      .addColumn('app', name)
      .addColumn('host', name)
      .addColumn('generation', 'bigint')
      .addColumn('message', 'text', (c) => c.notNull())
      .addColumn('details', 'text', (c) => c.notNull())
      .addColumn('source', 'text')
      .execute();
    await sql`insert into events (id, at, kind, tenant, app, host, generation, message, details, source)
      select id, at, kind, tenant, app, host, generation, message, details, source from events_before
      order by id`.execute(db);
    await sql`drop table events_before`.execute(db);
    await sql`create unique index events_source on events (host, source) where source is not null`.execute(
      db,
    );
    await sql`create table event_index (tenant ${name} not null, id bigint not null, primary key (tenant, id))
      ${clustered}`.execute(db);
    await sql`alter table meta add column indexed_event bigint not null default 0`.execute(db);
    await sql`insert into event_index (tenant, id)
      select tenant, id from events where tenant is not null order by tenant, id`.execute(db);
    await sql`update meta set indexed_event = last_event`.execute(db);
  },
};
