import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { BerthError, messageOf } from '@berth/shared/domain/errors';
import { SecretName, type SecretPlace } from '@berth/shared/domain/secret';
import { openAtHost, sealToHost } from '@berth/shared/secrets/sealed';
import { z } from 'zod';
import { readIfThere, writeDurably } from '../system/durable-file.ts';
import type { HostKey } from './host-key.ts';

const SealedFile = z.strictObject({
  tenant: z.string(),
  name: SecretName,
  version: z.int(),
  id: z.string(),
  /** Whom it was sealed for: this host may be enrolled anew later. */
  host: z.string(),
  box: z.string(),
});

/** Values on this host's disk, each sealed to the host's key and bound to what it is. */
export interface SealedStore {
  has(place: SecretPlace): Promise<boolean>;
  /** Whether it is there and opens. Errors: `secret_unavailable` when the host's key itself cannot be had. */
  opens(place: SecretPlace): Promise<boolean>;
  /** Keeps a box as it came. Errors: `secret_unavailable` when it does not open here; nothing is kept then. */
  keep(place: SecretPlace, host: string, box: string): Promise<void>;
  /** Seals a value that was found out on this host, and keeps it. */
  seal(place: SecretPlace, host: string, value: Buffer): Promise<void>;
  /** Null when there is none. Errors: `secret_unavailable`, which names the secret. */
  open(place: SecretPlace): Promise<Buffer | null>;
  /** Removes all of a tenant's but these. */
  retain(tenant: string, places: readonly SecretPlace[]): Promise<void>;
  forget(tenant: string): Promise<void>;
}

export function createSealedStore(dir: string, key: () => Promise<HostKey>): SealedStore {
  const fileOf = ({ tenant, name, version, id }: SecretPlace): string =>
    join(dir, tenant, `${name}.${version}.${id}.json`);

  async function write(place: SecretPlace, host: string, box: string): Promise<void> {
    await mkdir(join(dir, place.tenant), { recursive: true, mode: 0o700 });
    const { tenant, name, version, id } = place;
    await writeDurably(fileOf(place), `${JSON.stringify({ tenant, name, version, id, host, box })}\n`, 0o600);
  }

  return {
    async opens(place) {
      const text = await readIfThere(fileOf(place));
      if (text === null) return false;
      const private_ = await (await key()).privateKey();
      try {
        const { host, box } = SealedFile.parse(JSON.parse(text));
        openAtHost(private_, host, place, box).fill(0);
        return true;
      } catch {
        return false;
      }
    },
    has: async (place) => (await readIfThere(fileOf(place))) !== null,
    async keep(place, host, box) {
      try {
        openAtHost(await (await key()).privateKey(), host, place, box);
      } catch (cause) {
        if (cause instanceof BerthError) throw cause;
        throw unopened(place, 'what came from the coordinator does not open with this host’s key', cause);
      }
      await write(place, host, box);
    },
    async seal(place, host, value) {
      const { publicKey } = await key();
      await write(place, host, sealToHost(Buffer.from(publicKey, 'base64'), host, place, value));
    },
    async open(place) {
      const path = fileOf(place);
      const text = await readIfThere(path);
      if (text === null) return null;
      const private_ = await (await key()).privateKey();
      try {
        const { host, box } = SealedFile.parse(JSON.parse(text));
        return openAtHost(private_, host, place, box);
      } catch (cause) {
        throw unopened(place, `${path} does not open with this host's key`, cause);
      }
    },
    async retain(tenant, places) {
      const wanted = new Set(places.map(fileOf));
      for (const name of await names(join(dir, tenant))) {
        const path = join(dir, tenant, name);
        if (!wanted.has(path)) await rm(path, { force: true });
      }
    },
    async forget(tenant) {
      await rm(join(dir, tenant), { recursive: true, force: true });
    },
  };
}

function unopened({ tenant, name, version }: SecretPlace, why: string, cause: unknown): BerthError {
  return new BerthError(
    'secret_unavailable',
    `The secret ${name} (version ${version}) of tenant ${tenant} cannot be opened: ${why} (${messageOf(cause)}). Set it anew, or mend the key.`,
    { cause, details: { tenant, secret: name, version } },
  );
}

async function names(dir: string): Promise<string[]> {
  try {
    return await readdir(dir);
  } catch {
    return [];
  }
}
