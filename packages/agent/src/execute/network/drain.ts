import { BerthError } from '@berth/shared/domain/errors';
import type { StepOf } from '@berth/shared/domain/step';
import { runCommand } from '../../system/command.ts';
import { cleanLine } from '../../system/text.ts';
import type { ExecuteDeps, Note } from '../context.ts';

const POLL_MS = 100;

/** Waits until no open connection ends at one of the addresses, or until the time is up; neither is a failure. */
export async function drain(deps: ExecuteDeps, step: StepOf<'drain'>, signal: AbortSignal): Promise<Note> {
  const { clock, sleep } = deps;
  const began = clock.now();
  for (;;) {
    let open = 0;
    for (const address of step.addresses) open += await openConnections(address, signal);
    const waited = clock.now() - began;
    if (open === 0) return `no open connection after ${waited} ms`;
    if (waited >= step.timeoutMs)
      return `${open} connection${open === 1 ? ' was' : 's were'} still open after ${waited} ms`;
    await sleep(Math.min(POLL_MS, Math.max(1, step.timeoutMs - waited)), signal);
  }
}

/** How many established connections conntrack knows whose answers come from this address. */
export async function openConnections(address: string, signal?: AbortSignal): Promise<number> {
  const args = ['-L', '-p', 'tcp', '--state', 'ESTABLISHED', '--reply-src', address];
  const result = await runCommand('conntrack', args, { signal });
  const match = /(\d+) flow entries have been shown/.exec(result.stderr);
  if (result.code === 0 && match?.[1] !== undefined) return Number(match[1]);
  throw new BerthError(
    'internal',
    `conntrack cannot list connections: ${cleanLine(result.stderr, 300)}. Install conntrack and load nf_conntrack.`,
  );
}
