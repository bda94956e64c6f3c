import { BerthError } from '@berth/shared/domain/errors';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { StepList } from '../output/steps.ts';
import { waitForTenant } from '../wait.ts';
import type { Local } from './bring-up.ts';
import { startLoad, type LoadResult } from './load.ts';
import type { Shop } from './shop.ts';

export interface SwitchResult {
  requests: number;
  failed: number;
  /** Requests answered by each version. */
  answers: Record<string, number>;
  /** From the command to the deploy being over. */
  ms: number;
  failures: string[];
}

const Front = z.object({ version: z.string() });

/**
 * Deploys version 2 to the first tenant while several keep-alive connections keep asking, and says what they saw.
 * Errors: BerthError when the deploy failed or the answers never changed to the new version.
 */
export async function switchUnderLoad(options: {
  local: Local;
  shop: Shop;
  signal: AbortSignal;
  clock: { now(): number };
  list: StepList;
}): Promise<SwitchResult> {
  const { local, signal, clock } = options;
  const first = options.shop.tenants[0];
  if (first === undefined) throw new BerthError('internal', 'The example made no tenant to switch.');
  const load = startLoad({
    port: local.instance.httpPort,
    domain: first.domain,
    connections: 8,
    pauseMs: 10,
    markOf: (body) => `version ${Front.safeParse(parse(body)).data?.version ?? 'unknown'}`,
  });
  let counted: LoadResult | undefined;
  try {
    await sleep(500, undefined, { signal });
    const began = clock.now();
    const body = { variables: { VERSION: '2' } };
    const changed = await local.api.changeTenant({ params: { tenant: first.tenant }, body }, signal);
    const outcome = await waitForTenant({
      api: local.api,
      tenant: first.tenant,
      generation: changed.generation,
      afterEvent: changed.afterEvent,
      goal: 'live',
      timeoutMs: 120_000,
      signal,
      clock,
      list: options.list,
    });
    const ms = clock.now() - began;
    if (outcome.outcome !== 'live') {
      throw new BerthError(
        outcome.problem?.code ?? 'timeout',
        `The second version did not come up: ${outcome.problem?.message ?? outcome.outcome}`,
      );
    }
    // The old colour drains and stops after the switch: the load must not notice that either.
    await sleep(4000, undefined, { signal });
    const switched = load.seen('version 2');
    counted = await load.stop();
    if (!switched)
      throw new BerthError('verify_failed', 'The deploy ended well, but no answer came from version 2.');
    return {
      requests: counted.requests,
      failed: counted.failed,
      answers: counted.marks,
      ms,
      failures: counted.failures,
    };
  } finally {
    if (counted === undefined) await load.stop();
  }
}

function parse(body: string): unknown {
  try {
    const value: unknown = JSON.parse(body);
    return value;
  } catch {
    return undefined;
  }
}
