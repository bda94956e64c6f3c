import { BerthError } from '@berth/shared/domain/errors';
import type { RouteEntry } from '@berth/shared/domain/network';
import type { StepOf } from '@berth/shared/domain/step';
import { contains } from '../../system/cidr.ts';
import { stageFile } from '../../system/durable-file.ts';
import { routesFile, switchScript, withTarget } from '../../system/nft-routes.ts';
import type { ExecuteDeps, Note } from '../context.ts';
import { StepFailure } from '../failure.ts';
import type { NetworkBase } from './base.ts';

/**
 * Points virtual addresses somewhere else: one nft transaction. Switches that come while one is under way are made
 * together by the next: a wave of tenants costs a few writes to the disk, not one for each.
 *
 * The file for the next boot is written and fsynced beside the old one first, then the kernel changes, then the file is
 * renamed into place. A full disk thus fails the step before anything has changed. After a crash in between, the file is
 * one switch behind the kernel, and that is right too: the old containers are stopped only by a later step, so a reboot
 * finds what the old file leads to, and an agent that is merely restarted believes the kernel and mends the file.
 */
export function createSwitch(deps: ExecuteDeps, base: NetworkBase) {
  const { routes, nft, paths } = deps.system;

  const apply = async (entries: readonly RouteEntry[]): Promise<void> => {
    const kernel = await routes.kernel();
    if (!kernel.present) throw new BerthError('route_failed', `The nft table ${nft.table} is not there.`);
    const next = withTarget(kernel, entries, routes.pages);
    const script = switchScript(
      nft.table,
      kernel,
      next,
      entries.map((entry) => entry.virtual),
    );
    const staged = await stageFile(paths.routesNft, routesFile(nft.table, next));
    routes.announce(next);
    try {
      if (script !== '') await nft.load(script);
    } catch (error) {
      await staged.discard();
      throw error;
    }
    routes.remember(next);
    base.intend(next);
    await staged.commit();
  };

  const switchAll = (entries: readonly RouteEntry[]): Promise<void> =>
    base.exclusive(async (restore) => {
      try {
        await apply(entries);
      } catch (error) {
        if (error instanceof BerthError && error.code === 'state_unwritable') throw error;
        // What we believed of the kernel was old, or the table was flushed: look again, once.
        routes.invalidate();
        if (!(await routes.kernel()).present) await restore();
        await apply(entries);
      }
    });
  const together = gather(switchAll);

  return async (step: StepOf<'route.switch'>, _signal: AbortSignal): Promise<Note> => {
    assertWithinRanges(deps, step.entries);
    if (step.entries.length > 0) await together(step.entries);
    return undefined;
  };
}

/** One call at a time; what is asked for meanwhile goes into the next, whose outcome is that of all in it. */
function gather(work: (entries: readonly RouteEntry[]) => Promise<void>) {
  let running: Promise<void> = Promise.resolve();
  let next: { entries: RouteEntry[]; done: Promise<void> } | null = null;
  return (entries: readonly RouteEntry[]): Promise<void> => {
    if (next !== null) {
      next.entries.push(...entries);
      return next.done;
    }
    const batch: RouteEntry[] = [...entries];
    const done = running.then(() => {
      next = null;
      return work(batch);
    });
    next = { entries: batch, done };
    running = done.catch(() => undefined);
    return done;
  };
}

function assertWithinRanges(deps: ExecuteDeps, entries: readonly RouteEntry[]): void {
  const { virtualCidr, tenantCidr } = deps.system.config;
  for (const { virtual, target } of entries) {
    const endpoints = target.kind === 'containers' ? target.endpoints : [];
    const stray = endpoints.find((endpoint) => !contains(tenantCidr, endpoint.address));
    if (contains(virtualCidr, virtual) && stray === undefined) continue;
    throw new StepFailure(
      'route_failed',
      `The route ${virtual} -> ${stray?.address ?? target.kind} lies outside this agent's ranges ${virtualCidr} and ${tenantCidr}.`,
    );
  }
}
