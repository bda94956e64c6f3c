import { messageOf } from '@berth/shared/domain/errors';
import { Agent } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { visit } from './probe.ts';

export interface LoadResult {
  requests: number;
  failed: number;
  /** The first few failures, in words. */
  failures: string[];
  /** How many answers had each mark. */
  marks: Record<string, number>;
  /** Answers with an older mark after each connection had seen the newer one; 0 when the switch was clean. */
  wentBack: number;
}

export interface LoadOptions {
  port: number;
  domain: string;
  connections: number;
  /** Between two requests of one connection; leaves the machine to what is being tried. */
  pauseMs: number;
  /** What tells one version's answer from another's. */
  markOf(body: string): string;
}

/** Keeps asking over keep-alive connections, counting, until it is stopped. Every answer that is not a 200 is a failure. */
export function startLoad(options: LoadOptions): {
  stop(): Promise<LoadResult>;
  seen(mark: string): boolean;
} {
  const result: LoadResult = { requests: 0, failed: 0, failures: [], marks: {}, wentBack: 0 };
  const stopping = new AbortController();
  const fail = (why: string): void => {
    result.failed += 1;
    if (result.failures.length < 5) result.failures.push(why);
  };
  const connection = async (): Promise<void> => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const seen: string[] = [];
    while (!stopping.signal.aborted) {
      result.requests += 1;
      try {
        const answer = await visit(options.port, options.domain, { agent, timeoutMs: 10_000 });
        if (answer.status === 200) note(options.markOf(answer.body), seen, result);
        else fail(`status ${answer.status}: ${answer.body.slice(0, 120)}`);
      } catch (thrown) {
        fail(messageOf(thrown));
      }
      await sleep(options.pauseMs);
    }
    agent.destroy();
  };
  const connections = Promise.all(Array.from({ length: options.connections }, connection));
  return {
    seen: (mark) => (result.marks[mark] ?? 0) > 0,
    stop: async () => {
      stopping.abort();
      await connections;
      return result;
    },
  };
}

function note(mark: string, seen: string[], result: LoadResult): void {
  result.marks[mark] = (result.marks[mark] ?? 0) + 1;
  if (seen.at(-1) === mark) return;
  if (seen.includes(mark)) result.wentBack += 1;
  seen.push(mark);
}
