import { BerthError, messageOf, unreachable } from '@berth/shared/domain/errors';
import type { Answer, Question } from '@berth/shared/protocol/messages';
import type { Prober } from './execute/probe/probe.ts';
import type { Loop } from './loop/loop.ts';
import type { Observer } from './loop/ports.ts';
import type { Outbox } from './report/outbox.ts';
import type { TrafficCounter } from './traffic/counter.ts';

/** Answers the coordinator's questions; nothing of the host's tenants changes by them. */
export function createAnswers({
  loop,
  observer,
  prober,
  traffic,
  outbox,
}: {
  loop: Loop;
  observer: Observer;
  prober: Pick<Prober, 'probe'>;
  traffic: Pick<TrafficCounter, 'upToNow'>;
  outbox: Pick<Outbox, 'delivered'>;
}): (question: Question, signal: AbortSignal) => Promise<Answer> {
  async function logs(
    tenant: string,
    service: string | null,
    lines: number,
    signal: AbortSignal,
  ): Promise<Answer> {
    const containers = loop
      .servingOf(tenant)
      .filter((each) => each.role !== 'release' && (service === null || each.service === service))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
    if (containers.length === 0) {
      const what = service === null ? `Tenant ${tenant}` : `Service ${service} of tenant ${tenant}`;
      return { kind: 'error', code: 'not_found', message: `${what} has no containers on this host.` };
    }
    const tails = await Promise.all(
      containers.map(async (each) => {
        const tail = await observer.logTail(each.id, lines, signal);
        return tail.map((line) => ({ service: each.service, line: line.slice(0, 4000) }));
      }),
    );
    return { kind: 'logs', lines: tails.flat() };
  }

  return async (question, signal) => {
    try {
      switch (question.kind) {
        case 'plan':
          return { kind: 'plan', steps: await loop.preview(question.tenant, signal) };
        case 'logs':
          return await logs(question.tenant, question.service, question.lines, signal);
        case 'probe':
          return { kind: 'probe', report: await prober.probe(signal) };
        case 'traffic':
          await traffic.upToNow(signal);
          await outbox.delivered(signal);
          return { kind: 'traffic' };
        default:
          return unreachable(question);
      }
    } catch (thrown) {
      const code = thrown instanceof BerthError ? thrown.code : 'internal';
      return { kind: 'error', code, message: messageOf(thrown).slice(0, 1000) };
    }
  };
}
