import type { StoreWrites } from './store.ts';
import { randomText, type RandomBytes } from './tokens.ts';

const ID_ALPHABET = '0123456789abcdefghijklmnopqrstuvwxyz';

export function newHostId(random: RandomBytes): string {
  return `h_${randomText(16, ID_ALPHABET, random)}`;
}

/** Tells that a host has joined; `instance` is what it proved to be, where it did. */
export async function announce(
  tx: StoreWrites,
  host: { host: string; name: string; pool: string; instance?: string },
  at: number,
): Promise<void> {
  const { name, pool, instance } = host;
  await tx.addEvents([
    {
      kind: 'host.enrolled',
      at,
      tenant: null,
      app: null,
      host: host.host,
      generation: null,
      message: `Host ${name}${instance === undefined ? '' : ` (${instance})`} joined pool ${pool}.`,
      details: { name, pool, ...(instance === undefined ? {} : { instance }) },
    },
  ]);
}
