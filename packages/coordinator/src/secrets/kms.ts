import { messageOf } from '@berth/shared/domain/errors';
import type { SecretPlace } from '@berth/shared/domain/secret';
import { KEY_BYTES } from './envelope.ts';
import type { KeyHolder } from './keys.ts';
import type { Kms, KmsSettings } from './kms-sdk.ts';

const PREFIX = 'kms:';

/** A key of AWS KMS. What it wraps opens only with the same tenant, name and version as encryption context. */
export function createKmsHolder(settings: KmsSettings, load: () => Promise<Kms>): KeyHolder {
  let loading: Promise<Kms> | null = null;
  const kms = (): Promise<Kms> => (loading ??= load());
  const name = `${PREFIX}${settings.key}`;
  const contextOf = (place: SecretPlace): Record<string, string> => ({
    tenant: place.tenant,
    name: place.name,
    version: String(place.version),
    id: place.id,
  });

  async function ask<T>(work: (client: Kms) => Promise<T>): Promise<T> {
    try {
      return await work(await kms());
    } catch (cause) {
      const kind = cause instanceof Error && cause.name !== 'Error' ? `${cause.name}: ` : '';
      throw new Error(`KMS refused or did not answer for ${settings.key}: ${kind}${messageOf(cause)}`, {
        cause,
      });
    }
  }

  return {
    holds: (key) => key.startsWith(PREFIX),
    current: () => Promise.resolve(name),
    async generate(place) {
      const { plain, wrapped } = await ask((client) => client.generate(contextOf(place)));
      if (plain.length !== KEY_BYTES) throw new Error('KMS answered with a key of another length');
      return { plain, wrapped: wrapped.toString('base64'), key: name };
    },
    async wrap(place, plain) {
      const wrapped = await ask((client) => client.encrypt(contextOf(place), plain));
      return { plain, wrapped: wrapped.toString('base64'), key: name };
    },
    unwrap: (place, _key, wrapped) =>
      ask((client) => client.decrypt(contextOf(place), Buffer.from(wrapped, 'base64'))),
    rotate: () => Promise.resolve(name),
    forgetAllBut: () => Promise.resolve(),
    // Only using it would tell, and that costs a call for each look.
    trouble: () => Promise.resolve(null),
  };
}
