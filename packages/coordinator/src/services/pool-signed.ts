import { BerthError } from '@berth/shared/domain/errors';
import { signCommand, type ToSign } from '@berth/shared/domain/sign-command';
import type { ReleaseSource } from './records.ts';
import { namesOf } from './pool-signers.ts';
import type { KeptSigners } from './signers-store.ts';
import type { StoreReads } from './store.ts';

const PER_READ = 500;

/** Whether a key that the pool's statement names has signed the release. */
export function isSignedFor(statement: KeptSigners, signature: ReleaseSource['signature']): boolean {
  const accepted = new Set(statement.signers.keys.map((each) => each.publicKey));
  return (signature?.by ?? []).some((each) => accepted.has(each.publicKey));
}

/** The refusal of a release that a pool's keys have not signed, as a sentence that ends with what to do. */
export function notSignedFor(statement: KeptSigners, source: ToSign): string {
  const { app, release } = source;
  const sign = signCommand(source, statement.signers.keys[0]?.name);
  return `Pool ${statement.signers.pool} runs only releases that are signed by ${namesOf(statement)}, and release ${release} of ${app} is not. Sign it where your keys are with "${sign}", or use one that is signed.`;
}

/** The first pool of these tenants that would refuse the release; null where none would. */
export async function refusingPool(
  reads: Pick<StoreReads, 'requiringPools' | 'tenantsNamed'>,
  release: ReleaseSource,
  tenants: readonly string[],
): Promise<BerthError | null> {
  const requiring = await reads.requiringPools();
  const refusing = [...requiring.values()].filter((each) => !isSignedFor(each, release.signature));
  if (refusing.length === 0) return null;
  const pools = new Set<string>();
  for (let from = 0; from < tenants.length; from += PER_READ)
    for (const { pool } of await reads.tenantsNamed(tenants.slice(from, from + PER_READ))) pools.add(pool);
  const found = refusing.find(({ signers }) => pools.has(signers.pool));
  if (found === undefined) return null;
  return new BerthError('release_not_signed', notSignedFor(found, release), {
    details: { pool: found.signers.pool, app: release.app, release: release.release },
  });
}
