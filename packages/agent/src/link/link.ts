import { setTimeout as wait } from 'node:timers/promises';
import { BerthError } from '@berth/shared/domain/errors';
import type { LinkOptions } from './handlers.ts';
import { afterEnd, FIRST_LIMITS, START, type ReconnectLimits, type ReconnectState } from './reconnect.ts';
import { runSession } from './session.ts';
import { connectAddress, openSocket } from './socket.ts';

export interface Link {
  /**
   * Keeps a session with the coordinator until the signal aborts; resolves then. Whatever happens to the coordinator,
   * it tries again. Errors, at once: `unauthenticated` when the host is not enrolled, `invalid_request` for a bad address.
   */
  run(signal: AbortSignal): Promise<void>;
}

/** The agent's one connection, outbound. */
export function createLink(options: LinkOptions): Link {
  return {
    async run(signal) {
      const address = connectAddress(options.url);
      const host = options.state.identity.host();
      if (host === null)
        throw new BerthError('unauthenticated', 'This host is not enrolled; it needs a join token once.');
      let state: ReconnectState = START;
      let limits: ReconnectLimits = FIRST_LIMITS;
      while (!signal.aborted) {
        const ended = await runSession(openSocket(address), { ...options, host }, signal);
        limits = ended.limits ?? limits;
        if (signal.aborted) return;
        const next = afterEnd(state, ended.end, limits, options.random());
        state = next.state;
        tell(options, ended.end.kind, next.delayMs);
        await wait(next.delayMs, undefined, { signal }).catch(() => undefined);
      }
    },
  };
}

function tell(options: LinkOptions, end: string, delayMs: number): void {
  if (end === 'superseded')
    options.log.error(
      { delayMs },
      'Another agent connected with the identity of this one. Was this machine cloned? Give the clone a state directory of its own.',
    );
  else if (end === 'refused')
    options.log.error({ delayMs }, 'The coordinator does not accept this host; was it removed there?');
  else options.log.info({ end, delayMs }, 'Not connected to the coordinator; trying again.');
}
