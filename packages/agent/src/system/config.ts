import { z } from 'zod';
import { isAbsolute } from 'node:path';
import { overlaps, parseCidr } from './cidr.ts';

const absolutePath = z.string().refine(isAbsolute, { error: 'must be an absolute path' });
const cidr = z.string().refine((text) => parseCidr(text) !== null, {
  error: 'must be an IPv4 range such as 198.18.0.0/16, with no bits set behind the prefix',
});
const port = z.int().min(1).max(65535);

/** What one agent owns on its host. Two agents on one machine share none of it. */
export const HostConfig = z
  .strictObject({
    /** Short name: value of the label `berth.agent`, prefix of volumes, name of the nft table. */
    agent: z.string().regex(/^[a-z0-9]{1,8}$/),
    stateDir: absolutePath,
    dockerSocket: absolutePath,
    /** Addresses that Nginx connects to; the kernel maps them to containers. */
    virtualCidr: cidr,
    /** Tenant networks are cut from this range. */
    tenantCidr: cidr,
    /** Prefix length of one tenant's network. */
    tenantPrefix: z.int().min(20).max(29),
    /** Interfaces of tenant networks begin with it. */
    bridgePrefix: z.string().regex(/^[a-z][a-z0-9]{0,4}-$/),
    nginx: z.strictObject({
      binary: z.string().min(1),
      listenAddress: z.union([z.ipv4(), z.ipv6()]),
      httpPort: port,
      /** Loopback only: 127.0.0.1 answers for paused tenants, 127.0.0.2 is where switches are verified. */
      internalPort: port,
      /** Who starts a dead Nginx: the agent itself, or the unit `berth-nginx.service`. */
      start: z.enum(['agent', 'systemd']),
    }),
    /** What must stay free on the host after a tenant has started. */
    reserve: z.strictObject({ memoryBytes: z.int().min(0), diskBytes: z.int().min(0) }),
  })
  .refine((config) => !overlaps(config.virtualCidr, config.tenantCidr), {
    error: 'virtualCidr and tenantCidr overlap; give each a range of its own',
  });
export type HostConfig = z.infer<typeof HostConfig>;
