import type { TenantNetwork } from '@berth/shared/domain/network';
import type { PlanSettings } from './input.ts';

export interface Cidr {
  base: number;
  prefix: number;
  size: number;
}

export function parseCidr(text: string): Cidr {
  const [address, bits] = text.split('/');
  const prefix = Number(bits);
  const size = 2 ** (32 - prefix);
  const value = toNumber(address ?? '');
  return { base: value - (value % size), prefix, size };
}

export function toNumber(address: string): number {
  return address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}

export function toAddress(value: number): string {
  // An address is below 2 ** 32, and `>>>` takes it as what it is.
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
}

/** How many tenants fit. */
export function slotCount(settings: PlanSettings): number {
  return parseCidr(settings.tenantCidr).size / 2 ** (32 - settings.tenantPrefix);
}

/** The network that a slot gives a tenant. Everything about it follows from the slot, so no table needs keeping. */
export function networkOf(settings: PlanSettings, tenant: string, slot: number): TenantNetwork {
  const range = parseCidr(settings.tenantCidr);
  const size = 2 ** (32 - settings.tenantPrefix);
  const base = range.base + slot * size;
  return {
    tenant,
    name: `${settings.agent}-${tenant}`,
    bridge: `${settings.bridgePrefix}${slot.toString(36)}`,
    subnet: `${toAddress(base)}/${settings.tenantPrefix}`,
    gateway: toAddress(base + 1),
  };
}

export function slotOf(settings: PlanSettings, network: TenantNetwork): number {
  const range = parseCidr(settings.tenantCidr);
  return (parseCidr(network.subnet).base - range.base) / 2 ** (32 - settings.tenantPrefix);
}

/**
 * Networks of all tenants that need one: those that exist keep theirs, the others take the lowest free slots in order of
 * name. A tenant for which no slot is left is missing from the answer.
 */
export function allotNetworks(
  settings: PlanSettings,
  tenants: readonly string[],
  existing: readonly TenantNetwork[],
): Map<string, TenantNetwork> {
  const networks = new Map(existing.map((network) => [network.tenant, network]));
  if (tenants.every((tenant) => networks.has(tenant))) return networks;
  const taken = new Set(existing.map((network) => slotOf(settings, network)));
  const slots = slotCount(settings);
  let slot = 0;
  for (const tenant of [...tenants].sort()) {
    if (networks.has(tenant)) continue;
    while (slot < slots && taken.has(slot)) slot += 1;
    if (slot >= slots) break;
    taken.add(slot);
    networks.set(tenant, networkOf(settings, tenant, slot));
  }
  return networks;
}

/**
 * The addresses containers may have, lowest first, without those that are taken: all of the subnet but its own, the
 * gateway's and the broadcast's.
 */
export function* freeAddresses(
  network: TenantNetwork,
  isTaken: (address: string) => boolean,
): Generator<string, undefined> {
  const range = parseCidr(network.subnet);
  for (let index = 2; index < range.size - 1; index += 1) {
    const address = toAddress(range.base + index);
    if (!isTaken(address)) yield address;
  }
}

/** The virtual addresses of a tenant's routes: the same slot of the virtual range. */
export function virtualAddresses(settings: PlanSettings, network: TenantNetwork): string[] {
  const range = parseCidr(settings.virtualCidr);
  const size = 2 ** (32 - settings.tenantPrefix);
  const base = range.base + slotOf(settings, network) * size;
  return Array.from({ length: size - 1 }, (_unused, index) => toAddress(base + 1 + index));
}
