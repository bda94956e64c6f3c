import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { digestOf } from '@berth/shared/domain/digest';
import { SECRET_TARGET, SecretRef, type SecretPlace } from '@berth/shared/domain/secret';
import type { ContainerPlan } from '@berth/shared/domain/step';
import { z } from 'zod';
import { readIfThere, writeDurably } from '../system/durable-file.ts';

/**
 * All the secrets of one kind of container, by name and place, without values. It is kept on disk, so that the files can be
 * made again after a reboot before anybody knows what is desired.
 */
export const SecretSet = z.strictObject({
  tenant: z.string(),
  service: z.string(),
  /** Hex; a different content is a different set, so files never change under a container. */
  set: z.string().regex(/^[0-9a-f]{16}$/),
  /** Of a reference: the generation that it was resolved for. */
  generation: z.int().nullable(),
  files: z.array(
    SecretRef.extend({
      target: z.string(),
      uid: z.int(),
      gid: z.int(),
      mode: z.string().regex(/^0?[0-7]{3}$/),
      /** Below the set's directory. */
      path: z
        .string()
        .regex(/^(files|at)\//)
        .refine((path) => SECRET_TARGET.test(`/${path}`)),
    }),
  ),
  env: z.array(SecretRef.extend({ variable: z.string() })),
});
export type SecretSet = z.infer<typeof SecretSet>;

export const SECRETS_DIR = '/run/secrets';

/** The set that a container needs; null when it needs none. */
export function setOf(plan: ContainerPlan): SecretSet | null {
  const files = plan.spec.secrets ?? [];
  const env = Object.entries(plan.spec.secretEnv ?? {}).map(([variable, ref]) => ({ ...ref, variable }));
  if (files.length === 0 && env.length === 0) return null;
  // What is kept elsewhere may have changed there: each generation asks again, and a container keeps what it began with.
  const generation = [...files, ...env].some((ref) => ref.from !== undefined) ? plan.generation : null;
  const { tenant, service } = plan;
  return {
    tenant,
    service,
    set: digestOf({ service, generation, files, env }).slice(0, 16),
    generation,
    files: files.map((file, index) => ({
      ...file,
      path: file.target.startsWith(`${SECRETS_DIR}/`)
        ? `files/${file.target.slice(SECRETS_DIR.length + 1)}`
        : `at/${index}`,
    })),
    env,
  };
}

/** Where a value of a set is kept: a reference's under its generation as well. */
export function placeOf(set: Pick<SecretSet, 'tenant' | 'generation'>, ref: SecretRef): SecretPlace {
  const { name, version, id, from } = ref;
  return { tenant: set.tenant, name, version, id: from === undefined ? id : `${id}-${set.generation ?? 0}` };
}

export function placesOf(set: SecretSet): SecretPlace[] {
  return [...set.files, ...set.env].map((ref) => placeOf(set, ref));
}

/** The sets that containers of this host were made with. */
export interface SetStore {
  keep(set: SecretSet): Promise<void>;
  of(tenant: string): Promise<SecretSet[]>;
  tenants(): Promise<string[]>;
  remove(tenant: string, set: string): Promise<void>;
  forget(tenant: string): Promise<void>;
}

export function createSetStore(dir: string): SetStore {
  const fileOf = (tenant: string, set: string): string => join(dir, tenant, `${set}.json`);
  return {
    async keep(set) {
      const path = fileOf(set.tenant, set.set);
      const text = `${JSON.stringify(set)}\n`;
      if ((await readIfThere(path)) === text) return;
      await mkdir(join(dir, set.tenant), { recursive: true, mode: 0o700 });
      await writeDurably(path, text, 0o600);
    },
    async of(tenant) {
      const found: SecretSet[] = [];
      for (const name of await names(join(dir, tenant))) {
        if (!/^[0-9a-f]{16}\.json$/.test(name)) continue;
        const text = await readIfThere(join(dir, tenant, name));
        const set = SecretSet.safeParse(text === null ? null : jsonIn(text));
        // A torn one is made again with the next container; until then its containers are not started without it.
        if (set.success) found.push(set.data);
      }
      return found;
    },
    tenants: () => names(dir),
    remove: (tenant, set) => rm(fileOf(tenant, set), { force: true }),
    forget: (tenant) => rm(join(dir, tenant), { recursive: true, force: true }),
  };
}

function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

async function names(dir: string): Promise<string[]> {
  try {
    return (await readdir(dir)).sort();
  } catch {
    return [];
  }
}
