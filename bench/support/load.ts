import { fork } from 'node:child_process';
import { once } from 'node:events';
import { z } from 'zod';
import type { Bench } from './bench.ts';

export interface LoadTarget {
  port: number;
  host: string;
  connections: number;
  /** Between an answer and the next request on the same connection, in milliseconds. */
  pauseMs: number;
}

const Message = z.discriminatedUnion('kind', [
  /** The first answer with this body; `at` as of `now()`. */
  z.object({ kind: z.literal('seen'), body: z.string(), at: z.number() }),
  z.object({
    kind: z.literal('counted'),
    requests: z.number(),
    failed: z.number(),
    failures: z.array(z.string()),
  }),
]);
export type LoadMessage = z.infer<typeof Message>;
export type LoadCount = Extract<LoadMessage, { kind: 'counted' }>;

/** Keep-alive requests from a process of its own, so that neither disturbs the other's clock. */
export interface Load {
  /** Resolves with the time of the first answer whose body is none of these. */
  firstOther(bodies: ReadonlySet<string>): Promise<{ body: string; at: number }>;
  bodies(): ReadonlySet<string>;
  stop(): Promise<LoadCount>;
}

export async function startLoad(bench: Bench, target: LoadTarget): Promise<Load> {
  const child = fork(new URL('./load-client.ts', import.meta.url), [JSON.stringify(target)], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  bench.defer('load', () => {
    child.kill('SIGKILL');
  });
  const seen = new Map<string, number>();
  const listeners = new Set<() => void>();
  let counted: LoadCount | null = null;
  child.on('message', (raw) => {
    const message = Message.parse(raw);
    if (message.kind === 'seen') seen.set(message.body, message.at);
    else counted = message;
    for (const tell of listeners) tell();
  });
  const until = async <T>(look: () => T | null): Promise<T> => {
    for (;;) {
      const found = look();
      if (found !== null) return found;
      bench.signal.throwIfAborted();
      if (child.exitCode !== null) throw new Error('the load ended early');
      await new Promise<void>((resolve) => {
        const go = (): void => {
          listeners.delete(go);
          bench.signal.removeEventListener('abort', go);
          resolve();
        };
        listeners.add(go);
        bench.signal.addEventListener('abort', go, { once: true });
      });
    }
  };
  await until(() => (seen.size > 0 ? true : null));
  return {
    bodies: () => new Set(seen.keys()),
    async firstOther(bodies) {
      return await until(() => {
        for (const [body, at] of seen) if (!bodies.has(body)) return { body, at };
        return null;
      });
    },
    async stop() {
      child.send({ kind: 'stop' });
      const result = await until(() => counted);
      if (child.exitCode === null) {
        child.kill();
        await once(child, 'exit');
      }
      return result;
    },
  };
}
