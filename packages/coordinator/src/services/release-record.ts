import type { Actor, ReleaseRecord, ReleaseSource } from './records.ts';
import type { Mutation, StoreWrites } from './store.ts';

/** What a release holds that is new, before it has a number. */
export type NewRelease = Omit<ReleaseSource, 'release' | 'createdAt' | 'createdBy' | 'signature'>;

export interface Numbered {
  release: number;
  result: 'created' | 'unchanged';
}

/**
 * Keeps a release as the app's next one, and makes the app when there is none. What has the digest of the newest release
 * is that release, and nothing is written.
 */
export async function recordRelease(
  tx: StoreWrites,
  by: Actor,
  at: number,
  given: NewRelease,
): Promise<Mutation<Numbered>> {
  const { app, digest } = given;
  const present = await tx.app(app);
  const newest = present === null ? null : await tx.release(app, present.release);
  if (newest !== null && newest.digest === digest)
    return { result: { release: newest.release, result: 'unchanged' }, audit: null };
  if (present === null) await tx.insertApp(app, at);
  const release = (present?.release ?? 0) + 1;
  const source: ReleaseSource = { ...given, release, createdAt: at, createdBy: by.actor };
  await tx.insertRelease(source);
  const pinned = given.images === 'pinned' ? '; its images are pinned' : '';
  await tx.addEvents([
    {
      kind: 'app.applied',
      at,
      tenant: null,
      app,
      host: null,
      generation: null,
      message: `App ${app} has release ${release}${pinned}.`,
      details: { release, digest },
    },
  ]);
  return {
    result: { release, result: 'created' },
    audit: {
      action: present === null ? 'app.created' : 'release.created',
      subject: app,
      before: newest === null ? null : { release: newest.release, digest: newest.digest },
      after: audited(source),
    },
  };
}

/** Neither the files nor the values of variables: they may be private. */
function audited(
  source: ReleaseSource,
): ReleaseRecord & Pick<ReleaseSource, 'pins'> & { variables: string[] } {
  const { compose: _compose, envFiles: _envFiles, variables, ...record } = source;
  return { ...record, variables: Object.keys(variables).sort() };
}
