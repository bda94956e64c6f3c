import type { Migration } from '../migrate.ts';

/** What a release fixes beside its template: its images' digests and its own variables. */
export const releases: Migration = {
  number: 2,
  name: 'releases',
  async up(db) {
    // Null for the releases that are not pinned, as all were before.
    await db.schema.alterTable('releases').addColumn('pins', 'text').execute();
    await db.schema.alterTable('releases').addColumn('variables', 'text').execute();
  },
};
