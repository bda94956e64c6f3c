import { z } from 'zod';
import { readPublicKey, KeyName, PublicKey, verifyRelease } from '@berth/shared/domain/signature';
import { PoolName } from '@berth/shared/domain/ids';
import type { DesiredTenant } from '@berth/shared/domain/desired';

/**
 * Whose releases this host runs. Keys without `requireSignature` run nothing by themselves: what the host's pool says has to
 * be signed by one of them. It stands in the host's own configuration, baked into the image or given at boot: no word
 * of the coordinator changes it.
 */
export const ReleaseRules = z
  .strictObject({
    requireSignature: z.boolean().default(false),
    /** Who decides once the pool has said something that one of these keys signed; the host where it is left out. */
    decides: z.enum(['host', 'pool']).optional(),
    /** Of which pool's signers it takes a statement; without it, what it joined as, or the first that comes. */
    pool: PoolName.optional(),
    keys: z
      .array(z.strictObject({ name: KeyName, publicKey: PublicKey }))
      .max(16)
      .default([]),
  })
  .refine((rules) => !rules.requireSignature || rules.keys.length > 0, {
    error:
      'requires signatures and names no key, so that nothing could ever run; add one, or do not require them',
  })
  .refine(({ keys }) => new Set(keys.map((each) => each.name)).size === keys.length, {
    error: 'two keys have the same name',
  });
export type ReleaseRules = z.output<typeof ReleaseRules>;

/** Why this host must not run what an entry asks for, as a sentence without its full stop; null when it may. */
export type Vet = (entry: DesiredTenant) => string | null;

/** Null when this host runs whatever it is told to. Each entry is looked at once: they never change. */
export function createVet({ requireSignature, keys }: ReleaseRules): Vet | null {
  if (!requireSignature) return null;
  const accepted = keys.flatMap(({ name, publicKey }) => {
    const key = readPublicKey(publicKey);
    return key === null ? [] : [{ name, key }];
  });
  const known = new WeakMap<DesiredTenant, { why: string | null }>();
  return (entry) => {
    const before = known.get(entry);
    if (before !== undefined) return before.why;
    const verdict = verifyRelease(entry, accepted);
    const why = verdict.kind === 'signed' ? null : verdict.message;
    known.set(entry, { why });
    return why;
  };
}
