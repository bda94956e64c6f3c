import { unreachable } from '@berth/shared/domain/errors';
import type { Step, StepOutcome } from '@berth/shared/domain/step';
import { reasonOf } from '../system/clock.ts';
import type { ExecuteDeps, Note } from './context.ts';
import { ensureImage } from './docker/image.ts';
import { preflight } from './docker/preflight.ts';
import { probeContainers } from './docker/probe.ts';
import { createRelease, runRelease } from './docker/release.ts';
import { settleContainers } from './docker/settle.ts';
import { openSecrets, resumeContainers, startContainers } from './docker/start.ts';
import { removeContainers, stopContainers } from './docker/stop.ts';
import { ensureVolumes } from './docker/volume.ts';
import { problemOf } from './failure.ts';
import { drain } from './network/drain.ts';
import { createNetworkBase } from './network/base.ts';
import { ensureNetwork, removeNetwork } from './network/network.ts';
import { createSwitch } from './network/switch.ts';
import { createIngress } from './nginx/apply.ts';
import { verifyRoute } from './nginx/verify.ts';
import { createProber, type Prober } from './probe/probe.ts';

export type Execute = (step: Step, signal: AbortSignal) => Promise<StepOutcome>;

export interface Executor {
  /**
   * Runs one step. Every failure is an outcome with a problem; it rejects only when the signal aborted, with its reason.
   * Running a step again after any interruption is always right.
   */
  execute: Execute;
  /**
   * Puts routes, tables and boot files in place; at agent start, and whenever someone took them away. Does nothing when
   * all is there. Throws `conflict` when the address ranges collide with the host's own networks.
   */
  ensureNetworkBase(signal?: AbortSignal): Promise<'whole' | 'restored'>;
  /** Tries from inside throw-away tenants what no tenant may do. */
  prober: Prober;
}

export function createExecutor(deps: ExecuteDeps): Executor {
  const base = createNetworkBase(deps);
  const switchRoute = createSwitch(deps, base);
  const applyIngress = createIngress(deps);

  const run = async (step: Step, signal: AbortSignal): Promise<Note> => {
    switch (step.kind) {
      case 'ingress.apply':
        return await applyIngress(step, signal);
      case 'network.ensure':
        return await ensureNetwork(deps, base, step, signal);
      case 'network.remove':
        return await removeNetwork(deps, base, step, signal);
      case 'volume.ensure':
        return await ensureVolumes(deps, step, signal);
      case 'preflight':
        return await preflight(deps, step, signal);
      case 'image.ensure':
        return await ensureImage(deps, step, signal);
      case 'secrets.open':
        return await openSecrets(deps, step, signal);
      case 'release.create':
        return await createRelease(deps, step, signal);
      case 'release.run':
        return await runRelease(deps, step, signal);
      case 'containers.start':
        return await startContainers(deps, step, signal);
      case 'containers.resume':
        return await resumeContainers(deps, step, signal);
      case 'containers.probe':
        return await probeContainers(deps, step, signal);
      case 'containers.settle':
        return await settleContainers(deps, step, signal);
      case 'containers.stop':
        return await stopContainers(deps, step, signal);
      case 'containers.remove':
        return await removeContainers(deps, step, signal);
      case 'route.switch':
        return await switchRoute(step, signal);
      case 'route.verify':
        return await verifyRoute(deps, step, signal);
      case 'drain':
        return await drain(deps, step, signal);
      default:
        return unreachable(step);
    }
  };

  return {
    async execute(step, signal) {
      if (signal.aborted) throw reasonOf(signal);
      try {
        const note = await run(step, signal);
        return note === undefined ? { kind: 'ok' } : { kind: 'ok', note };
      } catch (thrown) {
        if (signal.aborted) throw reasonOf(signal);
        return { kind: 'failed', problem: problemOf(step, thrown, deps.clock.now()) };
      }
    },
    ensureNetworkBase: (signal) => base.ensure(signal),
    prober: createProber(deps, base),
  };
}
