import type { ObjectStore, Unfinished } from './object-store.ts';
import { keysOf } from './store.ts';

export interface Sweep {
  store: ObjectStore;
  app: string;
  tenant: string;
  /** Backups that were begun here and of which nothing runs any more, however young. */
  own: readonly string[];
  /** Anybody's upload of this tenant that was begun before this, in ms since 1970. */
  before: number;
  signal: AbortSignal;
}

/**
 * Takes away what a crash left of uploads of a tenant: those of the named backups, and all that are old. Another host's
 * that is under way stays. Objects that are complete are never touched. Errors: those of the store.
 */
export async function sweep({ store, app, tenant, own, before, signal }: Sweep): Promise<Unfinished[]> {
  const keys = new Set(
    own.flatMap((backup) => {
      const { object, manifest } = keysOf({ app, tenant, backup });
      return [object, manifest];
    }),
  );
  const found: Unfinished[] = [];
  for await (const one of store.unfinished(`${app}/${tenant}`, signal))
    if (keys.has(one.key) || one.begunAt < before) found.push(one);
  for (const one of found) await store.abandon(one, signal);
  return found;
}
