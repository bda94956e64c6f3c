import { z } from 'zod';
import { HostId, PoolName } from '../domain/ids.ts';
import { PoolSigners, SignedSigners } from '../domain/signers.ts';

export const SetPoolSigners = z.strictObject({
  signers: PoolSigners,
  by: SignedSigners.shape.by.min(1),
  /** Also where no key of the statement before has signed it, which begins anew. What a host has pinned it keeps all the same. */
  replace: z.boolean().default(false),
});

/** Whose releases a pool runs, and which of its hosts go by that. */
export const PoolSignersShown = z.object({
  pool: PoolName,
  /** Null: nobody has said anything. */
  current: z
    .object({
      version: z.number(),
      required: z.boolean(),
      keys: z.array(z.object({ name: z.string(), fingerprint: z.string() })),
      signedBy: z.array(z.string()),
      at: z.number(),
    })
    .nullable(),
  /** The number of the next statement: above this one, and above what any host has. */
  next: z.number(),
  hosts: z.array(
    z.object({
      host: HostId,
      name: z.string(),
      /**
       * `goes-by`: it has this statement. `own`: its own configuration decides. `behind`: not yet. `refuses`: it has
       * another, which it keeps. `cannot`: its agent knows nothing of this.
       */
      state: z.enum(['goes-by', 'own', 'behind', 'refuses', 'cannot']),
      /** Which version it has of its pool's; null: none. */
      version: z.number().nullable(),
      refused: z.string().nullable(),
    }),
  ),
});
export type PoolSignersShown = z.infer<typeof PoolSignersShown>;

export const PoolSignersSet = PoolSignersShown.extend({ result: z.enum(['changed', 'unchanged']) });
export type PoolSignersSet = z.infer<typeof PoolSignersSet>;
