/**
 * Docker's name for a tenant's volume. The underscore cannot occur in a tenant's name, so that no two tenants' volumes
 * can ever share a name (with a dash, volume `b-c` of `a` would be volume `c` of `a-b`).
 */
export function volumeName(agent: string, tenant: string, volume: string): string {
  return `${agent}-${tenant}_${volume}`;
}

/** The agent's one nft table. */
export function tableName(agent: string): string {
  return `berth_${agent}`;
}
