import type { z } from 'zod';
import type { DesiredState } from '@berth/shared/domain/desired';
import { BerthError, messageOf } from '@berth/shared/domain/errors';
import type { Desired, DesiredAck, DesiredReject } from '@berth/shared/protocol/messages';
import type { AgentMode, DesiredStore } from '../state/desired.ts';
import type { Log } from '../state/ports.ts';
import { accept, type Acceptance } from './accept.ts';
import { createAssembler } from './assemble.ts';

export type Verdict =
  | { kind: 'nothing' }
  | { kind: 'send'; message: z.infer<typeof DesiredAck> | z.infer<typeof DesiredReject> }
  /** The sender breaks the protocol. */
  | { kind: 'broken'; message: string };

export interface Receiver {
  desired(message: z.infer<typeof Desired>): Promise<Verdict>;
  mode(epoch: number, mode: AgentMode): Promise<void>;
}

export interface ReceiverOptions {
  store: DesiredStore;
  log: Log;
  /** A new desired state is on disk. `orphans` are named by nobody any more and are left running. */
  onDesired(next: DesiredState, changed: readonly string[], orphans: readonly string[]): void;
  /** A new desired state could not be kept on disk, so it is not in force; the coordinator sends it again. */
  onUnwritable?(refused: DesiredState, changed: readonly string[], why: string): void;
  /** Whether to act on the desired state, or only to report. */
  onMode(mode: AgentMode): void;
  /** The coordinator began a new epoch: it may know less than it did, so report everything once more. */
  onNewEpoch?(): void;
}

/**
 * Takes desired state from the wire to the disk and to the loop, in this order. The answers carry what is in force on
 * this host afterwards, whether it was taken or not. One for each session: parts of two sessions do not mix.
 */
export function createReceiver(options: ReceiverOptions): Receiver {
  const assembler = createAssembler();
  const { store } = options;

  function inForce(): { epoch: number; revision: number } {
    const { epoch, revision } = store.current();
    return { epoch, revision };
  }

  function reject(reason: z.infer<typeof DesiredReject>['reason'], message: string): Verdict {
    options.log.warn({ reason, ...inForce() }, `Refused a desired state: ${message}`);
    return {
      kind: 'send',
      message: { type: 'desired.reject', ...inForce(), reason, message: message.slice(0, 1000) },
    };
  }

  const acknowledge = (): Verdict => ({
    kind: 'send',
    message: { type: 'desired.ack', ...inForce(), digest: store.digest() },
  });

  async function take(verdict: Acceptance): Promise<Verdict> {
    switch (verdict.kind) {
      case 'rejected':
        return reject(verdict.reason, verdict.message);
      case 'repeated':
        return acknowledge();
      case 'accepted': {
        try {
          await store.commit(verdict.next);
        } catch (thrown) {
          if (!(thrown instanceof BerthError) || thrown.code !== 'state_unwritable') throw thrown;
          options.log.error({ err: thrown }, thrown.message);
          options.onUnwritable?.(verdict.next, verdict.changed, thrown.message);
          return reject('unwritable', thrown.message);
        }
        if (verdict.orphans.length > 0)
          options.log.warn(
            { orphans: verdict.orphans },
            'The coordinator no longer names these tenants, but did not remove them: they are left running.',
          );
        options.onDesired(verdict.next, verdict.changed, verdict.orphans);
        return acknowledge();
      }
    }
  }

  return {
    async desired(message) {
      const assembly = assembler.add(message);
      switch (assembly.kind) {
        case 'incomplete':
          return { kind: 'nothing' };
        case 'invalid':
          return { kind: 'broken', message: assembly.message };
        case 'complete': {
          const before = store.current().epoch;
          const verdict = accept(store.current(), assembly.assembled, store.damaged());
          const answer = await take(verdict);
          if (store.current().epoch !== before) options.onNewEpoch?.();
          return answer;
        }
      }
    },

    async mode(epoch, mode) {
      if (epoch < store.current().epoch) {
        options.log.warn(
          { epoch, mode, inForce: store.current().epoch },
          'Ignored a mode that belongs to an older epoch.',
        );
        return;
      }
      const before = store.mode();
      try {
        await store.setMode(mode);
      } catch (thrown) {
        // It is obeyed all the same; only a restart before the disk is well again would forget it.
        options.log.error({ err: thrown }, messageOf(thrown));
      }
      if (before !== mode) options.onMode(mode);
    },
  };
}
