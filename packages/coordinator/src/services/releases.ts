import type {
  AppVariables,
  CreatedRelease,
  CreateRelease,
  ReleaseDiff,
  SetVariables,
  SignedRelease,
  SignRelease,
} from '@berth/shared/api/releases';
import { digestOf } from '@berth/shared/domain/digest';
import { BerthError } from '@berth/shared/domain/errors';
import { foundApp, nameWarning } from './apps.ts';
import type { ServiceContext } from './context.ts';
import { pinImages } from './pinning.ts';
import type { Actor, ReleaseSource } from './records.ts';
import { diffOf } from './release-diff.ts';
import { recordRelease } from './release-record.ts';
import { auditOfSigning, signedAnswer, withSignature } from './release-sign.ts';
import { changeShared, sharedBy } from './shared-variables.ts';
import { parseCompose, type TemplateCache } from './templates.ts';
import { unusedWarnings } from './unused.ts';
import { checkNames } from './variables.ts';

export interface Releases {
  /**
   * Resolves and pins every image, and keeps the result as the app's next release; the app is made when there is none.
   * What is the same as the newest release is that release. Errors: `invalid_compose`, `image_not_found`,
   * `image_pull_failed`, `registry_unreachable`.
   */
  create(by: Actor, app: string, given: CreateRelease): Promise<CreatedRelease>;
  /** Adds a signature. Errors: `invalid_request` when it is not one of this release. */
  sign(by: Actor, app: string, release: number, given: SignRelease): Promise<SignedRelease>;
  diff(app: string, from: number, to: number): Promise<ReleaseDiff>;
  /** Changes the app's own variables. Nothing is rendered anew: each tenant takes them up with its next change. */
  setVariables(by: Actor, app: string, change: SetVariables['variables']): Promise<AppVariables>;
}

export function createReleases(context: ServiceContext, cache: TemplateCache): Releases {
  const { store, clock, registry } = context;

  return {
    async create(by, app, { compose, envFiles, labels, set }) {
      checkNames(Object.keys(set));
      const { template, warnings } = parseCompose(compose, envFiles);
      const known = { ...(await sharedBy(store, 'app', app)), ...set, BERTH_APP: app };
      // Registries are asked before the transaction begins: they may take their time.
      const pins = await pinImages(registry, template, known, AbortSignal.timeout(RESOLVE_MS)).catch(
        (thrown: unknown) => {
          throw tellingOfApply(thrown);
        },
      );
      const digest = digestOf({ compose, envFiles, set, pins });
      const all = [
        ...nameWarning(app, template.name),
        ...unusedWarnings(Object.keys(set), template.variables),
        ...warnings,
      ];
      const at = clock.now();
      const numbered = await store.mutate(by, at, (tx) =>
        recordRelease(tx, by, at, {
          app,
          digest,
          services: template.services,
          labels,
          images: 'pinned',
          compose,
          envFiles,
          pins,
          variables: set,
        }),
      );
      return { app, ...numbered, pins, warnings: all };
    },

    async sign(by, app, release, given) {
      return await store.mutate(by, clock.now(), async (tx) => {
        const source = await tx.release(app, release);
        if (source === null) return notThere(app, release, foundApp(await tx.app(app), app).release);
        const signature = withSignature(cache, source, given);
        await tx.setSignature(app, release, signature);
        return {
          result: signedAnswer(source, signature),
          audit: auditOfSigning(source, signature),
        };
      });
    },

    async diff(app, from, to) {
      const [before, after] = [await found(app, from), await found(app, to)];
      return diffOf(
        { source: before, template: cache.of(before) },
        { source: after, template: cache.of(after) },
        await sharedBy(store, 'app', app),
      );
    },

    async setVariables(by, app, change) {
      const at = clock.now();
      return await store.mutate<AppVariables>(by, at, async (tx) => {
        foundApp(await tx.app(app), app);
        const { result, audit } = await changeShared(tx, { scope: 'app', owner: app, change, at });
        return { result: { app, ...result }, audit };
      });
    },
  };

  async function found(app: string, release: number): Promise<ReleaseSource> {
    const source = await store.release(app, release);
    if (source !== null) return source;
    return notThere(app, release, foundApp(await store.app(app), app).release);
  }
}

function notThere(app: string, release: number, newest: number): never {
  throw new BerthError('not_found', `App ${app} has no release ${release}; its newest is ${newest}.`, {
    details: { newest },
  });
}

/** All registries together; each has shorter limits of its own. */
const RESOLVE_MS = 120_000;

/** No registry has an image that was built on the host itself, and nobody can guess that another command takes it. */
function tellingOfApply(thrown: unknown): unknown {
  if (!(thrown instanceof BerthError) || !OF_REGISTRIES.has(thrown.code)) return thrown;
  return new BerthError(
    thrown.code,
    `${thrown.message} If the image is in no registry because it was built on the hosts, make the release with "berth app apply": it takes images as they are named.`,
    { cause: thrown, details: thrown.details },
  );
}

const OF_REGISTRIES: ReadonlySet<string> = new Set([
  'image_not_found',
  'image_pull_failed',
  'registry_unreachable',
]);
