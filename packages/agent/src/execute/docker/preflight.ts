import type { StepOf } from '@berth/shared/domain/step';
import { readDisk, readMemory } from '../../system/host-facts.ts';
import { mib } from '../../system/text.ts';
import type { ExecuteDeps, Note } from '../context.ts';
import { StepFailure } from '../failure.ts';

/** Refuses to begin what the host has no memory or disk for; the sentence has the numbers. */
export async function preflight(
  deps: ExecuteDeps,
  step: StepOf<'preflight'>,
  signal: AbortSignal,
): Promise<Note> {
  const { docker, config } = deps.system;
  const memory = await readMemory();
  requireFree('memory', memory.availableBytes, step.memoryBytes, config.reserve.memoryBytes);
  const root = await docker.dataRoot({ signal });
  const disk = await readDisk(root);
  requireFree(`disk space under ${root}`, disk.availableBytes, step.diskBytes, config.reserve.diskBytes);
  return undefined;
}

function requireFree(what: string, free: number, needed: number, reserve: number): void {
  if (free >= needed + reserve) return;
  throw new StepFailure(
    what === 'memory' ? 'memory_short' : 'disk_short',
    `Not enough ${what}: the new containers need ${mib(needed)} and ${mib(reserve)} must stay free for the host, but only ${mib(free)} is available. Move a tenant away, lower the limits, or use a larger host.`,
  );
}
