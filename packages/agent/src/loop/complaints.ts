import type { ObservedContainer } from '@berth/shared/domain/observed';
import type { Problem } from '@berth/shared/domain/step';
import type { Complaint } from '../machine/judge.ts';
import type { Clock, Observer } from './ports.ts';

/** A complaint in words for a person, with the container's last ones. */
export async function problemFrom(
  complaint: Complaint,
  { observer, clock }: { observer: Observer; clock: Clock },
  signal: AbortSignal,
): Promise<Problem> {
  const { service, id } = complaint.container;
  const logTail = await observer.logTail(id, 10, signal).catch(() => []);
  const code = complaint.kind === 'crashes' ? 'crash_loop' : 'health_failed';
  return { code, message: sentenceOf(complaint), step: 'watch', service, logTail, at: clock.now() };
}

function sentenceOf({ kind, container }: Complaint): string {
  const { service, generation } = container;
  if (kind === 'unhealthy') return `${service} of generation ${generation} runs but its health check fails.`;
  const last = 'its last lines tell why';
  return times(container) === 1
    ? `${service} of generation ${generation} ended by itself; ${last}.`
    : `${service} of generation ${generation} keeps ending by itself (${times(container)} times lately); ${last}.`;
}

function times(container: ObservedContainer): number {
  return Math.max(1, container.deaths);
}
