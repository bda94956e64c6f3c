import type { RouteTarget } from '@berth/shared/domain/network';
import type { StepOf } from '@berth/shared/domain/step';
import { messageOf } from '@berth/shared/domain/errors';
import { cleanLine } from '../../system/text.ts';
import { NOTHING_ROUTED } from '../../system/nginx.ts';
import type { ExecuteDeps, Note } from '../context.ts';
import { forAll, StepFailure } from '../failure.ts';

const DEADLINE_MS = 5_000;

/** Asks for every route through Nginx, on new connections, until it answers well. */
export async function verifyRoute(
  deps: ExecuteDeps,
  step: StepOf<'route.verify'>,
  signal: AbortSignal,
): Promise<Note> {
  // What is remembered is what the kernel said or acknowledged, and `nft monitor` tells when that ends; the requests
  // below are the proof. Listing the table again would start a program for each tenant of a wave.
  const targets: ReadonlyMap<string, RouteTarget> = await deps.system.routes.targets(signal);
  for (const check of step.checks) {
    if (targets.get(check.virtual)?.kind === 'containers') continue;
    throw new StepFailure(
      'verify_failed',
      `The kernel's map does not lead ${check.virtual} of ${check.service} to a container.`,
      { service: check.service },
    );
  }
  await forAll(step.checks, (check) => verifyOne(deps, check, signal));
  return undefined;
}

async function verifyOne(
  deps: ExecuteDeps,
  check: StepOf<'route.verify'>['checks'][number],
  signal: AbortSignal,
): Promise<void> {
  const { clock, sleep, system } = deps;
  const deadline = clock.now() + DEADLINE_MS;
  let pause = 20;
  let words = '';
  for (;;) {
    try {
      const answer = await system.nginx.ask(check.host, check.path, { timeoutMs: DEADLINE_MS, signal });
      // 421 is Nginx's own: it does not know the host (yet); and so is this 404 of a path that leads to nobody.
      const unrouted = answer.status === 404 && answer.body.trim() === NOTHING_ROUTED;
      if (answer.status < 500 && answer.status !== 421 && !unrouted) return;
      words = unrouted ? 'nothing is routed there' : `it answers ${answer.status}`;
    } catch (error) {
      if (signal.aborted) throw error;
      words = cleanLine(messageOf(error), 200);
    }
    if (clock.now() >= deadline)
      throw new StepFailure(
        'verify_failed',
        `http://${check.host}${check.path} did not work through Nginx within ${DEADLINE_MS / 1000} s after the switch: ${words}.`,
        { service: check.service },
      );
    await sleep(pause, signal);
    pause = Math.min(pause * 2, 250);
  }
}
