import { z } from 'zod';

/** The parts of Docker's answers that Berth reads; everything else is ignored. */
const Labels = z
  .record(z.string(), z.string())
  .nullish()
  .transform((labels) => labels ?? {});

export const ContainerState = z.enum([
  'created',
  'running',
  'restarting',
  'paused',
  'exited',
  'dead',
  'removing',
]);
export type ContainerState = z.infer<typeof ContainerState>;

const Listed = z.object({
  Id: z.string(),
  Names: z.unknown(),
  Labels: z.unknown(),
  State: z.string(),
  Status: z.string(),
});

/** One entry of the container list. */
export interface ListEntry {
  id: string;
  state: string;
  status: string;
  /** Names and labels as Docker sent them. */
  made: unknown;
}

/** One element of the container list; null for another form. */
export function entryOf(element: unknown): ListEntry | null {
  const listed = Listed.safeParse(element);
  if (!listed.success) return null;
  const { Id, State, Status, Names, Labels: labels } = listed.data;
  return { id: Id, state: State, status: Status, made: { names: Names, labels } };
}

/** What a container was made with. */
export interface Made {
  names: readonly string[];
  labels: Readonly<Record<string, string>>;
}

const Made = z.object({
  names: z.array(z.string()).nullish(),
  labels: z.record(z.string(), z.string()).nullish(),
});

/** Null for another form: it is not ours. */
export function madeOf(entry: ListEntry): Made | null {
  const made = Made.safeParse(entry.made);
  return made.success ? { names: made.data.names ?? [], labels: made.data.labels ?? {} } : null;
}

export const ContainerDetails = z
  .object({
    Id: z.string(),
    Name: z.string(),
    Image: z.string(),
    RestartCount: z.number(),
    State: z.object({
      Status: ContainerState,
      Running: z.boolean(),
      Pid: z.number().optional(),
      OOMKilled: z.boolean(),
      ExitCode: z.number(),
      Error: z.string(),
      StartedAt: z.string(),
      Health: z.object({ Status: z.string() }).nullish(),
    }),
    Config: z.object({
      Tty: z.boolean(),
      Labels,
      Env: z.array(z.string()).nullish(),
      Healthcheck: z
        .object({
          Test: z.array(z.string()).nullish(),
          Interval: z.number().optional(),
          Timeout: z.number().optional(),
          StartPeriod: z.number().optional(),
        })
        .nullish(),
    }),
  })
  .transform((raw) => ({
    id: raw.Id,
    name: raw.Name.replace(/^\//, ''),
    labels: raw.Config.Labels,
    tty: raw.Config.Tty,
    /** `NAME=value` each: never told to anybody. */
    environment: raw.Config.Env ?? [],
    state: raw.State.Status,
    /** Of its first process, on the host; 0 while it does not run. */
    pid: raw.State.Pid ?? 0,
    oomKilled: raw.State.OOMKilled,
    exitCode: raw.State.ExitCode,
    error: raw.State.Error,
    /** Docker's zero time until the first start. */
    everStarted: !raw.State.StartedAt.startsWith('0001-'),
    startedAt: raw.State.StartedAt,
    restartCount: raw.RestartCount,
    health: raw.State.Health?.Status ?? 'none',
    healthTest: raw.Config.Healthcheck?.Test ?? null,
    healthTimeoutMs: (raw.Config.Healthcheck?.Timeout ?? 0) / 1e6,
  }));
export type ContainerDetails = z.infer<typeof ContainerDetails>;

export const NetworkDetails = z
  .object({
    Id: z.string(),
    Name: z.string(),
    Driver: z.string(),
    Labels,
    IPAM: z.object({
      Config: z.array(z.object({ Subnet: z.string().optional(), Gateway: z.string().optional() })).nullish(),
    }),
    Options: z
      .record(z.string(), z.string())
      .nullish()
      .transform((options) => options ?? {}),
  })
  .transform((raw) => ({
    id: raw.Id,
    name: raw.Name,
    driver: raw.Driver,
    labels: raw.Labels,
    subnet: raw.IPAM.Config?.[0]?.Subnet ?? '',
    gateway: raw.IPAM.Config?.[0]?.Gateway ?? '',
    bridge: raw.Options['com.docker.network.bridge.name'] ?? '',
  }));
export type NetworkDetails = z.infer<typeof NetworkDetails>;

export const VolumeDetails = z
  .object({ Name: z.string(), Labels })
  .transform((raw) => ({ name: raw.Name, labels: raw.Labels }));
export type VolumeDetails = z.infer<typeof VolumeDetails>;

export const DockerEvent = z
  .object({
    Type: z.string(),
    Action: z.string(),
    Actor: z.object({
      ID: z.string(),
      Attributes: z.record(z.string(), z.string()).nullish(),
    }),
    timeNano: z.number().optional(),
  })
  .transform((raw) => ({
    type: raw.Type,
    action: raw.Action,
    id: raw.Actor.ID,
    attributes: raw.Actor.Attributes ?? {},
    /** Nanoseconds since the epoch, as exact as a double is. */
    at: raw.timeNano ?? 0,
  }));
export type DockerEvent = z.infer<typeof DockerEvent>;
