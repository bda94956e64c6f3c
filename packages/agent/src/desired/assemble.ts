import type { z } from 'zod';
import type { Desired } from '@berth/shared/protocol/messages';
import type { Assembled } from './accept.ts';

type DesiredMessage = z.infer<typeof Desired>;

/** A host has a few thousand tenants at most; beyond this somebody is trying to fill its memory. */
export const MAX_ENTRIES = 20_000;

export type Assembly =
  | { kind: 'incomplete' }
  | { kind: 'complete'; assembled: Assembled }
  /** The parts do not belong together: the sender breaks the protocol. */
  | { kind: 'invalid'; message: string };

/** Puts the parts of one desired state together; they come in order, and a new first part begins anew. */
export function createAssembler(): { add(message: DesiredMessage): Assembly } {
  let first: DesiredMessage | null = null;
  let parts: DesiredMessage[] = [];
  let entries = 0;

  function invalid(message: string): Assembly {
    first = null;
    parts = [];
    return { kind: 'invalid', message };
  }

  return {
    add(message) {
      if (message.part === 1) {
        first = message;
        parts = [];
        entries = 0;
      }
      if (first === null || message.part !== parts.length + 1 || message.part > message.parts)
        return invalid(`Part ${message.part} of ${message.parts} came out of turn.`);
      if (
        message.epoch !== first.epoch ||
        message.revision !== first.revision ||
        message.base !== first.base ||
        message.digest !== first.digest ||
        message.parts !== first.parts
      )
        return invalid(`Part ${message.part} of revision ${message.revision} belongs to another state.`);
      entries += message.tenants.length + message.tombstones.length + message.forget.length;
      if (entries > MAX_ENTRIES) return invalid(`One desired state has more than ${MAX_ENTRIES} entries.`);
      parts.push(message);
      if (message.part < message.parts) return { kind: 'incomplete' };

      const { epoch, revision, base, digest } = first;
      const tenants = parts.flatMap((part) => part.tenants);
      const tombstones = parts.flatMap((part) => part.tombstones);
      const forget = parts.flatMap((part) => part.forget);
      first = null;
      parts = [];
      const names = [...tenants.map((one) => one.tenant), ...tombstones.map((one) => one.tenant), ...forget];
      if (new Set(names).size !== names.length)
        return invalid('A tenant appears twice in one desired state.');
      return { kind: 'complete', assembled: { epoch, revision, base, digest, tenants, tombstones, forget } };
    },
  };
}
