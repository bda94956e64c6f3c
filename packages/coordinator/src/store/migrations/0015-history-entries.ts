import { sql } from 'kysely';
import type { Migration } from '../migrate.ts';

/**
 * Each thing that happened to a tenant is an entry of its own. Until now a generation had one entry, so that a way back to
 * an earlier one took the place of what had been told of it, or of the move that it undid.
 */
export const historyEntries: Migration = {
  number: 15,
  name: 'history-entries',
  async up(db, { name, clustered }) {
    await sql`alter table tenant_history rename to tenant_history_before`.execute(db);
    await sql`create table tenant_history (
      tenant ${name} not null, entry bigint not null, generation bigint not null, at bigint not null,
      actor text not null, what text not null, release bigint not null, rollout bigint, ms bigint, message text not null,
      primary key (tenant, entry)) ${clustered}`.execute(db);
    await sql`insert into tenant_history
        (tenant, entry, generation, at, actor, what, release, rollout, ms, message)
      select tenant, row_number() over (partition by tenant order by at, generation), generation, at, actor, what,
        release, rollout, ms, message
      from tenant_history_before`.execute(db);
    await sql`drop table tenant_history_before`.execute(db);
  },
};
