import { z } from 'zod';

/**
 * Names a person types and Berth then writes into Docker names, file names, nft comments and Nginx maps.
 * The alphabet is a DNS label's, so no quoting is ever needed anywhere they appear.
 */
const label = (what: string, max: number) =>
  z
    .string()
    .min(1)
    .max(max)
    .regex(/^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/, {
      error: `${what} must be 1 to ${max} characters of a-z, 0-9 and '-', and begin and end with a letter or digit`,
    });

export const AppName = label('an app name', 40);
export type AppName = z.infer<typeof AppName>;

export const TenantName = label('a tenant name', 40);
export type TenantName = z.infer<typeof TenantName>;

export const PoolName = label('a pool name', 40);
export type PoolName = z.infer<typeof PoolName>;

/** Compose allows `_` and `.` in service names; they reach container names and /etc/hosts, where both are legal. */
export const ServiceName = z
  .string()
  .min(1)
  .max(40)
  .regex(/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/, {
    error: 'a service name must be 1 to 40 characters of letters, digits, "_", "." and "-"',
  });
export type ServiceName = z.infer<typeof ServiceName>;

export const VolumeName = z
  .string()
  .min(1)
  .max(60)
  .regex(/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/, {
    error: 'a volume name must be letters, digits, "_", "." and "-"',
  });
export type VolumeName = z.infer<typeof VolumeName>;

/** `h_` and 16 characters, made by the coordinator at enrolment. */
export const HostId = z.string().regex(/^h_[a-z0-9]{16}$/, { error: 'not a host id' });
export type HostId = z.infer<typeof HostId>;

/** A host name in lower case with at least one dot or the single label `localhost` below it; no port, no wildcard. */
export const Domain = z
  .string()
  .max(253)
  .regex(/^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+(?=[a-z0-9-]*[a-z])[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, {
    error:
      'a domain must be a lower-case host name such as shop.example.com, without scheme, port or path, and no address',
  });
export type Domain = z.infer<typeof Domain>;

/** The name of an interpolation variable, as the Compose specification has it. */
export const VariableName = z
  .string()
  .max(128)
  .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, {
    error: 'a variable name must be letters, digits and "_", not beginning with a digit',
  });
export type VariableName = z.infer<typeof VariableName>;

/** Lower-case hex SHA-256. */
export const Digest = z.string().regex(/^[0-9a-f]{64}$/, { error: 'not a SHA-256 in hex' });
export type Digest = z.infer<typeof Digest>;
