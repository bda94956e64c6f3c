import type { Egress } from './egress.ts';
import type { ContainerRole } from './step.ts';
import type { RouteTarget, Site, TenantNetwork } from './network.ts';

/** What one list call tells of one of our containers. */
export interface ObservedContainer {
  id: string;
  name: string;
  tenant: string;
  app: string;
  release: number;
  generation: number;
  service: string;
  replica: number;
  role: ContainerRole;
  specHash: string;
  /** What its release's command is known by; absent where there is none, or an older agent made the container. */
  releaseKey?: string;
  /** The volumes that it holds; absent where there are none, or an older agent made the container. */
  volumes?: readonly string[];
  address: string;
  virtual: string | null;
  port: number | null;
  graceMs: number;
  drainMs: number;
  state: 'created' | 'running' | 'restarting' | 'paused' | 'exited' | 'dead' | 'removing';
  /** Of an exited container. */
  exitCode: number | null;
  health: 'none' | 'starting' | 'healthy' | 'unhealthy';
  /** How often its process ended by itself since the agent began to watch (from Docker's events). */
  deaths: number;
}

/** What the host is like now; the right-hand side of every plan. */
export interface ObservedHost {
  containers: readonly ObservedContainer[];
  networks: readonly TenantNetwork[];
  /** What the kernel's map holds now, by virtual address. */
  routes: ReadonlyMap<string, RouteTarget>;
  /** `moving`: routes changed while containers were listed, so the two do not belong together. Absent: steady. */
  look?: 'steady' | 'moving';
  /** What Nginx runs with now; null when it is not known or Nginx is down. */
  sites: readonly Site[] | null;
  /** The policies that hold now, by bridge, but for those of the default; absent: not known, and left alone. */
  egress?: ReadonlyMap<string, Egress>;
}
