import { z } from 'zod';

/** One registry in the configuration of coordinator or agent. */

const host = z
  .string()
  .max(255)
  .regex(/^[A-Za-z0-9*]([A-Za-z0-9.*-]*[A-Za-z0-9*])?(:[0-9]{1,5})?$/, {
    error:
      'must be a registry host such as registry.example.com:5000, without scheme or path; `*` stands for one label',
  });
/** `true`: plain HTTP. Left out, only a registry on this machine's loopback is spoken to in plain HTTP. */
const insecure = z.boolean().optional();

const Named = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('anonymous'), host, insecure }),
  z.strictObject({
    kind: z.literal('password'),
    host,
    insecure,
    username: z.string().min(1).max(400),
    /** Read each time it is needed, so that it can be changed while the program runs. */
    passwordFile: z.string().min(1),
  }),
  z.strictObject({
    kind: z.literal('ecr'),
    host,
    insecure,
    /** Found out from the host's name when left out. */
    region: z
      .string()
      .regex(/^[a-z0-9-]{1,40}$/)
      .optional(),
    /** Another address of the ECR API, such as a VPC endpoint's. */
    endpoint: z.url({ protocol: /^https?$/ }).optional(),
  }),
]);

/** Without a `kind`, one with a user name has a password and one without is anonymous. */
export const RegistryConfig = z.preprocess((given) => {
  if (typeof given !== 'object' || given === null || 'kind' in given) return given;
  return { ...given, kind: 'username' in given || 'passwordFile' in given ? 'password' : 'anonymous' };
}, Named);
export type RegistryConfig = z.infer<typeof Named>;

export const RegistryConfigs = z.array(RegistryConfig).max(200).default([]);

/** The first entry that fits the host: an exact name, or a pattern whose `*` stands for one label. */
export function registryFor(configs: readonly RegistryConfig[], host: string): RegistryConfig | null {
  return configs.find((config) => fits(config.host, host)) ?? null;
}

function fits(pattern: string, host: string): boolean {
  const [wanted, given] = [pattern.toLowerCase().split('.'), host.toLowerCase().split('.')];
  if (wanted.length !== given.length) return false;
  return wanted.every((part, index) => part === given[index] || (part === '*' && given[index] !== ''));
}

/** The region in an ECR registry's name; null when it has none. */
export function ecrRegionOf(host: string): string | null {
  const match =
    /^\d{12}\.dkr\.ecr(?:-fips)?\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?$/.exec(host) ??
    /^\d{12}\.dkr-ecr(?:-fips)?\.([a-z0-9-]+)\.on\.(?:aws|amazonwebservices\.com\.cn)$/.exec(host);
  return match?.[1] ?? null;
}

/** Whether plain HTTP may be spoken: on loopback, or because the configuration says so. */
export function speaksPlainHttp(config: RegistryConfig | null, host: string): boolean {
  return config?.insecure ?? isLoopback(host);
}

function isLoopback(host: string): boolean {
  const name = host.replace(/:\d+$/, '');
  return name === 'localhost' || name === '[::1]' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(name);
}
