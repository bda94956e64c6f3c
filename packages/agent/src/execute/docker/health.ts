import { connect } from 'node:net';
import { BerthError, messageOf } from '@berth/shared/domain/errors';
import { getOnce } from '../../system/nginx.ts';
import { cleanLine } from '../../system/text.ts';
import type { ExecuteDeps } from '../context.ts';

/** One look at a container's health. `words`: why not, for a person. */
export type Look = { healthy: true } | { healthy: false; words: string };

/** Docker's form of a test as an argument array; null for NONE. The shell is the container's own. */
export function argvOf(test: readonly string[]): string[] | null {
  const [kind, ...rest] = test;
  if (kind === 'CMD') return rest.length > 0 ? rest : null;
  if (kind === 'CMD-SHELL') return rest[0] === undefined ? null : ['/bin/sh', '-c', rest[0]];
  return null;
}

/** Runs the container's own health check once. */
export async function lookByExec(
  deps: ExecuteDeps,
  container: string,
  argv: readonly string[],
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Look> {
  try {
    const result = await deps.system.docker.exec(container, argv, { signal, timeoutMs });
    if (result.exitCode === 0) return { healthy: true };
    const output = cleanLine(result.output, 300);
    return {
      healthy: false,
      words: `its health check ended with exit code ${result.exitCode}${output === '' ? '' : `: ${output}`}`,
    };
  } catch (error) {
    if (signal.aborted) throw error;
    if (error instanceof BerthError && error.code === 'docker_unavailable') throw error;
    if (error instanceof BerthError && error.code === 'timeout')
      return { healthy: false, words: `its health check did not answer within ${timeoutMs} ms` };
    return { healthy: false, words: cleanLine(messageOf(error), 300) };
  }
}

/** Whether something accepts connections at the container's port. */
export async function lookByConnect(
  address: string,
  port: number,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Look> {
  return await new Promise((resolve) => {
    const socket = connect({ host: address, port });
    const end = (look: Look): void => {
      signal.removeEventListener('abort', onAbort);
      socket.destroy();
      resolve(look);
    };
    const onAbort = (): void => end({ healthy: false, words: 'aborted' });
    signal.addEventListener('abort', onAbort, { once: true });
    socket.setTimeout(timeoutMs, () => end({ healthy: false, words: `port ${port} did not answer` }));
    socket.on('connect', () => end({ healthy: true }));
    socket.on('error', () => end({ healthy: false, words: `nothing listens on its port ${port} yet` }));
  });
}

/** Whether the container answers a GET with less than 500. */
export async function lookByHttp(
  at: { address: string; port: number; host: string; path: string },
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Look> {
  try {
    const answer = await getOnce({ ...at, timeoutMs, signal });
    if (answer.status < 500) return { healthy: true };
    return { healthy: false, words: `${at.path} answers ${answer.status}` };
  } catch (error) {
    if (signal.aborted) throw error;
    return { healthy: false, words: `${at.path} does not answer (${cleanLine(messageOf(error), 200)})` };
  }
}
