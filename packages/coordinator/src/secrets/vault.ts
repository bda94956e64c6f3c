import { BerthError, messageOf } from '@berth/shared/domain/errors';
import { placeText, type SecretPlace } from '@berth/shared/domain/secret';
import type { Vault } from '../services/vault.ts';
import { decrypt, encrypt } from './envelope.ts';
import { createKeyFile } from './key-file.ts';
import type { KeyHolder } from './keys.ts';
import { createKmsHolder } from './kms.ts';
import type { KmsSettings } from './kms-sdk.ts';

/** Where the keys are: KMS when it is named, and otherwise a file; null: nobody said, and there are no secrets. */
export interface VaultSettings {
  keyFile: string | null;
  kms: KmsSettings | null;
}

/** Opens nothing and asks nobody before it is needed. */
export function openVault({ keyFile, kms }: VaultSettings): Vault {
  const holders: KeyHolder[] = [];
  if (kms !== null)
    holders.push(createKmsHolder(kms, async () => (await import('./kms-sdk.ts')).openKms(kms)));
  // Beside KMS it is only read: secrets from before may still be wrapped with its keys.
  if (keyFile !== null) holders.push(createKeyFile(keyFile));
  return createVault(holders);
}

/** The first holder's key is the one that is used now. */
export function createVault(holders: readonly KeyHolder[]): Vault {
  const [first] = holders;

  function now(): KeyHolder {
    if (first !== undefined) return first;
    throw new BerthError(
      'secret_unavailable',
      'This coordinator has no key for secrets: set secrets.kms.key, or secrets.keyFile to a file that all coordinators of this database share, and start it again.',
    );
  }

  async function unwrapped(place: SecretPlace, key: string, wrapped: string): Promise<Buffer> {
    const holder = holders.find((each) => each.holds(key));
    try {
      if (holder === undefined)
        throw new Error(`it is wrapped with ${key}, which the configuration says nothing of`);
      return await holder.unwrap(place, key, wrapped);
    } catch (cause) {
      throw cannotOpen(place, cause);
    }
  }

  return {
    async seal(place, value) {
      const holder = now();
      let made;
      try {
        made = await holder.generate(place);
      } catch (cause) {
        throw new BerthError(
          'secret_unavailable',
          `The secret ${place.name} of tenant ${place.tenant} cannot be kept: ${messageOf(cause)}. Nothing was changed.`,
          { cause },
        );
      }
      const { plain, wrapped, key } = made;
      const box = encrypt(plain, placeText('value', place), value);
      plain.fill(0);
      return { key, wrapped, box };
    },
    async open(place, { key, wrapped, box }) {
      const plain = await unwrapped(place, key, wrapped);
      try {
        return decrypt(plain, placeText('value', place), box);
      } catch (cause) {
        throw cannotOpen(place, cause);
      } finally {
        plain.fill(0);
      }
    },
    async rewrap(place, { key, wrapped, box }) {
      const plain = await unwrapped(place, key, wrapped);
      try {
        const again = await now().wrap(place, plain);
        return { key: again.key, wrapped: again.wrapped, box };
      } catch (cause) {
        throw cannotOpen(place, cause);
      } finally {
        plain.fill(0);
      }
    },
    async current(used) {
      try {
        return await now().current(used);
      } catch (cause) {
        if (cause instanceof BerthError) throw cause;
        throw new BerthError('secret_unavailable', `No secret can be kept: ${messageOf(cause)}.`, { cause });
      }
    },
    async rotate() {
      try {
        return await now().rotate();
      } catch (cause) {
        if (cause instanceof BerthError) throw cause;
        throw new BerthError('secret_unavailable', `The key cannot be changed: ${messageOf(cause)}.`, {
          cause,
        });
      }
    },
    async forgetAllBut(used) {
      for (const holder of holders) await holder.forgetAllBut(used);
    },
    async missing(used) {
      const found = new Map<string, string>();
      for (const key of used) {
        const holder = holders.find((each) => each.holds(key));
        const why = holder === undefined ? 'the configuration says nothing of it' : await holder.trouble(key);
        if (why !== null) found.set(key, why);
      }
      return found;
    },
  };
}

function cannotOpen({ tenant, name, version }: SecretPlace, cause: unknown): BerthError {
  const why = /unable to authenticate|bad decrypt/i.test(messageOf(cause))
    ? 'its key is another, or what is kept was altered'
    : messageOf(cause);
  return new BerthError(
    'secret_unavailable',
    `The secret ${name} (version ${version}) of tenant ${tenant} cannot be opened: ${why}.`,
    { cause, details: { tenant, secret: name, version } },
  );
}
