import { createHash } from 'node:crypto';
import type { Site } from '@berth/shared/domain/network';
import type { StepOf } from '@berth/shared/domain/step';
import { readIfThere, stageFile } from '../../system/durable-file.ts';
import { createMutex } from '../../system/mutex.ts';
import { everybodyPasses, workerUser } from '../../system/nginx.ts';
import { rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { ExecuteDeps, Note } from '../context.ts';
import { StepFailure } from '../failure.ts';
import { emitNginx } from './emit.ts';

/** Stands in the text for its own digest while that is made. */
const DIGEST_PLACE = '@digest@';
const RELOAD_DEADLINE_MS = 10_000;

/**
 * Tells Nginx its sites: stage, `nginx -t`, rename, reload, and wait until the new configuration answers. A refused
 * configuration leaves the live files as they were, byte for byte. Nothing is reloaded when nothing changed.
 */
export function createIngress(deps: ExecuteDeps) {
  const exclusive = createMutex();
  return (step: StepOf<'ingress.apply'>, signal: AbortSignal): Promise<Note> =>
    exclusive(() => applyIngress(deps, step.sites, signal));
}

async function applyIngress(deps: ExecuteDeps, sites: readonly Site[], signal: AbortSignal): Promise<Note> {
  const { nginx, config, paths } = deps.system;
  const user = await workerUser();
  const { listenAddress, httpPort, internalPort } = config.nginx;
  const version = await nginx.version(signal);
  // Below a home that is closed to others, workers could not put down a single upload.
  const temporary = (await everybodyPasses(dirname(config.stateDir))) ? 'own' : 'built-in';
  const settings = { listenAddress, httpPort, internalPort, user, version, temporary } as const;
  const template = emitNginx(sites, { ...settings, digest: DIGEST_PLACE });
  const digest = createHash('sha256').update(template).digest('hex');
  const text = template.replace(DIGEST_PLACE, digest);

  const pid = await nginx.alive();
  const before = await readIfThere(paths.nginxConf);
  const live = { digest, sites: [...sites] };
  if (pid !== null && before === text && (await nginx.runningDigest(signal)) === digest) {
    await nginx.remember(live);
    return 'nothing changed';
  }

  await nginx.prepare(config.stateDir);
  if (before !== text) await replace(deps, text, signal);
  nginx.forget();
  try {
    const running = await nginx.alive();
    if (running === null) await nginx.start(signal);
    else nginx.reload(running);
    await untilRunning(deps, digest, signal);
  } catch (error) {
    // The file that is live must be one that Nginx runs with, or would start with.
    if (before !== null && before !== text && !signal.aborted) await restoreConf(deps, before);
    throw error;
  }
  await nginx.remember(live);
  return pid === null ? 'started' : 'reloaded';
}

async function replace(deps: ExecuteDeps, text: string, signal: AbortSignal): Promise<void> {
  const { nginx, paths } = deps.system;
  const candidate = `${paths.nginxConf}.candidate`;
  const staged = await stageFile(candidate, text);
  await staged.commit();
  const complaint = await nginx.complaintAbout(candidate, signal);
  if (complaint !== null) {
    await rm(candidate, { force: true });
    throw new StepFailure(
      'ingress_invalid',
      `Nginx refuses the new configuration, so the old one stays in use: ${complaint}`,
    );
  }
  await rename(candidate, paths.nginxConf);
}

async function restoreConf(deps: ExecuteDeps, text: string): Promise<void> {
  const staged = await stageFile(deps.system.paths.nginxConf, text);
  await staged.commit();
}

/** A reload returns at once; only the answer of a new worker shows that it has happened. */
async function untilRunning(deps: ExecuteDeps, digest: string, signal: AbortSignal): Promise<void> {
  const { clock, sleep, system } = deps;
  const deadline = clock.now() + RELOAD_DEADLINE_MS;
  while ((await system.nginx.runningDigest(signal)) !== digest) {
    if (clock.now() >= deadline)
      throw new StepFailure(
        'ingress_invalid',
        `Nginx did not take up the new configuration within ${RELOAD_DEADLINE_MS / 1000} s. Its error log says more: ${system.paths.nginxDir}/error.log`,
      );
    await sleep(20, signal);
  }
}
