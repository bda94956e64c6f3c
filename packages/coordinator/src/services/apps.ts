import type { App, AppliedApp, ApplyApp, Release, ReleaseDetail } from '@berth/shared/api/schemas';
import type { Finding } from '@berth/shared/compose/findings';
import { digestOf } from '@berth/shared/domain/digest';
import { BerthError } from '@berth/shared/domain/errors';
import type { z } from 'zod';
import type { ServiceContext } from './context.ts';
import { listed, type Listed } from './paging.ts';
import type { Actor } from './records.ts';
import { recordRelease } from './release-record.ts';
import { shownSignatures } from './release-sign.ts';
import type { RolloutPort } from './rollout-driver.ts';
import type { Page } from './store.ts';
import { parseCompose } from './templates.ts';
import { unusedWarnings } from './unused.ts';
import { checkNames } from './variables.ts';

export interface Apps {
  list(page: Page): Promise<Listed<App>>;
  show(app: string): Promise<App>;
  /** Creates the app or its next release; the same content as the newest release changes nothing. */
  apply(by: Actor, app: string, given: z.output<typeof ApplyApp>): Promise<z.infer<typeof AppliedApp>>;
  remove(by: Actor, app: string): Promise<void>;
  /** No rollout begins a tenant while the app is frozen; null ends it. */
  freeze(by: Actor, app: string, reason: string | null): Promise<App>;
  releases(app: string, page: Page): Promise<Listed<Release>>;
  release(app: string, release: number): Promise<z.infer<typeof ReleaseDetail>>;
}

export function createApps({ store, clock }: ServiceContext, driver: Pick<RolloutPort, 'look'>): Apps {
  return {
    async list(page) {
      return listed(await store.apps({ ...page, limit: page.limit + 1 }), page.limit, (app) => app.app);
    },
    async show(app) {
      return foundApp(await store.app(app), app);
    },
    async apply(by, app, { compose, envFiles, labels, set }) {
      checkNames(Object.keys(set));
      const { template, warnings } = parseCompose(compose, envFiles);
      // Without variables the digest is that of releases from before there were any.
      const variables = Object.keys(set).length === 0 ? {} : { set };
      const digest = digestOf({ compose, envFiles, ...variables });
      const at = clock.now();
      const numbered = await store.mutate(by, at, (tx) =>
        recordRelease(tx, by, at, {
          app,
          digest,
          services: template.services,
          labels,
          images: 'as-named',
          compose,
          envFiles,
          pins: {},
          variables: set,
        }),
      );
      const unused = unusedWarnings(Object.keys(set), template.variables);
      return { app, ...numbered, warnings: [...nameWarning(app, template.name), ...unused, ...warnings] };
    },
    async remove(by, app) {
      await store.mutate(by, clock.now(), async (tx) => {
        const present = foundApp(await tx.app(app), app);
        if (present.tenants > 0) {
          throw new BerthError(
            'conflict',
            `App ${app} still has ${present.tenants === 1 ? 'a tenant' : `${present.tenants} tenants`}. Delete ${present.tenants === 1 ? 'it' : 'them'} first: "berth tenant list --app ${app}".`,
            { details: { tenants: present.tenants } },
          );
        }
        await tx.deleteApp(app);
        return { result: null, audit: { action: 'app.deleted', subject: app, before: present, after: null } };
      });
    },
    async freeze(by, app, reason) {
      const shown = await store.mutate<App>(by, clock.now(), async (tx) => {
        const before = foundApp(await tx.app(app), app);
        if (before.frozen === reason) return { result: before, audit: null };
        await tx.setFrozen(app, reason);
        return {
          result: { ...before, frozen: reason },
          audit: {
            action: reason === null ? 'app.unfrozen' : 'app.frozen',
            subject: app,
            before: { frozen: before.frozen },
            after: { frozen: reason },
          },
        };
      });
      driver.look();
      return shown;
    },
    async releases(app, { after, limit }) {
      foundApp(await store.app(app), app);
      const before = after === undefined ? undefined : Number.parseInt(after, 10);
      if (before !== undefined && !Number.isSafeInteger(before))
        throw new BerthError('invalid_request', `after must be a release number, not "${after}".`);
      const rows = await store.releases(app, before, limit + 1);
      return listed(rows, limit, (release) => String(release.release));
    },
    async release(app, release) {
      const source = await store.release(app, release);
      if (source === null) {
        const { release: newest } = foundApp(await store.app(app), app);
        throw new BerthError('not_found', `App ${app} has no release ${release}; its newest is ${newest}.`, {
          details: { newest },
        });
      }
      // Env files often hold what nobody should read back: their size tells that they are there.
      const envFiles = Object.fromEntries(
        Object.entries(source.envFiles).map(([path, text]) => [path, `${Buffer.byteLength(text)} bytes`]),
      );
      return { ...source, envFiles, signatures: shownSignatures(source.signature) };
    },
  };
}

/** Errors: `not_found`. */
export function foundApp<T>(app: T | null, name: string): T {
  if (app !== null) return app;
  throw new BerthError('not_found', `There is no app ${name}; see "berth app list".`);
}

export function nameWarning(app: string, name: string): Finding[] {
  if (name === '' || name === app) return [];
  const message = `the file calls itself ${name} and is applied as app ${app}`;
  return [{ line: 1, column: 1, path: 'name', message }];
}
