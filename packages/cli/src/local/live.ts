import type { ApiClient } from '@berth/shared/api/client';
import type { CoordinatorStatus, Tenant } from '@berth/shared/api/schemas';
import { messageOf } from '@berth/shared/domain/errors';
import { setTimeout as sleep } from 'node:timers/promises';
import { phaseWord } from '../output/format.ts';
import type { Output } from '../output/output.ts';
import { clean, columnsOf, cut } from '../output/style.ts';

export interface LiveStatus {
  /** A sentence above the status, which stays on the screen. */
  say(sentence: string): void;
  run(signal: AbortSignal): Promise<void>;
}

/** The state of a local instance in the foreground: a few lines redrawn on a terminal, elsewhere a line per change. */
export function liveStatus(api: ApiClient, output: Output, intervalMs: number): LiveStatus {
  const live = output.format === 'human' && output.stdout.isTTY === true;
  let drawn: string[] = [];
  let lastLine = '';

  const erase = (): void => {
    if (live && drawn.length > 0) output.stdout.write(`\u001b[${drawn.length}A\u001b[J`);
    drawn = [];
  };
  const draw = (lines: readonly string[]): void => {
    erase();
    drawn = lines.map((line) => cut(line, columnsOf(output.stdout) - 1));
    output.stdout.write(drawn.map((line) => `${line}\n`).join(''));
  };
  const show = (lines: readonly string[], record: unknown): void => {
    if (live) {
      draw(lines);
      return;
    }
    const line = lines.join('; ');
    if (line === lastLine) return;
    lastLine = line;
    output.jsonLine(record);
    output.print(line);
  };

  return {
    say: (sentence) => {
      const below = drawn;
      erase();
      if (output.format === 'json') output.note(sentence);
      else output.print(sentence);
      if (live && below.length > 0) draw(below);
    },
    run: async (signal) => {
      while (!signal.aborted) {
        try {
          const status = await api.status({}, signal);
          const tenants = await api.listTenants({ query: { limit: 20 } }, signal);
          show(statusLines(status, tenants.items), { event: 'status', status });
        } catch (thrown) {
          if (signal.aborted) break;
          const why = messageOf(thrown);
          show([`the coordinator does not answer: ${why}`], { event: 'status', problem: why });
        }
        await sleep(intervalMs, undefined, { signal }).catch(() => {});
      }
      erase();
    },
  };
}

export function statusLines(status: CoordinatorStatus, tenants: readonly Tenant[]): string[] {
  const counts = status.tenants;
  const parts = [
    `${status.hosts.online}/${status.hosts.total} hosts online`,
    `${counts.total} ${counts.total === 1 ? 'tenant' : 'tenants'}`,
    `${counts.settled} settled`,
    ...(counts.moving > 0 ? [`${counts.moving} moving or baking`] : []),
    ...(counts.paused > 0 ? [`${counts.paused} paused`] : []),
    ...(counts.failed > 0 ? [`${counts.failed} failed`] : []),
    ...(counts.blocked > 0 ? [`${counts.blocked} blocked`] : []),
  ];
  const lines = [parts.join(', ')];
  for (const one of tenants.slice(0, 8)) {
    const problem = one.problem === null ? '' : `: ${clean(one.problem.message).replaceAll('\n', ' ')}`;
    lines.push(`${one.tenant} g${one.generation} ${phaseWord(one.phase)}${problem}`);
  }
  if (counts.total > 8) lines.push(`and ${counts.total - 8} more`);
  return lines;
}
