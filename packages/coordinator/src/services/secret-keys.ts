import type { ClosedSecret, KeyRotated, SecretKeys } from '@berth/shared/api/secrets';
import { BerthError, messageOf } from '@berth/shared/domain/errors';
import type { SecretPlace } from '@berth/shared/domain/secret';
import type { z } from 'zod';
import type { ServiceContext } from './context.ts';
import type { Actor } from './records.ts';
import { SERVERS_OWNER, type KeyUse, type SecretReads, type SecretRecord } from './secret-store.ts';
import { requireApply } from './tenant-state.ts';
import { NO_VAULT, type SealedValue, type Vault } from './vault.ts';

/** The keys that wrap all secrets. */
export interface SecretKeyring {
  /** With `list`, also each secret that a missing key closes, of all tenants. */
  keys(closed?: 'count' | 'list'): Promise<SecretKeys>;
  /**
   * A new key, and all versions wrapped with it. Errors: `secret_unavailable` while a key is missing that versions are
   * wrapped with, unless it is lost for good; nothing is changed then, also in the key file.
   */
  rotateKey(by: Actor, lostKeys?: LostKeys): Promise<z.infer<typeof KeyRotated>>;
}

/** Whether something new is kept while a key that older secrets are wrapped with is missing. */
export type LostKeys = 'refuse' | 'despite';

const CHUNK = 100;
/** More are counted, and not told one by one. */
const KEYS_TOLD = 3;
const SECRETS_TOLD = 3;

export const vaultOf = ({ vault }: Pick<ServiceContext, 'vault'>): Vault => vault ?? NO_VAULT;

export function createSecretKeys(context: ServiceContext): SecretKeyring {
  const { store, clock } = context;
  const vault = vaultOf(context);

  return {
    async keys(closed = 'count') {
      const counts = await store.secretKeys();
      const used = counts.map(({ key }) => key);
      const missing = await vault.missing(used);
      let current: string | null = null;
      let problem: string | null = null;
      try {
        current = await vault.current(used);
        if (missing.size > 0) {
          // The key of a file that is another coordinator's is there, and nothing is kept with it.
          current = null;
          problem = missingText([...missing.keys()]);
        }
      } catch (thrown) {
        problem = messageOf(thrown);
      }
      return {
        current,
        problem,
        keys: counts.map(({ key, versions }) => ({ key, versions, problem: missing.get(key) ?? null })),
        ...(closed === 'list' ? { closed: await closedOf(store, [...missing.keys()], {}) } : {}),
      };
    },

    async rotateKey(by, lostKeys = 'refuse') {
      // A key that nothing may be wrapped with is not made in the first place.
      await requireApply(store);
      const before = await currentKey(context, 'rotate', lostKeys);
      const current = await vault.rotate();
      await store.mutate(by, clock.now(), async (tx) => {
        await requireApply(tx);
        const audit = {
          action: 'secret-key.rotated',
          subject: 'secrets',
          before: { key: before },
          after: { key: current, ...(lostKeys === 'despite' ? { despiteLostKeys: true } : {}) },
        };
        return { result: null, audit };
      });
      const failed: string[] = [];
      let rewrapped = 0;
      let after: SecretPlace | null = null;
      for (;;) {
        const rows: SecretRecord[] = await store.secretsNotUnder(current, after, CHUNK);
        if (rows.length === 0) break;
        const again: { place: SecretPlace; sealed: SealedValue }[] = [];
        for (const { content, ...row } of rows) {
          after = row;
          if (content.kind !== 'sealed') continue;
          const { tenant, name, version, id } = row;
          const place = { tenant, name, version, id };
          try {
            again.push({ place, sealed: await vault.rewrap(place, content.sealed) });
          } catch (thrown) {
            failed.push(messageOf(thrown));
          }
        }
        if (again.length === 0) continue;
        await store.mutate(by, clock.now(), async (tx) => {
          for (const { place, sealed } of again) await tx.rewrapSecret(place, sealed);
          return { result: null, audit: 'bookkeeping' };
        });
        rewrapped += again.length;
      }
      // The last one stays a while: somebody may just have sealed with it.
      await vault.forgetAllBut([...(await store.secretKeys()).map(({ key }) => key), before]);
      return { before, current, rewrapped, failed: failed.slice(0, 100) };
    },
  };
}

/**
 * The key that is used now; a first one is made where there has never been one, or where all there was is lost for good.
 * A key file of another coordinator would do for what is new, and that would be lost when the right one is back. KMS is not
 * asked here: it says for itself why it will not. Errors: `secret_unavailable`, naming the keys that are missing, what
 * they wrap, and both ways out.
 */
export async function currentKey(
  deps: Pick<ServiceContext, 'store' | 'vault'>,
  what: 'set' | 'rotate',
  lostKeys: LostKeys,
  /** Whose secrets may be named to whoever asks; of all tenants unless it is said. */
  tenant?: string,
): Promise<string> {
  const vault = vaultOf(deps);
  if (lostKeys === 'despite') return await vault.current([]);
  const used = (await deps.store.secretKeys()).map(({ key }) => key);
  const missing = await vault.missing(used);
  const [first] = missing;
  if (first === undefined) return await vault.current(used);
  const lost = await deps.store.secretKeyUses([...missing.keys()]);
  const told = lost.slice(0, KEYS_TOLD).map(useText);
  if (lost.length > KEYS_TOLD) told.push(`more with ${lost.length - KEYS_TOLD} other keys`);
  const named = await closedOf(deps.store, [...missing.keys()], { tenant, limit: SECRETS_TOLD + 1 });
  const names = named.slice(0, SECRETS_TOLD).map(closedText).join(', ');
  const which = named.length === 0 ? '' : ` (${names}${named.length > SECRETS_TOLD ? ' and more' : ''})`;
  const ways = {
    set: 'Nothing new is kept until it is back. If it is lost for good, set each secret anew: "berth tenant secret set TENANT NAME --despite-lost-keys".',
    rotate:
      'No new key is made until it is back; nothing was changed. If it is lost for good: "berth secret rotate-key --despite-lost-keys", and set each secret anew.',
  };
  throw new BerthError(
    'secret_unavailable',
    `Secrets cannot be opened: ${told.join('; ')}${which}. The reason: ${first[1].replace(/\.$/, '')}. ${ways[what]} "berth secret keys" names all that are closed.`,
    { details: { keys: [...missing.keys()] } },
  );
}

function useText({ key, versions, secrets, tenants }: KeyUse): string {
  const count = (many: number, one: string): string => `${many} ${one}${many === 1 ? '' : 's'}`;
  return `${count(versions, 'version')} of ${count(secrets, 'secret')} of ${count(tenants, 'tenant')}, wrapped with the key ${key}`;
}

async function closedOf(
  store: Pick<SecretReads, 'secretsUnder'>,
  keys: readonly string[],
  of: { tenant?: string | undefined; limit?: number | undefined },
): Promise<ClosedSecret[]> {
  const found = await store.secretsUnder(keys, of);
  return found.map((each) => ({ ...each, tenant: each.tenant === SERVERS_OWNER ? null : each.tenant }));
}

function closedText({ tenant, name }: ClosedSecret): string {
  return tenant === null ? `the address of database server ${name}` : `${name} of ${tenant}`;
}

function missingText(keys: readonly string[]): string {
  const [first = ''] = keys;
  return keys.length === 1
    ? `The key ${first} is missing: nothing new is kept until it is back.`
    : `${keys.length} keys are missing: nothing new is kept until they are back.`;
}
