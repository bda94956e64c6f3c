import { z } from 'zod';
import { Domain, ServiceName, TenantName } from './ids.ts';

export const Ipv4 = z.ipv4();
export type Ipv4 = z.infer<typeof Ipv4>;

export const Endpoint = z.strictObject({ address: Ipv4, port: z.int().min(1).max(65535) });
export type Endpoint = z.infer<typeof Endpoint>;

/**
 * Where a virtual address leads. `maintenance` is Nginx's own 503 page, `unrouted` its 404 of a path that what serves does not
 * route; `none` refuses at once.
 */
export const RouteTarget = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('containers'), endpoints: z.array(Endpoint).min(1).max(16) }),
  z.strictObject({ kind: z.literal('maintenance') }),
  z.strictObject({ kind: z.literal('unrouted') }),
  z.strictObject({ kind: z.literal('none') }),
]);
export type RouteTarget = z.infer<typeof RouteTarget>;

export const RouteEntry = z.strictObject({ virtual: Ipv4, target: RouteTarget });
export type RouteEntry = z.infer<typeof RouteEntry>;

/** One routed service of one tenant, as Nginx knows it: it changes only when a domain, path or route comes or goes. */
export const Site = z.strictObject({
  tenant: TenantName,
  service: ServiceName,
  hosts: z.array(Domain).min(1),
  path: z.string(),
  virtual: Ipv4,
});
export type Site = z.infer<typeof Site>;

export const TenantNetwork = z.strictObject({
  tenant: TenantName,
  /** Docker's name for it. */
  name: z.string(),
  /** Linux interface, at most 15 characters, beginning with the agent's bridge prefix. */
  bridge: z.string().max(15),
  /** CIDR, such as 198.19.4.0/26. */
  subnet: z.string(),
  gateway: Ipv4,
});
export type TenantNetwork = z.infer<typeof TenantNetwork>;
