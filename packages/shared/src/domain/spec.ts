import { z } from 'zod';
import { DatabaseWish } from './database.ts';
import { Egress } from './egress.ts';
import { ServiceName, VolumeName } from './ids.ts';
import { SecretFile, SecretRef } from './secret.ts';

/**
 * What a tenant runs, with every variable filled in and every default decided: the output of the compose room, the
 * payload of the desired state, the input of the agent's planner. Durations are milliseconds, sizes bytes.
 */

export const Healthcheck = z.strictObject({
  /** `['CMD', argv…]` or `['CMD-SHELL', line]`, as Docker takes it. The shell is the container's, never the host's. */
  test: z.array(z.string()).min(2),
  intervalMs: z.int().min(1),
  timeoutMs: z.int().min(1),
  retries: z.int().min(1),
  startPeriodMs: z.int().min(0),
  /** How often to probe while starting. */
  startIntervalMs: z.int().min(1),
});
export type Healthcheck = z.infer<typeof Healthcheck>;

/**
 * How a service moves to a new generation.
 * - `blue-green`: the new container starts beside the old; the route switches once it is healthy.
 * - `recreate`: never two at once: the old one stops before the new one starts (schedulers).
 * - `in-place`: like recreate, and only when its own spec changed: services with volumes.
 */
export const Strategy = z.enum(['blue-green', 'recreate', 'in-place']);
export type Strategy = z.infer<typeof Strategy>;

/**
 * Hardening. `restricted` is the default: no capabilities, read-only root, no new privileges. `writable` lets the root
 * filesystem be written. `compatible` also gives Docker's default capabilities without NET_RAW and MKNOD, for images
 * that chown and drop privileges at start (many official ones do).
 */
export const Profile = z.enum(['restricted', 'writable', 'compatible']);
export type Profile = z.infer<typeof Profile>;

export const Route = z.strictObject({
  /** Container port that speaks HTTP. */
  port: z.int().min(1).max(65535),
  /** Path prefix, `/` for all. */
  path: z
    .string()
    .regex(/^\/[A-Za-z0-9/_.~-]*$/)
    .max(200),
  /** Put before each of the tenant's domains: `api` makes api.acme.example.com. */
  subdomain: z
    .string()
    .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/)
    .optional(),
  /** Path that is asked, through Nginx, after a switch. Any answer below 500 is good. */
  health: z
    .string()
    .regex(/^\/[A-Za-z0-9/_.~?=&-]*$/)
    .max(200),
});
export type Route = z.infer<typeof Route>;

export const Dependency = z.strictObject({
  service: ServiceName,
  condition: z.enum(['started', 'healthy', 'completed']),
  required: z.boolean(),
});
export type Dependency = z.infer<typeof Dependency>;

export const VolumeMount = z.strictObject({
  volume: VolumeName,
  target: z.string().startsWith('/'),
  readOnly: z.boolean(),
});
export type VolumeMount = z.infer<typeof VolumeMount>;

export const TmpfsMount = z.strictObject({
  target: z.string().startsWith('/'),
  sizeBytes: z.int().positive().optional(),
  /** Octal digits, such as `1777`. */
  mode: z
    .string()
    .regex(/^[0-7]{3,4}$/)
    .optional(),
});
export type TmpfsMount = z.infer<typeof TmpfsMount>;

export const ServiceSpec = z.strictObject({
  name: ServiceName,
  image: z.string().min(1).max(500),
  pullPolicy: z.enum(['missing', 'always', 'never']),
  command: z.array(z.string()).optional(),
  entrypoint: z.array(z.string()).optional(),
  environment: z.record(z.string(), z.string()),
  /** Files in memory, below /run/secrets unless the template says otherwise. */
  secrets: z.array(SecretFile).max(100).optional(),
  /** Variables that hold secrets, where the app asks for that: Docker's own files on the host then hold the values. */
  secretEnv: z.record(z.string(), SecretRef).optional(),
  user: z.string().optional(),
  groupAdd: z.array(z.string()),
  workingDir: z.string().optional(),
  hostname: z.string().optional(),
  init: z.boolean(),
  tty: z.boolean(),
  stdinOpen: z.boolean(),
  stopSignal: z.string().optional(),
  stopGraceMs: z.int().min(0),
  healthcheck: Healthcheck.optional(),
  volumes: z.array(VolumeMount),
  tmpfs: z.array(TmpfsMount),
  shmSizeBytes: z.int().positive().optional(),
  limits: z.strictObject({
    memoryBytes: z.int().positive(),
    cpus: z.number().positive(),
    pids: z.int().positive(),
  }),
  /** What placement counts; no more than the limits. */
  reservation: z.strictObject({ memoryBytes: z.int().positive(), cpus: z.number().positive() }),
  ulimits: z.record(z.string(), z.strictObject({ soft: z.int(), hard: z.int() })),
  sysctls: z.record(z.string(), z.string()),
  extraHosts: z.record(z.string(), z.string()),
  logging: z.strictObject({
    driver: z.enum(['json-file', 'local', 'awslogs', 'none']),
    options: z.record(z.string(), z.string()),
  }),
  labels: z.record(z.string(), z.string()),
  dependsOn: z.array(Dependency),
  replicas: z.int().min(1).max(16),
  restart: z.enum(['always', 'on-failure', 'no']),
  strategy: Strategy,
  profile: Profile,
  route: Route.optional(),
  /** How long open connections to the old container may go on after a switch. */
  drainMs: z.int().min(0),
});
export type ServiceSpec = z.infer<typeof ServiceSpec>;

export const TenantSpec = z.strictObject({
  /** In dependency order: a service comes after all it depends on. */
  services: z.array(ServiceSpec).min(1).max(24),
  volumes: z.array(VolumeName),
  /** Run once per generation's image set, before the new colour starts (migrations). */
  release: z
    .strictObject({
      service: ServiceName,
      command: z.array(z.string()).min(1),
      timeoutMs: z.int().positive(),
      /** The old release cannot work with what this command leaves behind: nobody goes back past it by himself. */
      irreversible: z.boolean().optional(),
    })
    .optional(),
  /** How long the old colour is kept, stopped, for instant return after a switch. */
  bakeMs: z.int().min(0),
  /** Where its containers may connect to; `internet` when it is absent. */
  egress: Egress.optional(),
  /** The tenant's own database: made by Berth on a server, or a service of its own. */
  database: DatabaseWish.optional(),
});
export type TenantSpec = z.infer<typeof TenantSpec>;
